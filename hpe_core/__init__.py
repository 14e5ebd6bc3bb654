"""Framework-independent head pose core: no ROS, no torch, no TensorRT at import.

from hpe_core import HeadPose
faces = HeadPose().predict("photo.jpg")
"""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# ONNX Runtime (Linux: from 1.29) otherwise writes a device id and events to the user's cache and sends them. It reads
# this once, when it is imported, and its own disable_telemetry_events() comes too late. "0" leaves it on.
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# loaded on first use, so that `import hpe_core` stays quick; their types are in __init__.pyi
_LAZY = {"HeadPose": "api.head_pose", "CameraModel": "geometry.camera", "HpeError": "errors"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
