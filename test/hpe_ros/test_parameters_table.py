"""docs/parameters.md is what the configuration says, and can be made without ROS."""

import subprocess
import sys
from pathlib import Path

from hpe_ros import parameters_table

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_configuration():
    written = (ROOT / "docs" / "parameters.md").read_text("utf-8")
    assert written == parameters_table.page(), "run `python -m hpe_ros.parameters_table`"


def test_a_row_has_type_default_range_and_meaning():
    rows = {row.split("`")[1]: row for row in parameters_table.page().splitlines() if row.startswith("| `")}
    assert rows["hfov_deg"].split(" | ")[1:4] == ["float", "`60.0`", "1 to 179"]
    assert rows["hfov_deg"].split(" | ")[4] == ""
    assert rows["score_threshold"].split(" | ")[4] == "yes"
    assert rows["autostart"].split(" | ")[4] == "never"
    assert rows["reliability"].split(" | ")[1:4] == ["str", "`best_effort`", "`best_effort`, `reliable`"]
    assert rows["filter"].split(" | ")[1:3] == ["bool", "`true`"]
    assert rows["tf_prefix"].split(" | ")[2] == '`""`'


def test_making_it_needs_no_ros():
    code = (
        "import sys; sys.modules['rclpy'] = sys.modules['rcl_interfaces'] = None\n"
        "from hpe_ros import parameters_table; parameters_table.page()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
