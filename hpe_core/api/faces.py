"""All faces of one image, and what they can be turned into."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import cv2
import numpy as np

from hpe_core.api.face import FacePose
from hpe_core.api.images import ImageLike, bgr_of
from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.geometry.camera import CameraModel
from hpe_core.output import overlay
from hpe_core.output.blur import blurred, head_regions
from hpe_core.output.choices import DEFAULT_PARTS, EXTRAS, MESHES, PARTS, checked
from hpe_core.output.tables.pose_columns import face_columns, face_values
from hpe_core.safe_files import write_whole

if TYPE_CHECKING:
    import pandas
    import supervision


class Faces(Sequence[FacePose]):
    """The faces of one image.

    camera: the CameraModel they are in; its `assumed` says that the focal length is a guess. counts: what gave no face,
    by reason (hpe_core.types.FrameResult), such as `unconfirmed`. candidate_boxes_px: as there.
    """

    def __init__(
        self,
        faces: Sequence[FacePose],
        camera: CameraModel,
        counts: Mapping[str, int],
        rgb: bool = False,
        candidate_boxes_px: np.ndarray | None = None,
    ):
        self._faces, self.camera, self.counts, self._rgb = tuple(faces), camera, dict(counts), rgb
        self._candidate_boxes_px = np.zeros((0, 4)) if candidate_boxes_px is None else candidate_boxes_px

    def __len__(self) -> int:
        return len(self._faces)

    @overload
    def __getitem__(self, index: int) -> FacePose: ...

    @overload
    def __getitem__(self, index: slice) -> Faces: ...

    def __getitem__(self, index: int | slice) -> FacePose | Faces:
        if isinstance(index, slice):
            return Faces(self._faces[index], self.camera, self.counts, self._rgb, self._candidate_boxes_px)
        return self._faces[index]

    def __repr__(self) -> str:
        return f"<{len(self)} face{'' if len(self) == 1 else 's'}{''.join(f'{chr(10)} {face}' for face in self)}>"

    def draw(self, image: ImageLike, parts: Collection[str] = DEFAULT_PARTS, blur_faces: bool = False) -> Picture:
        """The image with contours, axes, uncertainty and numbers; a large one is reduced to 1280 pixels.

        image: as for `HeadPose.predict`, the one that the faces are of. It stays as it is. parts: what to draw, of
        "box", "cuboid", "contours", "points", "landmarks" (both), "uncertainty", "axes", "label" and "legend", and, of
        models of dense faces, "mesh", "normals", "depth" and "wireframe". blur_faces: make the heads
        unrecognisable first, also those that were found and are not among these faces.
        """
        image_bgr = bgr_of(image, self._rgb)
        height, width = image_bgr.shape[:2]
        if (width, height) != (self.camera.width, self.camera.height):
            raise HpeError(
                f"the image is {width}x{height}, but the faces are of one of {self.camera.width}x{self.camera.height}"
            )
        parts, faces = checked(parts, PARTS, "parts"), [face.detection for face in self]
        meshes = [part for part in parts if part in MESHES]
        if meshes and any(face.shape is None for face in faces):
            raise HpeError(f"the part '{meshes[0]}' needs a model that tells the shape of faces, such as 'dense'")
        if blur_faces:
            image_bgr = blurred(image_bgr, head_regions(self.camera, faces, self._candidate_boxes_px))
        return Picture(overlay.draw(image_bgr, self.camera, faces, parts=parts))

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, texts, lists and None, ready for JSON: image, camera, counts, faces."""
        camera = self.camera
        lens = {"K": camera.K.tolist(), "D": camera.D.tolist(), "model": camera.model}
        return {
            "image": {"width": camera.width, "height": camera.height},
            "camera": lens | {"assumed": camera.assumed},
            "counts": dict(self.counts),
            "faces": [face.to_dict() for face in self],
        }

    def to_pandas(self, columns: Collection[str] = ()) -> pandas.DataFrame:
        """A DataFrame with a row per face and the columns of poses.csv: quaternion (x, y, z, w) and translation are of
        the REP-155 face frame in the camera frame, `sight_yaw_deg` ... are relative to the line of sight. Needs pandas.

        columns: further ones, of "covariance", "landmarks" (pixels) and "landmarks_m" (metres, in the camera frame).
        """
        extras = checked(columns, EXTRAS, "columns")
        try:
            import pandas
        except ImportError as error:
            raise HpeError("to_pandas needs pandas: pip install pandas") from error
        names = face_columns(extras)
        rows = [dict(zip(names, face_values(face.detection, face.camera, extras), strict=True)) for face in self]
        return pandas.DataFrame(rows, columns=list(names))

    def to_supervision(self) -> supervision.Detections:
        """supervision.Detections: boxes, scores, track ids (numbers from 0) and, under `data`, the angles in degrees
        and the position. Needs supervision."""
        try:
            import supervision
        except ImportError as error:
            raise HpeError("to_supervision needs supervision: pip install supervision") from error
        ids = [face.detection.face_id for face in self]
        tracked = [FaceId(text).number for text in ids if text is not None]
        return supervision.Detections(
            xyxy=np.array([face.box for face in self], np.float32).reshape(-1, 4),
            confidence=np.array([face.score for face in self], np.float32),
            class_id=np.zeros(len(self), int),
            tracker_id=np.array(tracked, int) if len(tracked) == len(self) > 0 else None,
            data={
                "class_name": np.array(["face"] * len(self), dtype=str),
                "yaw_deg": np.array([face.yaw for face in self], float),
                "pitch_deg": np.array([face.pitch for face in self], float),
                "roll_deg": np.array([face.roll for face in self], float),
                "position_m": np.array([face.position_m for face in self], float).reshape(-1, 3),
            },
        )


class Picture:
    """A drawn image. bgr: (H, W, 3) uint8; rgb: the same for PIL and matplotlib. Notebooks show it by themselves."""

    def __init__(self, bgr: np.ndarray):
        self.bgr = bgr

    @property
    def rgb(self) -> np.ndarray:
        return np.ascontiguousarray(self.bgr[:, :, ::-1])

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind that its suffix names (.jpg, .png ...), in place of one that is there; returns its
        path. Raises HpeError when the suffix is unknown or the file cannot be written."""
        path = Path(path)
        try:
            write_whole(path, _encoded(self.bgr, path.suffix))
        except OSError as error:
            raise HpeError(f"{path} cannot be written: {error.strerror or error}") from error
        return path

    def _repr_png_(self) -> bytes:
        return _encoded(self.bgr, ".png")

    def __repr__(self) -> str:
        height, width = self.bgr.shape[:2]
        return f"<picture {width}x{height}>"


def _encoded(bgr: np.ndarray, suffix: str) -> bytes:
    try:
        done, data = cv2.imencode(suffix, bgr)
    except cv2.error:
        done, data = False, np.zeros(0)
    if not done:
        raise HpeError(f"a picture is saved as .jpg, .png, .webp, .bmp or .tiff, got suffix '{suffix}'")
    return data.tobytes()
