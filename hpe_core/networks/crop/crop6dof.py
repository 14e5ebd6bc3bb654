"""Rows of crop6dof, a network over face-centred crops: pose with covariance, and 68 landmarks.

Networks with a part of its columns are read by it, too: a rotation is all that they must have.
"""

from collections.abc import Iterable

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.geometry.lookat import HALF_TURN, lookat_rotation
from hpe_core.network_card import NetworkCard

COLUMNS = {
    "sixd": 6,
    "precision_factor": 6,  # L of the information L L' of the rotation: ln of the diagonal, then (1, 0), (2, 0), (2, 1)
    "centre_m": 2,  # of the face, from the crop's middle
    "log_size": 1,  # against the one that the crop was cut for
    "log_centre_std_m": 1,
    "log_size_std": 1,
    "landmarks_m": 3 * 68,
    "visibility": 68,
}
NEEDED = ("sixd",)
# of the place and size of a crop whose network says nothing of them: in the median what head6dof says of photos
CENTRE_STD_M, SIZE_REL_STD = 0.005, 0.08
# the network's own uncertainty of the face's centre; upright photographed faces of 14 px and more give 0.0018 to 0.006
CONFIRMED_CENTRE_STD_M = 0.006  # hands and print, which it mostly takes to face the camera, give more
# so much more where it says that the face points aside: a head in profile is harder to place, and from 120 degrees on,
# where it shows no face, harder still. All of it from the second cosine to the camera on, none before the first
ASIDE_CENTRE_STD_M, ASIDE_COSINES = 0.0015, (0.6, 0.2)
# and this on top where it says that the face points away: of 62 candidates that are no face and of which it says so,
# none gives less than 0.008
AWAY_CENTRE_STD_M, AWAY_COSINES = 0.002, (0.2, -0.8)
DOUBTFUL_CENTRE_STD_M = 0.004  # from here on a face may stand on its head: 5 % of upright faces, all that do
CLEARLY_MORE_CERTAIN = 0.75  # ratio of the stds of the two ways up; lower for a face, but not for one on its side


