"""Whether there is a screen to open a window on."""

import os
import sys

from hpe_core.errors import HpeError


def check_screen(option: str) -> None:
    """Raises HpeError when there is none; option: what needs it."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise HpeError(f"{option} needs a screen, but neither DISPLAY nor WAYLAND_DISPLAY is set")
