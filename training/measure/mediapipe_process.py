"""MediaPipe's face mesh in a process of its own: it needs other versions of NumPy and protobuf than this project.

Frames go through a file in shared memory, so that a turn costs a copy of the frame and two lines on a pipe.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError

PYTHON = "HPE_MEDIAPIPE_PYTHON"  # environment variable: the interpreter of an environment with mediapipe==0.10.21
SERVER = Path(__file__).with_name("mediapipe_server.py")
SHARED = Path("/dev/shm")
COUNT = 468  # points of a face
MAX_BYTES = 3 * 4096 * 4096  # of a frame; memory is only taken for what is used


class MediaPipeProcess:
    """A running mesh. video: faces are tracked from frame to frame; else every image is a scene of its own."""

    def __init__(self, video: bool, faces: int, cores: int = 0) -> None:
        """cores: how many processor cores it may use, 0 for all. Raises HpeError where MediaPipe does not run."""
        python = os.environ.get(PYTHON) or sys.executable
        self._folder = tempfile.TemporaryDirectory(prefix="hpe_", dir=SHARED if SHARED.is_dir() else None)
        frames, points = (Path(self._folder.name) / name for name in ("frames", "points"))
        self._frames = np.memmap(frames, np.uint8, "w+", shape=(MAX_BYTES,))
        self._points = np.memmap(points, np.float32, "w+", shape=(faces, COUNT, 3))
        mode = "video" if video else "static"
        arguments = [str(frames), str(points), str(MAX_BYTES), str(faces), mode, str(cores)]
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        try:
            self._process = subprocess.Popen(
                [python, str(SERVER), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                bufsize=1,
            )
        except OSError as error:
            raise HpeError(f"{PYTHON}: {python} does not start: {error.strerror}") from error
        if self._answer() != "ready":
            raise HpeError(f"MediaPipe does not run in {python} ({PYTHON} names another): {self._last_error()}")

    def points(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Points (F, 468, 3) in pixels of every face of an image (H, W, 3) BGR, depth in the same unit, smaller =
        nearer; and the seconds that the mesh itself took. Raises HpeError when the process has ended."""
        height, width = image.shape[:2]
        if image.nbytes > MAX_BYTES:
            raise HpeError(f"MediaPipe takes images of at most {MAX_BYTES} bytes, got {image.nbytes}")
        self._frames[: image.nbytes] = image.reshape(-1)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then there is no answer
            self._process.stdin.write(f"{height} {width}\n")
        answer = self._answer().split()
        if len(answer) != 2:
            raise HpeError(f"MediaPipe's process has ended: {self._last_error()}")
        return self._points[: int(answer[0])] * np.array([width, height, width], float), float(answer[1])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else "it said nothing"
