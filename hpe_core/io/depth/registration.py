"""Which camera took a depth image, and where it stands: the rule of the command and the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import camera_from_message, has_size, size_mismatch
from hpe_core.pixels.depth import DepthImage, check_depth_encoding, depth_from_compressed, depth_from_raw

if TYPE_CHECKING:
    from hpe_core.io.camera_info import CameraInfo

# why an image goes without depth, as it is counted
NO_IMAGE = "no depth image of its time"
LATE = "the depth image came too late"
NO_INFO = "no depth_camera_info for depth of another camera"
WRONG_INFO = "depth_camera_info does not fit"
NO_TRANSFORM = "no transform to the depth camera"
WRONG_ENCODING = "unknown depth encoding"
DAMAGED = "unusable depth image"

Transform = tuple[np.ndarray, np.ndarray]  # R_to_from (3, 3), t_to_from_m (3,)
FindTransform = Callable[[str, str], Transform | None]  # (to, from) -> v_to = R v_from + t


class DepthRefused(HpeError):
    """A depth image that cannot be used. reason: one of those above, by which it is counted."""

    def __init__(self, reason: str, text: str):
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class View:
    """The colour image: the camera that holds for it and its frame."""

    camera: CameraModel
    frame_id: str


@dataclass(frozen=True)
class DepthCamera:
    """A camera_info of the depth camera: as the depth image may be rectified or not. raw and rectified may be one."""

    raw: CameraModel
    rectified: CameraModel


def depth_camera(message: CameraInfo) -> DepthCamera:
    """DepthCamera of a sensor_msgs/CameraInfo. Raises DepthRefused when it makes no camera."""
    try:
        raw = camera_from_message(message)
    except HpeError as error:
        raise DepthRefused(WRONG_INFO, f"depth_camera_info: {error}") from error
    try:
        return DepthCamera(raw, camera_from_message(message, rectified=True))
    except HpeError:  # many drivers leave P empty where images are rectified anyway
        return DepthCamera(raw, raw)


def pixels_of(message: Any) -> np.ndarray:
    """(H, W) uint16 millimetres or float32 metres of a sensor_msgs Image or CompressedImage, of rclpy or rosbags.

    Raises DepthRefused.
    """
    compressed = not hasattr(message, "encoding")
    encoding = message.format.split(";")[0].strip() if compressed else message.encoding
    try:
        check_depth_encoding(encoding)
    except HpeError as error:
        raise DepthRefused(WRONG_ENCODING, str(error)) from error
    try:
        if compressed:
            return depth_from_compressed(message.data, message.format)
        size = message.height, message.width
        return depth_from_raw(message.data, *size, message.encoding, message.step, message.is_bigendian)
    except HpeError as error:
        raise DepthRefused(DAMAGED, str(error)) from error


def registered(
    depth: np.ndarray, frame_id: str, own: DepthCamera | None, view: View, transform: FindTransform
) -> DepthImage:
    """DepthImage of an array as from `pixels_of`, for the faces of a View.

    own: the depth camera's info; without one, depth of the image's size and frame is of its very pixels, as drivers
    align it, and so it is when both have the same K. Else P counts, for depth is made of rectified images.
    transform: asked when the frames differ. Raises DepthRefused.
    """
    height, width = depth.shape
    camera, aligned = view.camera, frame_id == view.frame_id and has_size(view.camera, width, height)
    if own is None:
        if not aligned:
            image = f"the image {view.camera.width}x{view.camera.height} in '{view.frame_id}'"
            text = f"the depth image is {width}x{height} in frame '{frame_id}' but {image}"
            raise DepthRefused(NO_INFO, f"{text}, and there is no depth_camera_info")
    elif not has_size(own.raw, width, height):
        raise DepthRefused(WRONG_INFO, size_mismatch("depth_camera_info", own.raw, width, height))
    elif not (aligned and np.allclose(own.raw.K, camera.K, rtol=1e-6)):
        camera = own.rectified
    if frame_id == view.frame_id:
        return DepthImage(depth, camera)
    found = transform(frame_id, view.frame_id)
    if found is None:
        raise DepthRefused(NO_TRANSFORM, f"TF has no transform between '{view.frame_id}' and '{frame_id}'")
    return DepthImage(depth, camera, *found)
