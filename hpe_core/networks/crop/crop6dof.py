"""Rows of crop6dof, a network over face-centred crops: pose with covariance, and 68 landmarks."""

import numpy as np

from hpe_core.candidates import Candidates
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
# the network's own uncertainty of the face's centre; upright photographed faces of 14 px and more give 0.0018 to 0.006
CONFIRMED_CENTRE_STD_M = 0.006  # hands and print, which it mostly takes to face the camera, give more
# so much more where it says that the face points aside: a head in profile is harder to place, and from 120 degrees on,
# where it shows no face, harder still. All of it from the second cosine to the camera on, none before the first
ASIDE_CENTRE_STD_M, ASIDE_COSINES = 0.0015, (0.6, 0.2)
DOUBTFUL_CENTRE_STD_M = 0.004  # from here on a face may stand on its head: 5 % of upright faces, all that do
CLEARLY_MORE_CERTAIN = 0.75  # ratio of the stds of the two ways up; lower for a face, but not for one on its side


class Decoder:
    """A hpe_core.networks.network.CropDecoder."""

    def __init__(self, card: NetworkCard):
        self._columns = {name: slice(*card.columns[name]) for name in COLUMNS}
        self._mirror_index, self._mirror_sign = mirror_of_rows(self._columns, card.row)
        self._turn_sign = half_turn_of_rows(self._columns, card.row)
        self._calibration = card.calibration

    def mirrored(self, rows: np.ndarray) -> np.ndarray:
        return self._mirror_sign * rows[:, self._mirror_index]

    def half_turned(self, rows: np.ndarray) -> np.ndarray:
        return self._turn_sign * rows

    def confirmed(self, rows: np.ndarray) -> np.ndarray:
        return self._confirmed(rows, so3.matrix_from_sixd(rows[:, self._columns["sixd"]]))

    def _confirmed(self, rows, R_local):
        return self._centre_std_m(rows) < confirmed_centre_std_m(R_local)

    def doubtful(self, rows: np.ndarray) -> np.ndarray:
        return self._centre_std_m(rows) > DOUBTFUL_CENTRE_STD_M

    def better_way_up(self, rows: np.ndarray, turned_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        limit_m, turned_limit_m = (
            confirmed_centre_std_m(so3.matrix_from_sixd(some[:, self._columns["sixd"]])) for some in (rows, turned_rows)
        )
        return more_certain_way_up(self._centre_std_m(rows), self._centre_std_m(turned_rows), limit_m, turned_limit_m)

    def decode(
        self, rows: np.ndarray, score: np.ndarray, camera: CameraModel, rays: np.ndarray, range_m: np.ndarray
    ) -> Candidates:
        value = {name: rows[:, span] for name, span in self._columns.items()}
        R_lookat_camera = lookat_rotation(rays)
        middle = np.concatenate([value["centre_m"] / range_m[:, None], np.ones((len(rows), 1))], -1)
        new_rays = (middle[:, None] @ R_lookat_camera)[:, 0]
        new_rays /= np.linalg.norm(new_rays, axis=-1, keepdims=True)
        size_ratio = np.exp(value["log_size"][:, 0])
        new_range = range_m / size_ratio
        points = value["landmarks_m"].reshape(len(rows), -1, 3).copy()
        points[..., :2] -= value["centre_m"][:, None]
        points /= size_ratio[:, None, None]
        scale, R_local = self._calibration, so3.matrix_from_sixd(value["sixd"])
        return Candidates(
            score=score,
            centre_px=np.where(camera.in_range(new_rays)[:, None], camera.project(new_rays), np.nan),
            size_px=REFERENCE_LENGTH_M * pixels_per_metre(camera, new_rays * new_range[:, None]),
            R_local=R_local,
            rotation_covariance=covariance_from_factor(value["precision_factor"]) * scale.rotation_std**2,
            centre_rel_std=self._centre_std_m(rows) / REFERENCE_LENGTH_M * scale.centre_std,
            size_rel_std=np.exp(value["log_size_std"][:, 0]) * scale.size_std,
            confirmed=self._confirmed(rows, R_local),
            landmarks_m=points,
            visible=1.0 / (1.0 + np.exp(-value["visibility"])),
        )

    def _centre_std_m(self, rows):
        """The network's own uncertainty (N,) of the face centre across the line of sight."""
        return np.exp(rows[:, self._columns["log_centre_std_m"]][:, 0])


def mirror_of_rows(columns: dict[str, slice], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (width,) and signs (width,): a row of a crop says the same as signs * row[columns] of the mirrored crop.

    columns: name -> slice of crop6dof's row. In a mirror R becomes M R M and the factor L of a covariance M L M
    with M = diag(-1, 1, 1), x changes its sign and landmarks their side.
    """
    index, sign = np.arange(width), np.ones(width)
    sign[columns["sixd"]] = [1, -1, -1, -1, 1, 1]
    sign[columns["precision_factor"]] = [1, 1, 1, -1, -1, 1]
    sign[columns["centre_m"]] = [-1, 1]
    sign[columns["landmarks_m"]] = np.tile([-1, 1, 1], len(FLIP_68))
    index[columns["landmarks_m"]] = index[columns["landmarks_m"]].reshape(-1, 3)[FLIP_68].ravel()
    index[columns["visibility"]] = index[columns["visibility"]][FLIP_68]
    return index, sign


def half_turn_of_rows(columns: dict[str, slice], width: int) -> np.ndarray:
    """Signs (width,): a row of a crop says the same as signs * row of the crop turned by 180 degrees.

    columns: name -> slice of crop6dof's row. R becomes Z R and the factor L of a covariance Z L Z with
    Z = diag(-1, -1, 1); x and y change their signs.
    """
    sign = np.ones(width)
    sign[columns["sixd"]] = np.tile(HALF_TURN, 2)
    sign[columns["precision_factor"]] = [1, 1, 1, 1, -1, -1]
    sign[columns["centre_m"]] = HALF_TURN[:2]
    sign[columns["landmarks_m"]] = np.tile(HALF_TURN, len(FLIP_68))
    return sign


def confirmed_centre_std_m(R_local: np.ndarray) -> np.ndarray:
    """Below which std (N,) of its centre a face is one, metres, by its rotation (N, 3, 3)."""
    first, last = ASIDE_COSINES
    aside = (first - R_local[:, 2, 2]) / (first - last)
    return CONFIRMED_CENTRE_STD_M + ASIDE_CENTRE_STD_M * np.minimum(np.maximum(aside, 0.0), 1.0)


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
    L = np.zeros((len(factor), 3, 3))
    L[:, range(3), range(3)] = np.exp(np.clip(factor[:, :3], -2.0, 7.0))
    L[:, 1, 0], L[:, 2, 0], L[:, 2, 1] = factor[:, 3:].T
    inverse = np.linalg.inv(L)
    return np.swapaxes(inverse, -1, -2) @ inverse
