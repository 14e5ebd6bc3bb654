"""Every option of every command with what nobody should give it: a result, or one line that says what is wrong.

The options are taken from the parser, so a new one is tried without being listed here.
"""

import argparse
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core import catalogue
from hpe_core.cli import main
from hpe_core.cli.tools.nlml import TOOLS

SAMPLE = Path(__file__).parents[3] / "assets" / "sample_bag"
pytestmark = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")

# the least that each command needs, so that it soon ends; relative paths lie in a folder of the test
NEEDED = {
    "run": ["black.png", "--no-overlay"],
    "models": [],
    "eval bag": [str(SAMPLE), "--estimate", "/nothing"],
    "eval dataset": ["folder", "--protocol", "aflw2000"],
    "eval images": ["folder"],
    "convert": ["images", "black.png"],
    "engine build": ["head6dof", "--compute-capability", "0.1"],
    "engine list": [],
    "engine prune": [],
    "engine check": [],
    "export": ["missing", "--to", "litert"],
    "bench": ["--report", "missing/report.json"],
    "nlml build": ["--out", "out", "--data", "missing"],
    "nlml fit": ["missing", "--out", "out"],
    "nlml train": ["missing", "missing", "--out", "out"],
    "nlml infer": ["text"],
    "nlml evaluate": ["missing"],
}
NEVER = {
    None: ["", " ", "\0", "folder/\0"],
    int: ["", "abc", "1.5", "-1", "1e3"],
    float: ["", "nan", "inf", "-1", "abc"],
}
ODD = {
    None: ["folder", "missing", "missing/below", "binary", "empty", "text", "list.yaml", "nested.json", "forbidden"]
    + ["x" * 5000, "a\x1b[2Jb", "\udce4", "-"],
    int: ["0", "999999", "9" * 20],
    float: ["0", "180", "1e308", "1e-300", "-0.0"],
}


SOON = {("bench", "report"): ["folder", "missing/below"]}  # with others it measures


