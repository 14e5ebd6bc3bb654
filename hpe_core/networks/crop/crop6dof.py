"""crop6dof at inference: a look-at crop of every face found -> better pose, covariance and 68 landmarks. NumPy only."""

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.head import REFERENCE_LENGTH_M, pixels_per_metre, range_from_size
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.pixels.canvas import SourceImage, crop_rows

MIRRORED_UP_TO = 3  # crops of one image that are looked at mirrored too: twice the time of the network
# the network's own uncertainty of the face's centre; upright photographed faces of 14 px and more give 0.0017 to 0.0055
SURE_CENTRE_STD_M = 0.0055  # hands, print and backs of heads give more
DOUBTFUL_CENTRE_STD_M = 0.004  # from here on a face may stand on its head: 5 % of upright faces, all that do
CLEARLY_SURER = 0.75  # ratio of the uncertainties of the two ways up; lower for a face, but not for one on its side
HALF_TURN = np.array([-1.0, -1.0, 1.0])  # about the optical axis


class Refiner:
    """Refines the candidates of one image. rotation: `crop` takes the crop network's own, `fused` joins it with the
    first one; a callable makes it from landmarks (N, 68, 3), (N, 68): R_local (N, 3, 3), covariance (N, 3, 3), where
    the crop is sure of a face.

    Up to mirrored_up_to crops are looked at twice, as they are and mirrored, and what is said of both is averaged.
    """

    def __init__(self, backend, rotation="fused", mirrored_up_to=MIRRORED_UP_TO):
        self._backend, self._rotation, self._mirrored_up_to = backend, rotation, mirrored_up_to
        self._columns = {name: slice(*span) for name, span in backend.card.columns.items()}
        self._crop_m = backend.card.crop_m
        self._mirror_index, self._mirror_sign = mirror_of_rows(self._columns)
        self._turn_sign = half_turn_of_rows(self._columns)
        self._calibration = backend.card.calibration

    def refine(self, found, image, camera, looks=1):
        """The candidates (dict of arrays, N faces) with pose, covariance and landmarks from their crops.

        They need score, size_px and centre_px with a ray; centre_px becomes NaN where a crop places the face beyond the
        lens (CameraModel.in_range). `sure` (N,) says whether the crop shows a face, by the network's own uncertainty.
        A crop of which it is doubtful is looked at upside down too: an upside-down face is then read right, and where
        neither way up is clearly surer nothing is sure. With more `looks` each but the last one only places the next
        crop.

        image: SourceImage, or (H, W, 3) uint8 BGR, as delivered (distorted); camera: its CameraModel.
        Raises HpeError when the network's output is not finite.
        """
        if len(found["score"]) == 0:
            return found
        source, centre_px, size_px = SourceImage.of(image), found["centre_px"], found["size_px"]
        for _ in range(looks - 1):
            seen = self._seen(source, camera, centre_px, size_px, mirrored=False)
            nearest = np.clip(seen["centre_px"], 0.0, [camera.width - 1.0, camera.height - 1.0])
            has_ray = np.isfinite(camera.rays(nearest)).all(-1)
            centre_px = np.where(has_ray[:, None], nearest, centre_px)
            size_px = np.where(has_ray, seen["size_px"], size_px)
        mirrored = len(centre_px) <= self._mirrored_up_to
        return self._joined(found, self._seen(source, camera, centre_px, size_px, mirrored))

    def _seen(self, source, camera, centre_px, size_px, mirrored):
        """What the network says about faces whose centres (N, 2) and sizes (N,) are known roughly."""
        rays = camera.rays(centre_px)
        range_m = range_from_size(camera, rays, size_px)
        rows = self._rows(source, camera, rays, range_m, mirrored)
        std_m = self._centre_std_m(rows)
        sure, upside_down = std_m < SURE_CENTRE_STD_M, np.zeros(len(rows), bool)
        doubtful = np.flatnonzero(std_m > DOUBTFUL_CENTRE_STD_M)
        if len(doubtful):
            again = self._rows(source, camera, rays[doubtful], range_m[doubtful], mirrored, upside_down=True)
            sure[doubtful], upside_down[doubtful] = surer_way_up(std_m[doubtful], self._centre_std_m(again))
            rows[upside_down] = again[upside_down[doubtful]]
        return self._decoded(rows, rays, range_m, camera) | {"sure": sure, "upside_down": upside_down}

    def _rows(self, source, camera, rays, range_m, mirrored, upside_down=False):
        """Rows (N, C) of the crops, in the axes of the look-at camera whichever way up the crops are."""
        rows = crop_rows(self._backend, source, camera, rays, range_m, self._crop_m, mirrored, upside_down)
        rows = rows.astype(float)
        if not np.all(np.isfinite(rows)):
            raise HpeError("the crop network's output is not finite: its weights or its precision are broken")
        if mirrored:
            rows, again = np.split(rows, 2)
            rows = 0.5 * (rows + self._mirror_sign * again[:, self._mirror_index])
        return self._turn_sign * rows if upside_down else rows

    def _centre_std_m(self, rows):
        """The network's own uncertainty (N,) of the face centre across the line of sight."""
        return np.exp(rows[:, self._columns["log_centre_std_m"]][:, 0])

    def _decoded(self, rows, rays, range_m, camera):
        """What the rows say, in the terms of the candidates: look-at rotation, image centre and size, covariances."""
        value = {name: rows[:, span] for name, span in self._columns.items()}
        scale = self._calibration
        R_lookat_camera = lookat_rotation(rays)
        middle = np.concatenate([value["centre_m"] / range_m[:, None], np.ones((len(rows), 1))], -1)
        new_rays = (middle[:, None] @ R_lookat_camera)[:, 0]
        new_rays /= np.linalg.norm(new_rays, axis=-1, keepdims=True)
        size_ratio = np.exp(value["log_size"][:, 0])
        new_range = range_m / size_ratio
        points = value["landmarks_m"].reshape(len(rows), -1, 3)
        points = (points - np.pad(value["centre_m"], ((0, 0), (0, 1)))[:, None]) / size_ratio[:, None, None]
        return {
            "R_local": so3.matrix_from_sixd(value["sixd"]),
            "rotation_covariance": covariance_from_factor(value["precision_factor"]) * scale.rotation_std**2,
            "centre_px": np.where(camera.in_range(new_rays)[:, None], camera.project(new_rays), np.nan),
            "size_px": REFERENCE_LENGTH_M * pixels_per_metre(camera, new_rays * new_range[:, None]),
            "centre_rel_std": np.exp(value["log_centre_std_m"][:, 0]) / REFERENCE_LENGTH_M * scale.centre_std,
            "size_rel_std": np.exp(value["log_size_std"][:, 0]) * scale.size_std,
            "landmarks_m": points,
            "visible": 1.0 / (1.0 + np.exp(-value["visibility"])),
        }

    def _joined(self, found, refined):
        """Candidates with the refined values, the rotation by the method asked for; nothing to fuse: the crop's own."""
        if self._rotation == "fused" and "R_local" in found:
            upright = ~refined["upside_down"]  # the first network takes all faces for upright
            refined["R_local"][upright], refined["rotation_covariance"][upright] = fuse_rotations(
                refined["R_local"][upright],
                refined["rotation_covariance"][upright],
                found["R_local"][upright],
                found["rotation_covariance"][upright],
                self._calibration.correlation,
            )
        elif callable(self._rotation) and refined["sure"].any():
            sure = refined["sure"]  # landmarks of what is no face mean nothing, and take longest
            turn = np.where(refined["upside_down"][sure, None], HALF_TURN, 1.0)
            R, covariance = self._rotation(refined["landmarks_m"][sure] * turn[:, None], refined["visible"][sure])
            refined["R_local"][sure] = turn[:, :, None] * R
            # the network's own covariance tells how hard the image is, the landmarks' how well they fix a pose
            refined["rotation_covariance"][sure] += turn[:, :, None] * covariance * turn[:, None]
        return found | refined


