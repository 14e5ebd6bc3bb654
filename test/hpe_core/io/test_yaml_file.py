import os
from itertools import pairwise

import pytest

from hpe_core.errors import HpeError
from hpe_core.io.camera_info import camera_from_mapping
from hpe_core.io.yaml_file import load_mapping, parse_mapping

NAMES = "abcdefghi"


def doubling(start, step):
    """A YAML of nine lines, each of which holds the one before nine times."""
    lines = [f"a: &a {start}"]
    for before, name in pairwise(NAMES):
        lines.append(f"{name}: &{name} {step(','.join(['*' + before] * 9))}")
    return "\n".join(lines) + "\n"


def test_aliases_are_written_out():
    assert parse_mapping("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a\n", "f") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1},
    }


@pytest.mark.parametrize(
    "text",
    [
        doubling("[x,x,x,x,x,x,x,x,x]", lambda many: f"[{many}]"),
        doubling("{x: 1}", lambda many: f"{{<<: [{many}]}}"),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
    ],
    ids=["lists", "merged mappings", "list in itself", "mapping in itself"],
)
def test_aliases_that_grow_without_measure_are_refused(text):
    assert len(text) < 600
    with pytest.raises(HpeError, match="f has aliases that stand for more than 1000000 values"):
        parse_mapping(text, "f")


def test_a_long_value_is_not_repeated_whole_in_the_error():
    with pytest.raises(HpeError, match="image_width must be a whole number") as caught:
        camera_from_mapping({"image_width": ["x"] * 100_000}, "camera.yaml")
    assert len(str(caught.value)) < 5000


def test_a_pipe_is_refused_and_a_file_that_is_no_text(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(HpeError, match=r"config file .*pipe\.yaml cannot be read: a named pipe"):
        load_mapping(tmp_path / "pipe.yaml", "config file")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(HpeError, match=r"config file .*bytes\.yaml cannot be read: not a text file"):
        load_mapping(tmp_path / "bytes.yaml", "config file")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.e-05", 1e-5),
        ("-.5", -0.5),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("True", True),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
    ],
)
def test_values_are_those_of_yaml_1_2(text, value):
    found = parse_mapping(f"a: {text}\n", "f")["a"]
    assert found == value and type(found) is type(value)


def test_a_name_that_stands_twice_is_an_error_with_its_line():
    with pytest.raises(HpeError, match=r"f is not valid YAML, line 2: 'hfov_deg' stands twice"):
        parse_mapping("hfov_deg: 60\nhfov_deg: 70\n", "f")


@pytest.mark.parametrize("text", ["a: !!python/name:os.system x\n", "a: !!python/object/apply:os.getcwd []\n"])
def test_a_yaml_file_cannot_name_python_objects(text):
    with pytest.raises(HpeError, match="f is not valid YAML, line 1: could not determine a constructor"):
        parse_mapping(text, "f")
