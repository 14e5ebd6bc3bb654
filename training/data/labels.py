"""The label of a face, wherever it comes from: photographs, renders, shards, scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpe_core.io.shards import EXACT, LABEL, LANDMARKS, SHAPE, UNKNOWN

_MARK = "landmarks_"


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """The 68 landmarks of a face, or of F faces."""

    px: np.ndarray  # (..., 68, 2), pixel centres at integers
    z_m: np.ndarray  # (..., 68) depth beyond the face centre in the virtual camera
    visible: np.ndarray  # (..., 68) 1, 0 or UNKNOWN

    def columns(self) -> dict[str, np.ndarray]:
        """By the keys of a shard."""
        return {key: getattr(self, key.removeprefix(_MARK)) for key in LANDMARKS}

    @classmethod
    def unknown(cls, *faces: int) -> FaceLandmarks:
        """Those of a face of which none is known, or of so many."""
        return cls(np.full((*faces, 68, 2), np.nan), np.full((*faces, 68), np.nan), np.full((*faces, 68), UNKNOWN))


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceLabel:
    """Label of one face, or of F faces: then every field has F rows. Meaning of the fields: hpe_core.io.shards.

    K, R_camera_head, t_camera_head_m: exact camera and pose of a render; identity, expression, gaze_rad: of its head.
    """

    R_local: np.ndarray  # (..., 3, 3)
    centre_px: np.ndarray  # (..., 2)
    size_px: np.ndarray | float  # (...,)
    rot_std_deg: np.ndarray | float  # (...,)
    weight: np.ndarray | float  # (...,) 1 = train on it, 0 = something like a face, label unknown
    landmarks: FaceLandmarks | None = None
    K: np.ndarray | None = None  # (..., 3, 3)
    R_camera_head: np.ndarray | None = None  # (..., 3, 3)
    t_camera_head_m: np.ndarray | None = None  # (..., 3)
    identity: np.ndarray | None = None  # (..., 100)
    expression: np.ndarray | None = None  # (..., 53)
    gaze_rad: np.ndarray | None = None  # (..., 4)

    def __len__(self) -> int:
        return int(np.size(self.size_px))

    def columns(self) -> dict[str, np.ndarray]:
        """What is known, by the keys of a shard."""
        known = {key: getattr(self, key) for key in (*LABEL, *EXACT, *SHAPE)}
        known = {key: value for key, value in known.items() if value is not None}
        return known if self.landmarks is None else known | self.landmarks.columns()

    @classmethod
    def of_columns(cls, columns: dict[str, np.ndarray]) -> FaceLabel:
        """The FaceLabel of `columns`; other keys are ignored."""
        own = {key: columns[key] for key in (*LABEL, *EXACT, *SHAPE) if key in columns}
        marks = {key.removeprefix(_MARK): columns[key] for key in LANDMARKS if key in columns}
        return cls(**own, landmarks=FaceLandmarks(**marks) if len(marks) == len(LANDMARKS) else None)

    def where(self, keep) -> FaceLabel:
        """The faces selected by a mask or index (F,); one face by its number."""
        return FaceLabel.of_columns({key: value[keep] for key, value in self.columns().items()})

    @staticmethod
    def concatenate(parts: Sequence[FaceLabel]) -> FaceLabel:
        """One FaceLabel of all parts, each of several faces, in order; all must know what the first one knows."""
        return _joined(np.concatenate, parts)

    @staticmethod
    def stack(faces: Sequence[FaceLabel]) -> FaceLabel:
        """One FaceLabel of single faces, in order; all must know what the first one knows."""
        return _joined(np.stack, faces) if faces else FaceLabel.empty()

    @classmethod
    def unknown(cls, centre_px: np.ndarray, size_px: np.ndarray | float) -> FaceLabel:
        """Something like a face there (..., 2), of that size (...,): weight 0."""
        faces = np.shape(size_px)
        R = np.broadcast_to(np.eye(3), (*faces, 3, 3))
        sure = {"rot_std_deg": np.full(faces, 180.0), "weight": np.zeros(faces)}
        return cls(R_local=R, centre_px=centre_px, size_px=size_px, **sure)

    @staticmethod
    def empty() -> FaceLabel:
        """No faces."""
        return FaceLabel.of_columns({key: np.zeros((0, *shape)) for key, shape in LABEL.items()})


def _joined(join, labels: Sequence[FaceLabel]) -> FaceLabel:
    columns = [label.columns() for label in labels]
    return FaceLabel.of_columns({key: join([column[key] for column in columns]) for key in columns[0]})
