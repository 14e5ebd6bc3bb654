"""Camera models from camera_info YAML files and CameraInfo messages; which camera holds for a frame."""

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel, camera_from_info
from hpe_core.io.yaml_file import load_mapping

DEFAULT_HFOV_DEG = 60.0


def camera_from_yaml(path):
    """CameraModel of a YAML file as camera_calibration and camera_info_manager write it (raw images: K and D).

    Raises HpeError when a field is missing, is no number, or does not make a camera.
    """
    return camera_from_mapping(load_mapping(path, "camera_info file"), f"camera_info file {path}")


def camera_from_mapping(values, where):
    """CameraModel of the fields of a camera_info YAML (dict); `where` names it in messages."""
    width = _whole_number(values, "image_width", where)
    height = _whole_number(values, "image_height", where)
    k = _numbers(values, "camera_matrix", where)
    d = _numbers(values, "distortion_coefficients", where) if "distortion_coefficients" in values else ()
    model = values.get("distortion_model") or "plumb_bob"
    try:
        return camera_from_info(width, height, k, d, str(model))
    except HpeError as error:
        raise HpeError(f"{where}: {error}") from error


def _whole_number(values, key, where):
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 20:
        raise HpeError(f"{where}: {key} must be a whole number above 0, got {value!r}")
    return value


def _numbers(values, key, where):
    """Numbers under `key`, either {data: [...]} as calibration writes it or a plain list."""
    group = values.get(key)
    data = group.get("data") if isinstance(group, dict) else group
    if not isinstance(data, list):
        raise HpeError(f"{where}: {key}.data must be a list of numbers, got {data!r}")
    try:
        return np.array([float(number) for number in data])
    except (TypeError, ValueError, OverflowError) as error:
        raise HpeError(f"{where}: {key}.data must be a list of numbers, got {data!r}") from error


def camera_from_message(message, rectified=False):
    """CameraModel of the delivered image from a sensor_msgs/CameraInfo (rosbags or rclpy); binning and ROI applied.

    rectified: the images are undistorted, so P counts, not K and D.
    """
    roi = message.roi
    return camera_from_info(
        message.width,
        message.height,
        _field(message, "k"),
        _field(message, "d"),
        message.distortion_model,
        _field(message, "p"),
        rectified,
        (message.binning_x, message.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _field(message, name):
    """k, d, p under their names since Galactic, or in capitals as before."""
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())


class CameraChoice:
    """Which CameraModel holds for an image: the given one, else the stream's own, else an assumed field of view."""

    def __init__(self, given=None, hfov_deg=DEFAULT_HFOV_DEG):
        self._given, self._hfov_deg = given, hfov_deg
        self._assumed = {}
        if given is None:
            CameraModel.from_hfov(1, 1, hfov_deg)  # a bad angle is refused before any work

    def of(self, frame):
        """CameraModel for a Frame with an image. Raises HpeError when a known camera is of another size."""
        height, width = frame.image_bgr.shape[:2]
        camera, owner = (self._given, "--camera-info") if self._given else (frame.camera, "CameraInfo of the bag")
        if camera is None:
            if (width, height) not in self._assumed:
                self._assumed[width, height] = CameraModel.from_hfov(width, height, self._hfov_deg)
            return self._assumed[width, height]
        if (camera.width, camera.height) != (width, height):
            raise HpeError(
                f"{owner} is for {camera.width}x{camera.height} images but {frame.source} is {width}x{height}"
            )
        return camera
