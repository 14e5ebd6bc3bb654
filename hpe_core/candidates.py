"""Possible faces of one image, between the networks and the tracker: a row each, the same for every network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

Rows = TypeVar("Rows", bound="Places")


@dataclass(frozen=True, eq=False, kw_only=True)
class Places:
    """Where N faces may be in an image. rays, range_m: the centres' place in the camera frame, where whoever made the
    places had it at hand; None: to be taken from centre_px and size_px.
    """

    score: np.ndarray  # (N,) 0 ... 1
    centre_px: np.ndarray  # (N, 2) of the face centre in the image
    size_px: np.ndarray  # (N,) of REFERENCE_LENGTH_M at the face centre
    rays: np.ndarray | None = None  # (N, 3) unit, NaN where the camera has none
    range_m: np.ndarray | None = None  # (N,)

    def __len__(self) -> int:
        return len(self.score)

    def where(self: Rows, rows: np.ndarray | slice) -> Rows:
        """The rows that a mask (N,), indices or a slice name; these themselves where a mask leaves none out."""
        if isinstance(rows, np.ndarray) and rows.dtype == bool and rows.all():
            return self
        taken: dict[str, Any] = {name: None if values is None else values[rows] for name, values in vars(self).items()}
        return type(self)(**taken)


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidates(Places):
    """N possible faces. Rotations and landmarks are in the virtual camera that is turned to the centre of each face
    (hpe_core.geometry.lookat).

    confirmed: whether a crop network, too, takes it for a face; None where none tells. Both fields of landmarks
    (hpe_core.types.Landmarks) are None without a network that has them.
    """

    R_local: np.ndarray  # (N, 3, 3) head to virtual camera; NaN where a crop network gives no rotation
    rotation_covariance: np.ndarray  # (N, 3, 3) rad^2 of the left error, about the virtual camera's axes
    centre_rel_std: np.ndarray  # (N,) of REFERENCE_LENGTH_M
    size_rel_std: np.ndarray  # (N,) of the size
    confirmed: np.ndarray | None = None  # (N,) bool
    landmarks_m: np.ndarray | None = None  # (N, 68, 3) on a head of reference size, from the face centre
    visible: np.ndarray | None = None  # (N, 68) 0 ... 1
    identity: np.ndarray | None = None  # (N, 40), (N, 53) and (N, 4) of a dense network (hpe_core.types.FaceShape)
    expression: np.ndarray | None = None
    gaze_rad: np.ndarray | None = None

    @classmethod
    def empty(cls) -> Candidates:
        """No candidate."""
        return cls(
            score=np.zeros(0),
            centre_px=np.zeros((0, 2)),
            size_px=np.zeros(0),
            R_local=np.zeros((0, 3, 3)),
            rotation_covariance=np.zeros((0, 3, 3)),
            centre_rel_std=np.zeros(0),
            size_rel_std=np.zeros(0),
        )

    def concat(self, more: Candidates) -> Candidates:
        """These rows, then those of `more`. Either may be empty; else both are of the same networks."""
        if len(self) == 0:
            return more
        if len(more) == 0:
            return self
        pairs = {name: (values, getattr(more, name)) for name, values in vars(self).items() if values is not None}
        return replace(self, **{name: np.concatenate(pair) for name, pair in pairs.items()})
