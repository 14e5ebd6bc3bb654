"""CameraInfo of the camera node: from a calibration file, a field of view, a bag's camera, or uncalibrated."""

from dataclasses import dataclass
from urllib.parse import unquote, urlparse

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import camera_from_mapping
from hpe_core.io.yaml_file import load_mapping


@dataclass(frozen=True, eq=False)
class Calibration:
    """A camera with what only CameraInfo has: R (3, 3) rectification, P (3, 4) projection of the rectified image."""

    camera: CameraModel
    R: np.ndarray
    P: np.ndarray

    @classmethod
    def of(cls, camera: CameraModel) -> "Calibration":
        """A single camera: R = identity, P = K."""
        return cls(camera, np.eye(3), np.column_stack([camera.K, np.zeros(3)]))


def calibration_from_url(url: str) -> Calibration:
    """Calibration of a camera_info YAML by its path or file:// URL. Raises HpeError when it is none."""
    path = unquote(urlparse(url).path) if url.startswith("file://") else url
    if "://" in path:
        raise HpeError(f"camera_info_url must be a path or a file:// URL, got {url}")
    values, where = load_mapping(path, "camera_info file"), f"camera_info file {path}"
    plain = Calibration.of(camera_from_mapping(values, where))
    R = _matrix(values, "rectification_matrix", where, plain.R)
    return Calibration(plain.camera, R, _matrix(values, "projection_matrix", where, plain.P))


def _matrix(values: dict, key: str, where: str, default: np.ndarray) -> np.ndarray:
    """Matrix under `key`, of the shape of its default, which holds when it is absent."""
    if key not in values:
        return default
    try:
        matrix = np.array(values[key]["data"], float).reshape(default.shape)
    except (KeyError, TypeError, ValueError) as error:
        raise HpeError(f"{where}: {key}.data must be {default.size} numbers, got {values[key]!r}") from error
    return matrix


def camera_info(header: Header, width: int, height: int, calibration: Calibration | None = None) -> CameraInfo:
    """sensor_msgs/CameraInfo of a width x height image; without a Calibration K is 0, which means uncalibrated."""
    if calibration is None:
        return CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob")
    camera = calibration.camera
    D = camera.D if len(camera.D) else np.zeros(5)
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model=camera.model if len(camera.D) else "plumb_bob",
        d=D.tolist(),
        k=camera.K.ravel(),
        r=calibration.R.ravel(),
        p=calibration.P.ravel(),
    )
