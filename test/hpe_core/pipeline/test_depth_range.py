"""Depth images are painted point by point: a head of k times the size is k times as far at every point of its face."""

import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.face_surface import FACE_SURFACE_M
from hpe_core.pipeline.depth_range import range_readings, robust_mean, with_depth
from hpe_core.pixels.depth import DepthImage
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel.from_hfov(640, 480, 60.0)
BESIDE_M = np.array([-0.06, 0.0, 0.0])  # a point is so much further left for a depth camera 60 mm to the right


def face(range_m=1.0, yaw_deg=20.0, aside_m=0.1):
    R = aflw2000.to_matrix(EulerDeg(yaw=yaw_deg, pitch=5.0, roll=0.0))
    return Face(HeadPose(R, [aside_m, 0.02, range_m], 1e-4 * np.eye(6)), 0.9, np.zeros(4))


def painted(of, times, camera=CAMERA, moved_m=(0.0, 0.0, 0.0), background_m=7.0):
    """Depth (H, W) float32: round each point of the face a spot of its depth, nearer ones before farther ones."""
    depth = np.full((camera.height, camera.width), background_m, np.float32)
    points = times * (FACE_SURFACE_M @ of.pose.R_camera_head.T + of.pose.t_camera_head_m) + moved_m
    for (x, y), z in zip(np.rint(camera.project(points)).astype(int), points[:, 2], strict=True):
        spot = depth[y - 1 : y + 2, x - 1 : x + 2]
        spot[:] = np.minimum(spot, z)
    return depth


def reading(of, depth, **other_camera):
    return range_readings([of], DepthImage(depth, **({"camera": CAMERA} | other_camera)))[0]


@pytest.mark.parametrize("times", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("range_m", [0.4, 1.0, 4.0])
def test_the_ratio_is_by_how_much_the_face_is_farther_than_its_size_says(times, range_m):
    found = reading(face(range_m), painted(face(range_m), times))
    assert found.ratio == pytest.approx(times, abs=0.006)
    assert found.noise_std < 0.01 <= found.systematic_std < 0.02


def test_millimetres_say_the_same_as_metres():
    metres = painted(face(), 1.05)
    assert reading(face(), np.rint(1e3 * metres).astype(np.uint16)).ratio == pytest.approx(1.05, abs=0.003)


def test_holes_cost_nothing_while_a_third_of_the_face_is_left():
    depth = painted(face(), 1.08)
    depth[np.random.default_rng(0).random(depth.shape) < 0.6] = 0.0
    assert reading(face(), depth).ratio == pytest.approx(1.08, abs=0.003)


def test_a_hand_before_a_third_of_the_face_does_not_count():
    depth = painted(face(), 1.08)
    row = int(CAMERA.project(face().pose.t_camera_head_m)[1])
    depth[row + 12 :] = np.minimum(depth[row + 12 :], 0.93)  # 15 cm before the face, from below the eyes down
    assert reading(face(), depth).ratio == pytest.approx(1.08, abs=0.005)


def test_hair_into_the_forehead_counts_little():
    depth = painted(face(), 1.08)
    row = int(CAMERA.project(face().pose.t_camera_head_m)[1])
    depth[: row - 10] -= np.where(depth[: row - 10] < 2.0, np.float32(0.02), np.float32(0.0))
    assert reading(face(), depth).ratio == pytest.approx(1.08, abs=0.005)


def test_a_depth_camera_beside_the_other_one_is_looked_at_where_it_sees_the_face():
    depth_camera = CameraModel.from_hfov(848, 480, 87.0)
    for times in (0.9, 1.1):
        depth = painted(face(0.6), times, depth_camera, BESIDE_M)
        found = reading(face(0.6), depth, camera=depth_camera, t_depth_camera_m=BESIDE_M)
        assert found.ratio == pytest.approx(times, abs=0.006)


@pytest.mark.parametrize("what", ["nothing measured", "a wall far behind", "noise"])
def test_what_is_no_face_gives_no_reading_and_is_counted(what):
    depth = np.full((480, 640), {"nothing measured": 0.0, "a wall far behind": 3.0, "noise": 1.0}[what], np.float32)
    if what == "noise":
        depth *= np.random.default_rng(0).uniform(0.7, 1.4, depth.shape).astype(np.float32)
    faces, counts = with_depth([face()], DepthImage(depth, CAMERA))
    assert faces[0].reading is None
    assert counts == {"depth.measured": 0, "depth.unusable": 1}


def test_faces_are_read_each_by_itself_and_one_beside_the_image_has_no_reading():
    near, far, outside = face(0.6), face(1.5, aside_m=0.5), face(1.0, aside_m=3.0)
    depth = np.minimum(painted(near, 0.95), painted(far, 1.05))
    faces, counts = with_depth([near, far, outside], DepthImage(depth, CAMERA))
    assert [face.reading and round(face.reading.ratio, 2) for face in faces] == [0.95, 1.05, None]
    assert counts == {"depth.measured": 2, "depth.unusable": 1}
    assert with_depth([], DepthImage(depth, CAMERA))[0] == []


def test_the_robust_mean_of_a_row_leaves_out_its_outliers_and_what_is_missing():
    rows = np.array([[1.0, 1.1, 0.9, 1.0, 50.0, np.nan], [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]])
    mean, spread, weight = robust_mean(rows, np.array([0.01, 0.01]))
    np.testing.assert_allclose(mean, [1.0, 2.0])
    assert spread[1] == 0.01
    assert weight[0, 4] == weight[0, 5] == 0.0
