"""The Python API: photos and streams in, faces with angles and positions out. `from hpe_core import HeadPose`."""
