"""The window of --show on a real X server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.output.live.window import Window

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "assets" / "sample_bag"
HALVES = np.zeros((100, 200, 3), np.uint8)
HALVES[:, :100], HALVES[:, 100:] = (255, 0, 0), (0, 128, 255)  # blue, orange


@pytest.fixture
def window(xvfb, monkeypatch):
    pytest.importorskip("tkinter", reason="no tkinter (apt install python3-tk): the window was NOT tested")
    monkeypatch.setenv("DISPLAY", xvfb.display)
    opened = Window()
    yield opened
    opened.close()


def columns(picture, colour):
    """First and last column and number of pixels that have the colour."""
    rows, found = np.nonzero((picture == colour).all(-1))
    assert len(found), f"nothing of {colour} on the screen"
    return int(found.min()), int(found.max()), len(rows)


def test_the_window_shows_the_picture_in_its_size_and_colours(window, xvfb):
    assert window.show(HALVES) and window.show(HALVES)
    screen = xvfb.picture()
    left, right = columns(screen, (255, 0, 0)), columns(screen, (0, 128, 255))
    assert left[2] == right[2] == 100 * 100
    assert left[1] + 1 == right[0] and left[1] - left[0] == right[1] - right[0] == 99


def test_a_picture_larger_than_the_screen_is_reduced_to_fit(window, xvfb):
    large = cv2.resize(HALVES, (1600, 800), interpolation=cv2.INTER_NEAREST)
    window.show(large)
    window.show(large)
    left, right = (columns(xvfb.picture(), colour) for colour in ((255, 0, 0), (0, 128, 255)))
    assert 690 <= right[1] - left[0] + 1 <= 720  # nine tenths of 800


def test_q_and_escape_end(window):
    for key in ("<Key-q>", "<Escape>"):
        window._open = True
        assert window.show(HALVES)
        window._root.focus_force()
        window._root.event_generate(key)
        assert not window.show(HALVES)


def test_closing_the_window_ends(window):
    assert window.show(HALVES)
    window._root.tk.call(window._root.protocol("WM_DELETE_WINDOW"))  # as the window manager asks
    assert not window.show(HALVES)


def test_a_display_that_is_not_there_is_one_line(monkeypatch):
    pytest.importorskip("tkinter")
    monkeypatch.setenv("DISPLAY", ":987654")
    with pytest.raises(HpeError, match="--show needs a screen, but none can be opened"):
        Window()


def test_without_tkinter_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(HpeError, match="apt install python3-tk"):
        Window()


@pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")
def test_q_in_the_window_ends_the_run_with_all_files_whole(xvfb, tmp_path):
    pytest.importorskip("tkinter", reason="no tkinter: the end by the window was NOT tested")
    if shutil.which("xdotool") is None:
        pytest.skip("no xdotool (apt install xdotool): the end by the window was NOT tested")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hpe_core", "run", str(SAMPLE), "--out", str(out), "--show"]
    environment = os.environ | {"DISPLAY": xvfb.display, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    press_q = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^hpe$", "key", "q"]
    subprocess.run(press_q, env=environment, check=True, timeout=60)
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    rows = (out / "poses.csv").read_text().splitlines()
    assert 1 < len(rows) < 151  # of 150 frames
    assert {path.name for path in out.iterdir()} >= {"poses.csv", "poses", "overlay.mp4", "summary.json"}
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["interrupted"]) == (len(rows) - 1, True)
    assert "written" in said
