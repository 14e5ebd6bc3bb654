import sys

import pytest

from hpe_core import catalogue, registry
from hpe_core.errors import HpeError


def test_names_are_the_files_of_a_package():
    assert "onnxruntime" in registry.available("hpe_core.backends")
    assert "head6dof" in registry.available("training.networks")


@pytest.fixture
def animals(tmp_path, monkeypatch):
    package = tmp_path / "animals"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "cat": "SOUND = 'meow'",
        "broken": "raise RuntimeError('imported')",
        "_private": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield "animals"
    for name in [name for name in sys.modules if name.split(".")[0] == "animals"]:
        del sys.modules[name]


def test_listing_imports_nothing_and_hides_private_files(animals):
    assert registry.available(animals) == ["broken", "cat"]
    assert "animals.broken" not in sys.modules


def test_a_module_is_imported_on_use(animals):
    assert registry.load(animals, "cat").SOUND == "meow"


def test_an_unknown_name_lists_the_known_ones(animals):
    with pytest.raises(HpeError, match="unknown animal 'dog', known: broken, cat"):
        registry.load(animals, "dog")


def test_an_unknown_model_lists_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    with pytest.raises(HpeError, match="unknown model 'x', known: none"):
        catalogue.path_of("x")
    (tmp_path / "a.onnx").touch()
    assert catalogue.path_of("a") == tmp_path / "a.onnx"
    with pytest.raises(HpeError, match="unknown model 'x', known: a"):
        catalogue.path_of("x")


def test_a_model_file_may_be_given_as_a_path(tmp_path):
    path = tmp_path / "mine.onnx"
    with pytest.raises(HpeError, match=r"mine\.onnx does not exist"):
        catalogue.path_of(str(path))
    path.touch()
    assert catalogue.path_of(str(path)) == path
