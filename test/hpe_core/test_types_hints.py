"""Type hints of what a colleague may call, by the syntax tree."""

import ast
from pathlib import Path

import pytest

from docs import import_graph


def unhinted(tree):
    """Names of the public functions and methods of a module's tree that lack a hint, each with what lacks it."""
    return list(_unhinted(tree.body, "", False))


def _unhinted(body, owner, in_class):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _unhinted(node.body, f"{owner}{node.name}.", True)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            lacking = [argument.arg for argument in arguments(node, in_class) if argument.annotation is None]
            if node.returns is None and node.name != "__init__":  # which is None for all
                lacking.append("result")
            if lacking:
                yield f"{owner}{node.name}: {', '.join(lacking)}"


def is_public(name):
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def arguments(node, in_class):
    """All arguments of a function; of a method without self or cls."""
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
    args = node.args
    own = [*args.posonlyargs, *args.args][1 if in_class and not static else 0 :]
    return [*own, *args.kwonlyargs, *(one for one in (args.vararg, args.kwarg) if one is not None)]


@pytest.mark.parametrize("package", ["hpe_core", "hpe_ros"])
def test_every_public_function_has_type_hints(package):
    lacking = {
        str(path): unhinted(ast.parse(Path(import_graph.ROOT / path).read_text()))
        for path in import_graph.sources(package)
    }
    assert lacking and {path: names for path, names in lacking.items() if names} == {}


def test_a_missing_hint_is_found():
    code = """
def plain(a, *rest, b: int = 0, **others: int) -> None: ...
def _private(a): ...
class Shown:
    def __init__(self, a: int): ...
    def method(self, b: int): ...
    @staticmethod
    def still(c) -> int: ...
"""
    assert unhinted(ast.parse(code)) == ["plain: a, rest", "Shown.method: result", "Shown.still: c"]