def mirror_of_rows(columns):
    """Columns (C,) and signs (C,): a row of a crop says the same as signs * row[columns] of the mirrored crop.

    columns: dict name -> slice of crop6dof's row. In a mirror R becomes M R M and the factor L of a covariance M L M
    with M = diag(-1, 1, 1), x changes its sign and landmarks their side.
    """
    width = max(span.stop for span in columns.values())
    index, sign = np.arange(width), np.ones(width)
    sign[columns["sixd"]] = [1, -1, -1, -1, 1, 1]
    sign[columns["precision_factor"]] = [1, 1, 1, -1, -1, 1]
    sign[columns["centre_m"]] = [-1, 1]
    sign[columns["landmarks_m"]] = np.tile([-1, 1, 1], len(FLIP_68))
    index[columns["landmarks_m"]] = index[columns["landmarks_m"]].reshape(-1, 3)[FLIP_68].ravel()
    index[columns["visibility"]] = index[columns["visibility"]][FLIP_68]
    return index, sign


def half_turn_of_rows(columns):
    """Signs (C,): a row of a crop says the same as signs * row of the crop turned by 180 degrees.

    columns: dict name -> slice of crop6dof's row. R becomes Z R and the factor L of a covariance Z L Z with
    Z = diag(-1, -1, 1); x and y change their signs.
    """
    sign = np.ones(max(span.stop for span in columns.values()))
    sign[columns["sixd"]] = np.tile(HALF_TURN, 2)
    sign[columns["precision_factor"]] = [1, 1, 1, 1, -1, -1]
    sign[columns["centre_m"]] = HALF_TURN[:2]
    sign[columns["landmarks_m"]] = np.tile(HALF_TURN, len(FLIP_68))
    return sign


