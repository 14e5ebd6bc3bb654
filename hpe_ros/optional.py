"""ROS packages that not every robot has. Their names are imported under `if TYPE_CHECKING or HAS_...`."""

import importlib


def importable(package: str) -> bool:
    """Whether the messages of a ROS package can be imported."""
    try:
        importlib.import_module(f"{package}.msg")
    except ImportError:
        return False
    return True


HAS_VISION_MSGS = importable("vision_msgs")
HAS_HRI_MSGS = importable("hri_msgs")
HAS_FOXGLOVE_MSGS = importable("foxglove_msgs")