def leaves(parser, path=()):
    """Pairs (words of a command, its parser)."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield " ".join(path), parser
    for action in below:
        for name, sub in action.choices.items():
            yield from leaves(sub, (*path, name))


COMMANDS = dict(leaves(main._parser()))
OPTIONS = [
    (command, action)
    for command, parser in COMMANDS.items()
    for action in parser._actions
    if action.nargs != 0 and not action.choices
]


def kind_of(action):
    """None for texts, int or float, by what the option takes."""
    if action.type in (None, str):
        return None
    try:
        action.type("1.5")
    except (ValueError, argparse.ArgumentTypeError):
        return int
    return float


def with_value(command, action, value):
    """The words of a command in which one option or position has this value."""
    words = list(NEEDED[command])
    if action.option_strings:
        flag, count = action.option_strings[-1], action.nargs if isinstance(action.nargs, int) else 1
        if flag in words:
            at = words.index(flag)
            del words[at : at + 2]
        words += [f"{flag}={value}"] if count == 1 else [flag, *count * [value]]
    else:
        positions = [a for a in COMMANDS[command]._actions if not a.option_strings and a.nargs != 0]
        at = positions.index(action)
        words[at : at + 1] = [value]
    return [*command.split(), *words]


@pytest.fixture
def odd_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(tmp_path / "engines"))
    Path("black.png").write_bytes(cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    Path("folder").mkdir()
    Path("empty").touch()
    Path("binary").write_bytes(bytes(range(256)) * 8)
    Path("text").write_text("text\n")
    Path("list.yaml").write_text("- 1\n- 2\n")
    Path("nested.json").write_text("[" * 1000)
    Path("forbidden").write_text("x")
    Path("forbidden").chmod(0)
    return tmp_path


def run(words, capfd):
    """Exit code and lines of the error stream that are no notes."""
    capfd.readouterr()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            code = main.main(words)
    except SystemExit as stop:
        code = stop.code
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return code, [line for line in said.splitlines() if not line.startswith("hpe: note: ")]


def test_every_command_has_what_it_needs_here():
    assert set(NEEDED) == set(COMMANDS)


@pytest.mark.parametrize("command, action", OPTIONS, ids=[f"{c}-{a.dest}" for c, a in OPTIONS])
def test_an_odd_value_is_a_result_or_one_line(command, action, odd_files, capfd):
    if "nlml" in command and "infer" not in command:
        pytest.importorskip("training.nlml.actions", exc_type=ImportError)
        if not entry_points(group=TOOLS):
            pytest.skip("installed without the training tools: pip install -e . in the checkout")
    kind = kind_of(action)
    for value in NEVER[kind] + SOON.get((command, action.dest), ODD[kind]):
        code, lines = run(with_value(command, action, value), capfd)
        assert code in (0, 2) and (value not in NEVER[kind] or code == 2), (value, code, lines)
        if code == 2:
            assert len(lines) == 1 and lines[0].startswith("hpe: error: ") and lines[0].isprintable(), (value, lines)


@pytest.mark.parametrize("name", ["list.yaml", "binary", "folder", "empty", "nested.json", "huge.yaml"])
def test_a_config_that_is_none_is_named(name, odd_files, capfd):
    Path("huge.yaml").write_text(f"tracker: {{timeout_s: {'9' * 400}}}\n")
    code, (line,) = run(["run", "black.png", "--config", name], capfd)
    assert code == 2 and f"config file {name}" in line


@pytest.mark.parametrize(
    "text", ["", "{}", "estimates: {}", "estimates: {run: {}}", f"a: {{max: {'9' * 400}}}", "a: {max: .inf}"]
)
def test_thresholds_that_bound_nothing_are_refused(text, odd_files, capfd):
    Path("bounds.yaml").write_text(text)
    code, (line,) = run(["eval", "dataset", "folder", "--protocol", "aflw2000", "--thresholds", "bounds.yaml"], capfd)
    assert code == 2 and "thresholds file bounds.yaml" in line


@pytest.mark.parametrize("value", ["0", "180", "-1", "nan", "inf"])
@pytest.mark.parametrize("command", ["run", "convert", "eval bag", "eval dataset", "eval images"])
def test_a_field_of_view_beyond_its_range_is_refused_by_every_command(command, value, odd_files, capfd):
    code, (line,) = run([*command.split(), *NEEDED[command], f"--hfov={value}"], capfd)
    assert code == 2 and "argument --hfov: horizontal field of view must lie in (0, 180) degrees" in line


@pytest.mark.parametrize("command", ["convert", "eval dataset", "eval images"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_limit_below_one_is_refused(command, value, odd_files, capfd):
    code, (line,) = run([*command.split(), *NEEDED[command], f"--limit={value}"], capfd)
    assert code == 2 and "argument --limit: must be at least 1" in line


@pytest.mark.parametrize("value", ODD[None][:-1])
def test_an_odd_source_among_several_fails_alone(value, odd_files, capfd):
    code, lines = run(["run", "black.png", value, "--no-overlay", "--model", "head6dof_int8", "--out", "out"], capfd)
    assert code == 1 and all(line.isprintable() for line in lines), lines
    assert Path("out", "black", "poses.csv").is_file()


@pytest.mark.parametrize(
    "text", ["/**: {ros__parameters: 3}", "/**: {ros__parameters: {threads: -1}}", "ros__parameters: {}"]
)
def test_an_odd_parameter_file_of_ros_is_a_result_or_one_line(text, odd_files, capfd):
    Path("params.yaml").write_text(text)
    code, lines = run(["run", "black.png", "--no-overlay", "--config", "params.yaml"], capfd)
    assert code in (0, 2) and len(lines) == (code == 2), lines
    assert code == 0 or "config file params.yaml" in lines[0]


def test_a_file_name_that_is_no_unicode_is_taken(odd_files, capfd):
    assert run(["run", "black.png", "--no-overlay", "--out", "out\udce4"], capfd)[0] == 0
    assert Path("out\udce4", "poses.csv").is_file()
