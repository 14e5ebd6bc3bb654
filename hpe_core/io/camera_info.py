"""Camera models from camera_info YAML files and CameraInfo messages; which camera holds for a frame."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel, camera_from_info
from hpe_core.io.frame import Frame
from hpe_core.io.yaml_file import load_mapping

DEFAULT_HFOV_DEG = 60.0
REMEMBERED = 30  # cameras
_K = TypeVar("_K")
_V = TypeVar("_V")


def camera_from_yaml(path: str | Path) -> CameraModel:
    """CameraModel of a YAML file as camera_calibration and camera_info_manager write it (raw images: K and D).

    Raises HpeError when a field is missing, is no number, or does not make a camera.
    """
    return camera_from_mapping(load_mapping(path, "camera_info file"), f"camera_info file {path}")


def camera_from_mapping(values: dict[str, Any], where: str) -> CameraModel:
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


def _whole_number(values: dict[str, Any], key: str, where: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 20:
        raise HpeError(f"{where}: {key} must be a whole number above 0, got {value!r}")
    return value


def _numbers(values: dict[str, Any], key: str, where: str) -> np.ndarray:
    """Numbers under `key`, either {data: [...]} as calibration writes it or a plain list."""
    group = values.get(key)
    data = group.get("data") if isinstance(group, dict) else group
    if not isinstance(data, list):
        raise HpeError(f"{where}: {key}.data must be a list of numbers, got {data!r}")
    try:
        return np.array([float(number) for number in data])
    except (TypeError, ValueError, OverflowError) as error:
        raise HpeError(f"{where}: {key}.data must be a list of numbers, got {data!r}") from error


class RegionOfInterest(Protocol):
    """sensor_msgs/RegionOfInterest."""

    @property
    def x_offset(self) -> int: ...

    @property
    def y_offset(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


class CameraInfo(Protocol):
    """sensor_msgs/CameraInfo of rosbags or rclpy; k, d and p are read by name, see `_field`."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def distortion_model(self) -> str: ...

    @property
    def binning_x(self) -> int: ...

    @property
    def binning_y(self) -> int: ...

    @property
    def roi(self) -> RegionOfInterest: ...


def camera_from_message(message: CameraInfo, rectified: bool = False) -> CameraModel:
    """CameraModel of the delivered image from a CameraInfo; binning and ROI applied.

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


def content_of(message: CameraInfo) -> tuple:
    """All that a camera is made of in a CameraInfo: equal when the camera is the same."""
    roi = message.roi
    return (
        *(message.width, message.height, message.distortion_model),
        *(bytes(_field(message, name)) for name in "kdp"),
        *(message.binning_x, message.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _field(message: CameraInfo, name: str) -> Any:
    """k, d, p under their names since Galactic, or in capitals as before."""
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which camera holds for an image.

    camera: CameraModel, or None while one is awaited; source: "exact" (of the image's size), "resized" or "assumed", in
    the node also "exact stamp", "newest" and "waiting"; problem: why it is not calibrated, else "".
    """

    camera: CameraModel | None
    source: str
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Fitted(Pairing):
    """A Pairing that has a camera."""

    camera: CameraModel


class CameraFit:
    """The rule of the command and the node for images of another size than their calibration.

    A camera holds for images of its size, resized for those of its shape; for others a field of view is assumed.
    """

    def __init__(self, hfov_deg: float):
        CameraModel.from_hfov(1, 1, hfov_deg)  # a bad angle is refused before any work
        self._hfov_deg = hfov_deg
        self._derived: dict[tuple, CameraModel] = {}

    def of(self, camera: CameraModel | None, width: int, height: int, owner: str) -> Fitted:
        """Pairing for an image of width x height pixels. owner: the camera's name in messages."""
        if camera is None:
            return self.assumed(width, height, "no calibration")
        if has_size(camera, width, height):
            return Fitted(camera, "exact")
        if has_shape(camera, width, height):
            return self.resized(camera, width, height)
        return self.assumed(width, height, size_mismatch(owner, camera, width, height))

    def resized(self, camera: CameraModel, width: int, height: int) -> Fitted:
        """Pairing of a camera whose whole picture has been resized."""
        return Fitted(kept(self._derived, (camera, width, height), lambda: camera.resized(width, height)), "resized")

    def assumed(self, width: int, height: int, problem: str) -> Fitted:
        """Pairing of the assumed field of view, because of a problem."""
        camera = kept(self._derived, (width, height), lambda: CameraModel.from_hfov(width, height, self._hfov_deg))
        return Fitted(camera, "assumed", f"{problem}; assuming {self._hfov_deg:g} degrees field of view")


def kept(cache: dict[_K, _V], key: _K, make: Callable[[], _V]) -> _V:
    """cache[key], made when it is not there; a cache that has grown too large is emptied first."""
    if key not in cache:
        if len(cache) >= REMEMBERED:
            cache.clear()
        cache[key] = make()
    return cache[key]


def has_size(camera: CameraModel, width: int, height: int) -> bool:
    """Whether a camera is of this size."""
    return (camera.width, camera.height) == (width, height)


def has_shape(camera: CameraModel, width: int, height: int) -> bool:
    """Whether an image can be the whole picture of a camera, resized (to within a pixel of rounding)."""
    return abs(width * camera.height / camera.width - height) <= 1.0


def size_mismatch(owner: str, camera: CameraModel, width: int, height: int) -> str:
    """What is wrong with a camera of another size."""
    return f"{owner} is for {camera.width}x{camera.height} but the image is {width}x{height}"


class CameraChoice:
    """Which CameraModel holds for an image: the given one, else the stream's own, else an assumed field of view.

    images: Counter of "exact", "resized" and "assumed"; notices: lines for the user, one for each reason why a camera
    is not exact; last: the CameraModel of the last image; changed: whether that is of another size than the one before
    it, or assumed where that was not: then no face can be followed from one to the other.
    """

    def __init__(self, given: CameraModel | None = None, hfov_deg: float = DEFAULT_HFOV_DEG):
        self._given = given
        self._fit = CameraFit(hfov_deg)
        self.images: Counter[str] = Counter()
        self.notices: list[str] = []
        self.last: CameraModel | None = None
        self.changed = False
        self._noted: set[str] = set()

    def of(self, frame: Frame) -> CameraModel:
        """CameraModel for a Frame. Raises HpeError when it has no image."""
        if frame.image_bgr is None:
            raise HpeError(f"{frame.source} has no image: {frame.error}")
        height, width = frame.image_bgr.shape[:2]
        known, owner = (self._given, "--camera-info") if self._given else (frame.camera, "CameraInfo of the bag")
        pairing = self._fit.of(known, width, height, owner)
        self.images[pairing.source] += 1
        if known is not None and pairing.source == "resized":
            self._note("resized", f"{size_mismatch(owner, known, width, height)}: it is resized for such images")
        elif pairing.source == "assumed":
            advice = "distances and positions are as good as that (--camera-info FILE.yaml, --hfov DEG)"
            self._note("no calibration" if known is None else "another shape", f"{pairing.problem}; {advice}")
        self.changed = self.last is not None and _kind(self.last) != _kind(pairing.camera)
        self.last = pairing.camera
        return pairing.camera

    def _note(self, reason: str, text: str) -> None:
        """The first image's text stands for all that have the same reason."""
        if reason not in self._noted:
            self.notices.append(text)
        self._noted.add(reason)


def _kind(camera: CameraModel) -> tuple[bool, int, int]:
    return camera.assumed, camera.width, camera.height
