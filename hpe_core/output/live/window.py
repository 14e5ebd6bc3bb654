"""The drawn pictures on the screen, by tkinter: OpenCV's headless build has no windows."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.output.live.screen import check_screen

if TYPE_CHECKING:  # loaded on first use: some systems have it as a package of its own
    import tkinter

NAME = "hpe"
_SCREEN_SHARE = 0.9  # of the screen, at most, before the user makes the window larger


class Window:
    """A window on the screen that shows the pictures as large as it is; it appears with the first one.

    Raises HpeError when there is no screen, or no tkinter.
    """

    def __init__(self):
        check_screen("--show")
        try:
            import tkinter
        except ImportError as error:
            raise HpeError("--show needs tkinter, which is not installed (sudo apt install python3-tk)") from error
        try:
            self._root = tkinter.Tk(className=NAME)
        except tkinter.TclError as error:
            raise HpeError(f"--show needs a screen, but none can be opened: {error}") from error
        self._root.withdraw()
        self._root.title(NAME)
        self._label = tkinter.Label(self._root, borderwidth=0, background="black")
        self._label.pack(fill="both", expand=True)
        self._photo: tkinter.PhotoImage | None = None  # Tk itself keeps no reference
        self._open, self._closed = True, False  # to the user, and altogether
        self._root.protocol("WM_DELETE_WINDOW", self._stop)
        for key in ("q", "<Escape>"):
            self._root.bind(key, self._stop)

    def show(self, picture_bgr: np.ndarray) -> bool:
        """Show one picture (H, W, 3) uint8; False once the user has closed the window or pressed q or Escape."""
        import tkinter

        if self._photo is None:
            self._appear(picture_bgr)
        fitted = _fitted(picture_bgr, self._label.winfo_width(), self._label.winfo_height())
        height, width = fitted.shape[:2]
        pixels = b"P6 %d %d 255 " % (width, height) + fitted[..., ::-1].tobytes()
        self._photo = tkinter.PhotoImage(master=self._root, width=width, height=height, data=pixels, format="PPM")
        self._label.configure(image=self._photo)
        self._root.update()
        return self._open

    def close(self) -> None:
        """Take the window away; closing again changes nothing."""
        if not self._closed:
            self._root.destroy()
        self._closed = True

    def _appear(self, picture_bgr: np.ndarray) -> None:
        height, width = picture_bgr.shape[:2]
        room = (self._root.winfo_screenwidth() / width, self._root.winfo_screenheight() / height)
        scale = min(1.0, *(_SCREEN_SHARE * side for side in room))
        self._root.geometry(f"{max(1, round(width * scale))}x{max(1, round(height * scale))}")
        self._root.deiconify()
        self._root.update()

    def _stop(self, event: "tkinter.Event | None" = None) -> None:
        self._open = False


def _fitted(picture_bgr: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture as large as fits into width x height pixels, its shape kept."""
    scale = min(width / picture_bgr.shape[1], height / picture_bgr.shape[0])
    size = (max(1, round(picture_bgr.shape[1] * scale)), max(1, round(picture_bgr.shape[0] * scale)))
    if size == (picture_bgr.shape[1], picture_bgr.shape[0]):
        return picture_bgr
    return cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR)
