"""The drawn pictures on the screen."""

import os
import sys

import cv2
import numpy as np

from hpe_core.errors import HpeError


class Window:
    """A window on the screen that shows the pictures."""

    NAME = "hpe"

    def __init__(self):
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise HpeError("--show needs a screen, but neither DISPLAY nor WAYLAND_DISPLAY is set")
        try:
            cv2.namedWindow(self.NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise HpeError(
                "--show needs an OpenCV with windows; this one has none (opencv-python-headless): "
                "install opencv-python in its place"
            ) from error

    def show(self, picture_bgr: np.ndarray) -> bool:
        """Show one picture (H, W, 3) uint8; returns False once the user has pressed q or Escape."""
        cv2.imshow(self.NAME, picture_bgr)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def close(self) -> None:
        cv2.destroyWindow(self.NAME)
