"""Heads made unrecognisable, so that a picture can be published: nothing of them is left but a few mean colours."""

from collections.abc import Sequence

import cv2
import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.types import Face, FrameResult

CELLS = 4  # mean colours across a head: what is left of it
HEAD_RADIUS_M = 0.16  # around the face's centre: all of a head, however it is turned, and some hair
HOLD_NS = 500_000_000  # so long a place stays hidden where a face was and is not found for a moment
_TURNS = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURNS), np.sin(_TURNS)], 1)
_NEAREST_M = 0.05


def head_regions(camera: CameraModel, faces: Sequence[Face], candidate_boxes_px: np.ndarray) -> list[np.ndarray]:
    """Convex outlines (N, 2) px around the heads of faces, and of what may be one (M, 4) as in FrameResult."""
    regions = [_around_pose(camera, face) for face in faces]
    centres = 0.5 * (candidate_boxes_px[:, :2] + candidate_boxes_px[:, 2:])
    sides = candidate_boxes_px[:, 2] - candidate_boxes_px[:, 0]
    scale = HEAD_RADIUS_M / REFERENCE_LENGTH_M
    return regions + [centre + scale * side * _CIRCLE for centre, side in zip(centres, sides, strict=True)]


def _around_pose(camera: CameraModel, face: Face) -> np.ndarray:
    """The outline of a ball around the head, as this camera sees it, and of the box."""
    x0, y0, x1, y1 = face.box_px
    centre_m = face.pose.t_camera_head_m + face.pose.R_camera_head @ FACE_CENTRE_M
    range_m = np.linalg.norm(centre_m)
    ball_m = centre_m + HEAD_RADIUS_M * _CIRCLE @ lookat_rotation(centre_m / max(range_m, 1e-9))[:2]
    ball_m[:, 2] = np.maximum(ball_m[:, 2], _NEAREST_M)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    points = np.concatenate([camera.project(ball_m), corners]).astype(np.float32)
    return cv2.convexHull(points)[:, 0].astype(float)


def blurred(image_bgr: np.ndarray, regions: Sequence[np.ndarray]) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 in which each region (N, 2) px, convex, is only CELLS mean colours across.

    What was there cannot be computed back: of a head at most (CELLS + 1)^2 colours remain, with smooth steps between.
    """
    image = image_bgr.copy()
    for region in regions:
        _hide(image, region)
    return image


def _hide(image: np.ndarray, region: np.ndarray) -> None:
    height, width = image.shape[:2]
    low, high = np.floor(region.min(0)), np.ceil(region.max(0)) + 1.0
    (x0, y0), (x1, y1) = np.clip([low, high], 0, [width, height]).astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        return
    reach = 4.0 * max(height, width)  # a head at the edge may reach far outside
    outline = np.round(np.clip(region, -reach, reach)).astype(np.int32) - [x0, y0]
    part, mask = image[y0:y1, x0:x1], np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(mask, outline, 255)
    # cells of the whole head, also where the image shows half of it
    columns, rows = np.maximum(1, np.ceil(CELLS * np.array([x1 - x0, y1 - y0]) / (high - low))).astype(int).tolist()
    cells = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    cv2.copyTo(cv2.resize(cells, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR), mask, part)


class HeadBlur:
    """Hides the heads in the images of one stream, also for HOLD_NS where a face is lost for a moment."""

    def __init__(self):
        self._held: list[tuple[int, np.ndarray]] = []  # stamp and outline

    def hide(self, image_bgr: np.ndarray, camera: CameraModel, result: FrameResult) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 without the heads of the FrameResult, published or not."""
        now = head_regions(camera, result.faces, result.candidate_boxes_px)
        held = [one for one in self._held if 0 < result.stamp_ns - one[0] <= HOLD_NS and not _seen_again(one[1], now)]
        self._held = [*held, *((result.stamp_ns, region) for region in now)]
        return blurred(image_bgr, [region for _, region in self._held])

    def reset(self) -> None:
        """Forget all places, as before an image that does not follow the last one."""
        self._held = []


def _seen_again(region: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    """Whether the middle of a region lies in one of the others."""
    x, y = region.mean(0).tolist()
    return any(cv2.pointPolygonTest(other.astype(np.float32), (x, y), False) >= 0 for other in others)
