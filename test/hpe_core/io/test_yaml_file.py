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
