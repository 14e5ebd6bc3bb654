"""Framework-independent head pose core: no ROS, no torch, no TensorRT at import."""

__version__ = "0.1.0"
