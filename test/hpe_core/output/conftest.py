"""A screen of the tests' own."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="session")
def xvfb(tmp_path_factory):
    """An Xvfb: its `display`, and picture() -> what is on it now, (H, W, 3) uint8 BGR."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb (apt install xvfb): windows were NOT tested")
    folder = tmp_path_factory.mktemp("xvfb")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-fbdir", str(folder), "-noreset"]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as said:
        number = said.readline().strip()
    assert number, "Xvfb does not start"

    def picture():
        """The frame buffer, which Xvfb keeps in a file of the format of xwd."""
        data = (folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(data, ">u4", 20)
        width, height, bytes_per_line, colours = (int(header[i]) for i in (4, 5, 12, 19))
        start = int(header[0]) + 12 * colours
        rows = np.frombuffer(data, np.uint8, height * bytes_per_line, start).reshape(height, bytes_per_line)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., :3]

    yield SimpleNamespace(display=f":{number}", picture=picture)
    process.terminate()
    process.wait()
