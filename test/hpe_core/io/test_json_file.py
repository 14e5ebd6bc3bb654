import json
import os

from hpe_core.io.json_file import json_values, write_json


def test_json_has_null_for_numbers_that_are_none(tmp_path):
    write_json(tmp_path / "a.json", json_values({"x": float("nan"), "y": [1.5, float("inf")], "z": (1,)}))
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.5, None], "z": [1]}


def test_json_of_a_name_that_is_no_text_is_plain_text(tmp_path):
    write_json(tmp_path / "a.json", json_values({os.fsdecode(b"\xe9"): ["\x1b[2J", {"x": os.fsdecode(b"\xff.jpg")}]}))
    assert json.loads((tmp_path / "a.json").read_text()) == {"\\xe9": ["\\x1b[2J", {"x": "\\xff.jpg"}]}
