"""The imports of this project, read from the syntax tree: what test_layering.py checks and docs/imports.svg shows."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hpe_core", "hpe_ros", "training")


def sources(package: str) -> list[Path]:
    """The Python files of a package, relative to the project's root."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """Dotted name of a file: hpe_core/geometry/so3.py is hpe_core.geometry.so3, a package its folder."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere, `from a import b` as a.b."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_graph() -> dict[str, set[str]]:
    """Module -> the modules of this project that it imports, at its top or inside a function."""
    modules = {module_of(path): path for package in PACKAGES for path in sources(package)}
    return {
        name: {target for text in imported(path) if (target := _known(text, modules)) not in (None, name)}
        for name, path in modules.items()
    }


def _known(dotted: str, modules: dict[str, Path]) -> str | None:
    """The module that `import a.b` or `from a import b` loads: a.b itself, or a when b is a name in it."""
    for name in (dotted, dotted.rpartition(".")[0]):
        if name in modules:
            return name
    return None


def room_of(module: str) -> str:
    """Room of a module: its file or folder inside hpe_core; hpe_ros and training are one room each."""
    parts = module.split(".")
    return parts[1] if parts[0] == "hpe_core" and len(parts) > 1 else parts[0]


def room_graph() -> dict[str, set[str]]:
    """Room -> the other rooms that its files import."""
    rooms: dict[str, set[str]] = {}
    for module, targets in file_graph().items():
        room = room_of(module)
        rooms.setdefault(room, set()).update(room_of(target) for target in targets)
        rooms[room].discard(room)
    return rooms


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan 1972, SIAM J. Computing 1)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in order:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], order[target])
        if lowest[node] == order[node]:
            start = stack.index(node)
            if len(stack) - start > 1:
                found.append(sorted(stack[start:]))
            del stack[start:]

    for node in graph:
        if node not in order:
            visit(node)
    return found
