import json
import os

import numpy as np

from hpe_core.io.json_file import json_values, read_json, write_json


def test_json_has_null_for_numbers_that_are_none(tmp_path):
    write_json(tmp_path / "a.json", json_values({"x": float("nan"), "y": [1.5, float("inf")], "z": (1,)}))
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.5, None], "z": [1]}


def test_json_of_a_name_that_is_no_text_is_plain_text(tmp_path):
    write_json(tmp_path / "a.json", json_values({os.fsdecode(b"\xe9"): ["\x1b[2J", {"x": os.fsdecode(b"\xff.jpg")}]}))
    assert json.loads((tmp_path / "a.json").read_text()) == {"\\xe9": ["\\x1b[2J", {"x": "\\xff.jpg"}]}


def test_json_of_arrays_is_lists_of_plain_numbers_rounded_where_asked():
    values = {"a": np.array([1.23456, -0.0, np.inf]), "n": np.int64(3), "yes": np.bool_(True), "x": np.float32(0.5)}
    assert json_values(values, digits=3) == {"a": [1.23, 0.0, None], "n": 3, "yes": True, "x": 0.5}
    assert json_values(values)["a"] == [1.23456, 0.0, None]
    assert json.dumps(json_values(values, digits=3)) == '{"a": [1.23, 0.0, null], "n": 3, "yes": true, "x": 0.5}'


def test_a_json_file_that_cannot_be_read_is_empty(tmp_path):
    path = tmp_path / "a.json"
    assert read_json(path) == {}
    for text in ("", "[1]", "{", "\xff", "[" * 100_000):
        path.write_text(text, encoding="latin-1")
        assert read_json(path) == {}
    write_json(path, {"x": 1})
    assert read_json(path) == {"x": 1}
