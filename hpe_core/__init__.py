"""Framework-independent head pose core: no ROS, no torch, no TensorRT at import."""

import os

__version__ = "0.1.0"

# ONNX Runtime (Linux: from 1.29) otherwise writes a device id and events to the user's cache and sends them. It reads
# this once, when it is imported, and its own disable_telemetry_events() comes too late. "0" leaves it on.
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
