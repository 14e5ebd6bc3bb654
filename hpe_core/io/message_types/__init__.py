"""ROS message types that rosbags does not bring, and the messages that several writers of bags make. No ROS needed."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import CAMERA_INFO, typestore

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

Message = Any  # rosbags makes the classes of messages while it runs

VISION_MSGS = {  # version 4, Humble and later
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
    ),
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id\n"
    ),
    "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
}
# foxglove_msgs 3.4.3, MIT: the licence lies beside the files
FOXGLOVE_MSGS = Path(__file__).parent / "foxglove_msgs"


@lru_cache(maxsize=1)
def extended_typestore() -> "Typestore":
    """The type store of hpe_core.io.bags, with vision_msgs and the image annotations of foxglove_msgs besides."""
    from rosbags.typesys import get_types_from_msg

    store, found = typestore(), {}
    for name, text in VISION_MSGS.items():
        found.update(get_types_from_msg(text, name))
    for path in sorted(FOXGLOVE_MSGS.glob("*.msg")):
        found.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"foxglove_msgs/msg/{path.stem}"))
    store.register(found)
    return store


def camera_info(types: dict[str, Any], header: Message, camera: CameraModel) -> Message:
    """sensor_msgs/CameraInfo of a CameraModel; types: those of a type store; header: std_msgs/Header."""
    P = np.hstack([camera.K, np.zeros((3, 1))])
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    D = camera.D if len(camera.D) else np.zeros(5)
    size = (camera.height, camera.width)
    return types[CAMERA_INFO](header, *size, camera.model, D, camera.K.ravel(), np.eye(3).ravel(), P.ravel(), 0, 0, roi)