def surer_way_up(std_m, upside_down_std_m):
    """Masks (N,): whether one of two ways to look at a crop is sure of a face, clearly more than the other; and
    whether the surer way is the second. The stds (N,) are the network's own of the face centre, metres.
    """
    least, other = np.minimum(std_m, upside_down_std_m), np.maximum(std_m, upside_down_std_m)
    return (least < SURE_CENTRE_STD_M) & (least < CLEARLY_SURER * other), upside_down_std_m < std_m


def covariance_from_factor(factor):
    """Covariance (N, 3, 3) rad^2 of the left rotation error; factor (N, 6): L of the information L L' (the spec)."""
    L = np.zeros((len(factor), 3, 3))
    L[:, range(3), range(3)] = np.exp(np.clip(factor[:, :3], -2.0, 7.0))
    L[:, 1, 0], L[:, 2, 0], L[:, 2, 1] = factor[:, 3:].T
    inverse = np.linalg.inv(L)
    return np.swapaxes(inverse, -1, -2) @ inverse


def fuse_rotations(R_a, P_a, R_b, P_b, correlation=0.0):
    """Rotation (N, 3, 3) of least error between two estimates, and its covariance.

    correlation in [0, 1): of their errors; both networks learnt from the same labels. With the cross covariance
    C = correlation * P_a^1/2 P_b^1/2, R_a weighs W = (P_b - C') (P_a + P_b - C - C')^-1 (Bar-Shalom and Campo, IEEE
    Trans. AES 1986), and the covariance is that of W e_a + (1 - W) e_b.
    """
    cross = correlation * _root(P_a) @ _root(P_b)
    crossed = np.swapaxes(cross, -1, -2)
    W = (P_b - crossed) @ np.linalg.inv(P_a + P_b - cross - crossed)
    V = np.eye(3) - W
    between = so3.rotvec_from_matrix(R_a @ np.swapaxes(R_b, -1, -2))
    R = so3.matrix_from_rotvec((W @ between[..., None])[..., 0]) @ R_b
    mixed = W @ cross @ np.swapaxes(V, -1, -2)
    P = W @ P_a @ np.swapaxes(W, -1, -2) + V @ P_b @ np.swapaxes(V, -1, -2) + mixed + np.swapaxes(mixed, -1, -2)
    return R, P


def _root(P):
    """Symmetric square root of covariances (N, 3, 3)."""
    values, vectors = np.linalg.eigh(P)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