class Decoder:
    """A hpe_core.networks.network.CropDecoder. columns: names of what it reads of a row, with or without landmarks."""

    def __init__(self, card: NetworkCard, columns: Iterable[str] = COLUMNS):
        self._columns = {name: slice(*card.columns[name]) for name in columns if name in card.columns}
        self.places_faces = {"centre_m", "log_size", "log_centre_std_m"} <= set(self._columns)
        self._constant_std_deg = card.calibration.rotation_std_deg or 0.0  # of a rotation without a precision_factor
        if "precision_factor" not in self._columns and not self._constant_std_deg:
            raise HpeError(f"{card.name} has no column 'precision_factor': its card needs calibration.rotation_std_deg")
        self._mirror_index, self._mirror_sign = mirror_of_rows(self._columns, card.row)
        self._turn_sign = half_turn_of_rows(self._columns, card.row)
        self._calibration = card.calibration

    def mirrored(self, rows: np.ndarray) -> np.ndarray:
        return self._mirror_sign * rows[:, self._mirror_index]

    def half_turned(self, rows: np.ndarray) -> np.ndarray:
        return self._turn_sign * rows

    def confirmed(self, rows: np.ndarray) -> np.ndarray | None:
        return self._confirmed(self._comparable_std_m(rows), self._R_local(rows))

    def doubtful(self, rows: np.ndarray) -> np.ndarray:
        if "log_centre_std_m" not in self._columns:
            return np.zeros(len(rows), bool)
        return self._comparable_std_m(rows) > DOUBTFUL_CENTRE_STD_M

    def better_way_up(self, rows: np.ndarray, turned_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        limit_m, turned_limit_m = (confirmed_centre_std_m(self._R_local(one)) for one in (rows, turned_rows))
        std_m, turned_std_m = self._comparable_std_m(rows), self._comparable_std_m(turned_rows)
        return more_certain_way_up(std_m, turned_std_m, limit_m, turned_limit_m)

    def decode(
        self, rows: np.ndarray, score: np.ndarray, camera: CameraModel, rays: np.ndarray, range_m: np.ndarray
    ) -> Candidates:
        value = {name: rows[:, span] for name, span in self._columns.items()}
        new_rays = rays
        if "centre_m" in value:
            middle = np.ones((len(rows), 3))
            middle[:, :2] = value["centre_m"] / range_m[:, None]
            new_rays = (middle[:, None] @ lookat_rotation(rays))[:, 0]
            new_rays /= np.sqrt((new_rays * new_rays).sum(-1, keepdims=True))
        size_ratio = np.exp(value["log_size"][:, 0]) if "log_size" in value else np.ones(len(rows))
        new_range = range_m / size_ratio
        landmarks_m, visible = _landmarks(value, size_ratio)
        R_local, centre_std_m, scale = self._R_local(rows), self._centre_std_m(rows), self._calibration
        centre_px, beyond = camera.project(new_rays), ~camera.in_range(new_rays)
        size_px = REFERENCE_LENGTH_M * pixels_per_metre(camera, new_rays * new_range[:, None])
        if beyond.any():
            centre_px[beyond], new_rays = np.nan, np.where(beyond[:, None], np.nan, new_rays)
        return Candidates(
            score=score,
            centre_px=centre_px,
            size_px=size_px,
            rays=new_rays,
            range_m=new_range,
            R_local=R_local,
            rotation_covariance=self._rotation_covariance(value),
            centre_rel_std=centre_std_m / REFERENCE_LENGTH_M * scale.centre_std,
            size_rel_std=self._exp(rows, "log_size_std", SIZE_REL_STD) * scale.size_std,
            confirmed=self._confirmed(centre_std_m / scale.own_centre_std, R_local),
            landmarks_m=landmarks_m,
            visible=visible,
        )

    def _rotation_covariance(self, value):
        """(N, 3, 3) rad^2, calibrated."""
        if "precision_factor" in value:
            return covariance_from_factor(value["precision_factor"]) * self._calibration.rotation_std**2
        return np.tile(np.radians(self._constant_std_deg) ** 2 * np.eye(3), (len(value["sixd"]), 1, 1))

    def _R_local(self, rows):
        """Rotations (N, 3, 3), head to virtual camera; NaN where a row has none."""
        return so3.rotations_or_nan(rows[:, self._columns["sixd"]])

    def _confirmed(self, centre_std_m, R_local):
        """As `confirmed`, by the comparable stds (N,) and rotations (N, 3, 3) of rows."""
        return centre_std_m < confirmed_centre_std_m(R_local) if "log_centre_std_m" in self._columns else None

    def _centre_std_m(self, rows):
        """The network's own uncertainty (N,) of the face centre across the line of sight."""
        return self._exp(rows, "log_centre_std_m", CENTRE_STD_M)

    def _comparable_std_m(self, rows):
        """The same (N,) as crop6dof would say it, for which the limits hold."""
        return self._centre_std_m(rows) / self._calibration.own_centre_std

    def _exp(self, rows, column, without):
        """exp (N,) of a column of rows, or `without` it a constant."""
        span = self._columns.get(column)
        return np.full(len(rows), without) if span is None else np.exp(rows[:, span][:, 0])


def _landmarks(value, size_ratio):
    """Landmarks (N, 68, 3) m and visibility (N, 68) as in Candidates, by the columns of rows; (None, None) without.

    All are visible where the network does not tell.
    """
    if "landmarks_m" not in value:
        return None, None
    points = value["landmarks_m"].reshape(len(size_ratio), -1, 3).copy()
    if "centre_m" in value:
        points[..., :2] -= value["centre_m"][:, None]
    points /= size_ratio[:, None, None]
    if "visibility" not in value:
        return points, np.ones(points.shape[:2])
    return points, 1.0 / (1.0 + np.exp(-value["visibility"]))


def mirror_of_rows(columns: dict[str, slice], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (width,) and signs (width,): a row of a crop says the same as signs * row[columns] of the mirrored crop.

    columns: name -> slice of those of crop6dof's columns that the row has. In a mirror R becomes M R M and the factor L
    of a covariance M L M with M = diag(-1, 1, 1), x changes its sign and landmarks their side.
    """
    signs = {
        "sixd": [1, -1, -1, -1, 1, 1],
        "precision_factor": [1, 1, 1, -1, -1, 1],
        "centre_m": [-1, 1],
        "landmarks_m": np.tile([-1, 1, 1], len(FLIP_68)),
    }
    index = np.arange(width)
    for name, dimensions in (("landmarks_m", 3), ("visibility", 1)):
        if name in columns:
            index[columns[name]] = index[columns[name]].reshape(-1, dimensions)[FLIP_68].ravel()
    return index, _signs_of_row(signs, columns, width)


def half_turn_of_rows(columns: dict[str, slice], width: int) -> np.ndarray:
    """Signs (width,): a row of a crop says the same as signs * row of the crop turned by 180 degrees.

    columns: name -> slice of those of crop6dof's columns that the row has. R becomes Z R and the factor L of a
    covariance Z L Z with Z = diag(-1, -1, 1); x and y change their signs.
    """
    signs = {
        "sixd": np.tile(HALF_TURN, 2),
        "precision_factor": [1, 1, 1, 1, -1, -1],
        "centre_m": HALF_TURN[:2],
        "landmarks_m": np.tile(HALF_TURN, len(FLIP_68)),
    }
    return _signs_of_row(signs, columns, width)


def _signs_of_row(signs, columns, width):
    """(width,): the signs of these columns, where the row has them, 1 elsewhere."""
    row = np.ones(width)
    for name in signs.keys() & columns.keys():
        row[columns[name]] = signs[name]
    return row


def confirmed_centre_std_m(R_local: np.ndarray) -> np.ndarray:
    """Below which std (N,) of its centre a face is one, metres, by its rotation (N, 3, 3) to the virtual camera."""
    limit_m = np.full(len(R_local), CONFIRMED_CENTRE_STD_M)
    for more_m, (first, last) in ((ASIDE_CENTRE_STD_M, ASIDE_COSINES), (AWAY_CENTRE_STD_M, AWAY_COSINES)):
        turned = (first - R_local[:, 2, 2]) / (first - last)
        limit_m += more_m * np.minimum(np.maximum(turned, 0.0), 1.0)
    return limit_m


def more_certain_way_up(
    std_m: np.ndarray, upside_down_std_m: np.ndarray, limit_m: np.ndarray, upside_down_limit_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (N,): whether one of the two ways up confirms a face, clearly more than the other; and whether the more
    certain way is the second. The stds (N,) are the network's own of the face centre, the limits (N,) those that
    confirm a face, metres.
    """
    upside_down = upside_down_std_m < std_m
    least, other = np.minimum(std_m, upside_down_std_m), np.maximum(std_m, upside_down_std_m)
    limit_m = np.where(upside_down, upside_down_limit_m, limit_m)
    return (least < limit_m) & (least < CLEARLY_MORE_CERTAIN * other), upside_down


def covariance_from_factor(factor: np.ndarray) -> np.ndarray:
    """Covariance (N, 3, 3) rad^2 of the left rotation error; factor (N, 6): L of the information L L' (the spec)."""
    a, b, c = np.exp(-np.minimum(np.maximum(factor[:, :3], -2.0), 7.0)).T  # of the inverse of L
    d, e, f = factor[:, 3:].T
    inverse = np.zeros((len(factor), 9))
    inverse[:, 0], inverse[:, 4], inverse[:, 8] = a, b, c
    inverse[:, 3] = below = -d * a * b
    inverse[:, 6], inverse[:, 7] = -c * (e * a + f * below), -f * b * c
    inverse = inverse.reshape(-1, 3, 3)
    return inverse.swapaxes(-1, -2) @ inverse
