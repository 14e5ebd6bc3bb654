"""A map of the mean face: where in the head each of its cells lies, so that every face can be seen from the front.

A cylinder about the middle of the head, unrolled, finer where lids and lips move.
"""

import numpy as np
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter

from hpe_core.mesh.head_model import SKIN, HeadModel

AXIS_Z_M = 0.075  # of the cylinder, behind the sellion
WIDTH_DEG, TOP_M, BOTTOM_M = 80.0, -0.07, 0.125  # from the middle to either side; of the rows, y down
EYES_Y_M, MOUTH_Y_M = 0.003, 0.072
EYES, MOUTH = (1.2, 0.014), (0.8, 0.022)  # how much finer, and within which distance in m
FRONT_DEG, FRONT = 45.0, 0.5  # columns within are so much finer
SMOOTH_CELLS = 1.5
_FINE_STEPS = 2000


def face_map(model: HeadModel, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (side, side, 3) m of the mean face in the head frame, and outward unit normals; float32.

    Rows go from the forehead to the chin, columns from the subject's right to the left, as a photo of the front shows.
    """
    fine_y = np.linspace(TOP_M, BOTTOM_M, _FINE_STEPS)
    density = 1.0 + _bump(fine_y - EYES_Y_M, *EYES) + _bump(fine_y - MOUTH_Y_M, *MOUTH)
    fine_deg = np.linspace(-WIDTH_DEG, WIDTH_DEG, _FINE_STEPS)
    angle = np.radians(_spread(fine_deg, 1.0 + _bump(fine_deg, FRONT, FRONT_DEG), side))
    angle, y = np.meshgrid(angle, _spread(fine_y, density, side))
    skin = model.mean_m[model.part == SKIN].astype(float)
    own = np.column_stack([np.arctan2(skin[:, 0], AXIS_Z_M - skin[:, 2]), skin[:, 1]])
    radius = np.hypot(skin[:, 0], skin[:, 2] - AXIS_Z_M)
    unit = np.array([radius.mean(), 1.0])  # both in metres along the surface
    r = griddata(own * unit, radius, (angle * unit[0], y), method="linear")
    nearest = griddata(own * unit, radius, (angle * unit[0], y), method="nearest")
    r = gaussian_filter(np.where(np.isfinite(r), r, nearest), SMOOTH_CELLS)  # nostrils and lips are folded
    points = np.stack([r * np.sin(angle), y, AXIS_Z_M - r * np.cos(angle)], -1)
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return points.astype(np.float32), normals.astype(np.float32)


def _bump(x, height, width):
    return height * np.exp(-((np.abs(x) / width) ** 4))


def _spread(x, density, count):
    """`count` of the values x, as dense as `density` (like x) says."""
    share = np.cumsum(density) - 0.5 * density
    return np.interp((np.arange(count) + 0.5) / count * np.sum(density), share, x)
