"""The list of cameras in a YAML file: names, topics, and where each one is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.io.yaml_file import load_mapping
from hpe_core.people.poses import CameraPlace

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TOPIC = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_KEYS = ("name", "namespace", "image", "camera_info", "frame_id", "extrinsics", "parameters")
_PLACE_KEYS = ("parent", "translation_m", "rpy_deg", "quaternion_xyzw")


@dataclass(frozen=True, eq=False)
class CameraEntry:
    """One camera. namespace: of its pose node, below that of the list unless it begins with a slash; image and
    camera_info: topics below the namespace, unless they begin with one; place: of its frame_id in parent, None where TF
    has it; parameters: of its pose node, name -> value.
    """

    name: str
    namespace: str
    image: str
    camera_info: str
    parameters: Mapping[str, Any]
    frame_id: str = ""
    parent: str = ""
    place: CameraPlace | None = None

    @property
    def tf_prefix(self) -> str:
        """Before the TF names and REP-155 ids of its faces, so that cameras can share one tree."""
        return self.parameters["tf_prefix"]

    def topic(self, name: str) -> str:
        """A topic as seen from the namespace of the list."""
        return name if name.startswith("/") else f"{self.namespace}/{name}"


@dataclass(frozen=True, eq=False)
class CameraList:
    """Cameras of distinct names, namespaces and images; fixed_frame: TF frame in which people are."""

    fixed_frame: str
    cameras: tuple[CameraEntry, ...]


def read_camera_list(path: str | Path) -> CameraList:
    """The CameraList in a YAML file. Raises HpeError, one line that names file and camera, when it is no such list."""
    return camera_list(load_mapping(path, "cameras file"), f"cameras file {path}")


def camera_list(values: Mapping[str, Any], where: str) -> CameraList:
    """The CameraList of what YAML says; `where` names it in messages. Raises HpeError as `read_camera_list`."""
    _check_keys(values, ("fixed_frame", "cameras"), where)
    entries = values.get("cameras")
    if not isinstance(entries, list) or not entries:
        raise HpeError(f"{where}: cameras must be a list of at least one camera, got {entries!r}")
    fixed_frame = _text(values, "fixed_frame", "map", where)
    cameras = tuple(_entry(entry, fixed_frame, f"{where}, camera {n}") for n, entry in enumerate(entries, 1))
    for what, of in (("name", lambda c: c.name), ("namespace", lambda c: c.namespace), ("image", _image)):
        first: dict[str, int] = {}
        for n, camera in enumerate(cameras, 1):
            if of(camera) in first:
                raise HpeError(f"{where}: cameras {first[of(camera)]} and {n} have the same {what} '{of(camera)}'")
            first[of(camera)] = n
    return CameraList(fixed_frame, cameras)


def _image(camera: CameraEntry) -> str:
    return camera.topic(camera.image)


def _entry(values: Any, fixed_frame: str, where: str) -> CameraEntry:
    if not isinstance(values, dict):
        raise HpeError(f"{where} must be a mapping with a name, got {values!r}")
    _check_keys(values, _KEYS, where)
    name = _text(values, "name", "", where, _NAME)
    where = f"{where} '{name}'"
    parameters = values.get("parameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        raise HpeError(f"{where}: parameters must be a mapping of names to values, got {parameters!r}")
    tf_prefix = parameters.get("tf_prefix", f"{name}_")
    if not isinstance(tf_prefix, str):
        raise HpeError(f"{where}: tf_prefix must be a text, got {tf_prefix!r}")
    frame_id, parent, place = _text(values, "frame_id", "", where), "", None
    if "extrinsics" in values:
        if not frame_id:
            raise HpeError(f"{where}: extrinsics need frame_id, the frame of its images")
        parent, place = _placed(values["extrinsics"], fixed_frame, f"{where}, extrinsics")
    return CameraEntry(
        name,
        _text(values, "namespace", name, where, _TOPIC),
        _text(values, "image", "image", where, _TOPIC),
        _text(values, "camera_info", "camera_info", where, _TOPIC),
        parameters | {"tf_prefix": tf_prefix},
        frame_id,
        parent,
        place,
    )


def _placed(values: Any, fixed_frame: str, where: str) -> tuple[str, CameraPlace]:
    """(parent frame, place of the optical frame in it)."""
    if not isinstance(values, dict):
        raise HpeError(f"{where} must be a mapping with {', '.join(_PLACE_KEYS)}, got {values!r}")
    _check_keys(values, _PLACE_KEYS, where)
    if ("rpy_deg" in values) == ("quaternion_xyzw" in values):
        raise HpeError(f"{where} must have either rpy_deg or quaternion_xyzw, got {', '.join(values) or 'nothing'}")
    t = _numbers(values, "translation_m", 3, where)
    if "rpy_deg" in values:
        roll, pitch, yaw = np.radians(_numbers(values, "rpy_deg", 3, where))
        R_x, R_y, R_z = so3.matrix_from_rotvec(np.diag([roll, pitch, yaw]))
        R = R_z @ R_y @ R_x
    else:
        try:
            R = so3.matrix_from_quat(_numbers(values, "quaternion_xyzw", 4, where))
        except HpeError as error:
            raise HpeError(f"{where}: {error}") from error
    return _text(values, "parent", fixed_frame, where), CameraPlace(R, t)


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...], where: str):
    for key in values:
        if key not in known:
            raise HpeError(f"{where}: unknown key {key!r}, known: {', '.join(known)}")


def _text(values: Mapping[str, Any], key: str, default: str, where: str, pattern: re.Pattern | None = None) -> str:
    text = values.get(key, default)
    if not isinstance(text, str) or (pattern is not None and not pattern.fullmatch(text)):
        what = "letters, digits and _, from a letter on" if pattern is _NAME else "a ROS name" if pattern else "a text"
        raise HpeError(f"{where}: {key} must be {what}, got {text!r}")
    return text


def _numbers(values: Mapping[str, Any], key: str, count: int, where: str) -> np.ndarray:
    given = values.get(key)
    numbers = given if isinstance(given, list) else []
    if len(numbers) != count or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in numbers):
        raise HpeError(f"{where}: {key} must be {count} numbers, got {given!r}")
    made = np.array([float(x) if abs(x) < 1e9 else np.inf for x in numbers])
    if not np.all(np.isfinite(made)):
        raise HpeError(f"{where}: {key} must be {count} finite numbers below 1e9, got {given!r}")
    return made
