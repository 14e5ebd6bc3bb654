import numpy as np
import pytest

from hpe_core.config import TrackerConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.pipeline.poses import with_systematic_spread
from hpe_core.tracking.head_size import HeadSizes, moved_along_ray
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import Face, HeadPose, Landmarks, RangeReading, RangeScale

STEP_NS = 33_333_333
RAY = np.array([0.2, -0.1, 1.0]) / np.linalg.norm([0.2, -0.1, 1.0])
NOISE_M = 0.02


def seen(range_m=1.0, ratio=None, pitch_deg=0.0, ray=RAY):
    """A face whose size says range_m, with 2 cm of noise along the ray; ratio: as a depth image says."""
    covariance = np.diag([1e-6] * 3 + [1e-3] * 3)
    covariance[:3, :3] += NOISE_M**2 * np.outer(ray, ray)
    R = aflw2000.to_matrix(EulerDeg(yaw=0.0, pitch=pitch_deg, roll=0.0))
    reading = None if ratio is None else RangeReading(ratio, 0.003, 0.01)
    return Face(HeadPose(R, range_m * ray, covariance), 0.9, np.zeros(4), confirmed=True, reading=reading)


def track(tracker, faces):
    """Published faces of images 33 ms apart, each with one face."""
    published = []
    for number, face in enumerate(faces):
        (found,), _ = tracker.update([face], number * STEP_NS)
        published.append(found)
    return published


def ranges(faces):
    return np.array([np.linalg.norm(face.pose.t_camera_head_m) for face in faces])


def test_without_depth_the_poses_are_the_very_same_and_no_scale_is_known():
    sizes, faces = HeadSizes(), [seen(1.0), seen(2.0)]
    for _ in faces:
        sizes.add()
    poses, moved = sizes.measured([0, 1], faces, 0)
    assert all(pose is face.pose for pose, face in zip(poses, faces, strict=True))
    assert moved.tolist() == [1.0, 1.0]
    assert sizes.scale(0) is None and sizes.ratios([0, 1]) is None


@pytest.mark.parametrize("filtered", [True, False])
def test_the_first_image_with_depth_has_the_range_of_the_depth_image(filtered):
    (face,) = track(Tracker(TrackerConfig(filter=filtered)), [seen(1.0, 1.1)])
    assert ranges([face]) == pytest.approx(1.1, abs=0.005)
    assert with_systematic_spread([face])[0].depth_std_m == pytest.approx(0.011, abs=0.003)


def test_the_direction_in_which_a_head_is_seen_stays():
    (face,) = track(Tracker(TrackerConfig()), [seen(1.0, 1.1)])
    np.testing.assert_allclose(face.pose.t_camera_head_m / ranges([face]), RAY, atol=1e-12)


@pytest.mark.parametrize("size", [0.9, 1.1])
def test_a_learnt_head_size_keeps_the_range_right_when_depth_goes_missing(size):
    faces = [seen(1.0, size)] * 90 + [seen(1.0)] * 60
    published = track(Tracker(TrackerConfig()), faces)
    assert ranges(published)[90:] == pytest.approx(size, rel=0.01)
    with_depth, without = (pose.depth_std_m for pose in with_systematic_spread((published[89], published[-1])))
    never = with_systematic_spread(track(Tracker(TrackerConfig()), faces[90:])[-1:])[0].depth_std_m
    assert with_depth < without < 0.5 * never


def test_the_size_is_learnt_over_time_not_from_one_noisy_image():
    rng = np.random.default_rng(0)
    noisy = [seen(1.0 + NOISE_M * noise, 1.08 / (1.0 + NOISE_M * noise)) for noise in rng.standard_normal(300)]
    published = track(Tracker(TrackerConfig()), [*noisy, seen(1.0)])
    assert published[-1].scale.ratio == pytest.approx(1.08, abs=0.012)


def test_depth_that_comes_late_moves_the_head_at_once_and_gives_it_no_speed():
    published = track(Tracker(TrackerConfig()), [seen(1.0)] * 30 + [seen(1.0, 1.1)] * 10)
    np.testing.assert_allclose(ranges(published)[30:], 1.1, rtol=0.012)


def test_a_face_is_expected_where_the_image_shows_it_not_where_depth_says_it_is():
    tracker = Tracker(TrackerConfig())
    track(tracker, [seen(1.0, 1.1)] * 10)
    (expected,) = tracker.expected(10 * STEP_NS)
    np.testing.assert_allclose(expected.pose.t_camera_head_m, RAY, rtol=0.005)


def test_each_face_has_its_own_size_and_takes_it_along_when_another_one_goes():
    right, left = np.array([0.3, 0.0, 0.954]), np.array([-0.3, 0.0, 0.954])
    tracker = Tracker(TrackerConfig(timeout_s=0.2))
    both = [seen(1.0, 0.9, ray=right), seen(1.0, 1.1, ray=left)]
    known = ()
    for number in range(60):
        known, _ = tracker.update(both, number * STEP_NS)
    for number in range(60, 80):
        (last,), _ = tracker.update([seen(1.0, ray=left)], number * STEP_NS)
    assert last.face_id == known[1].face_id
    assert ranges([last]) == pytest.approx(1.1, rel=0.01)


def test_errors_of_consecutive_images_are_one_error_and_no_number_of_them_makes_the_size_certain():
    sizes = HeadSizes()
    sizes.add()
    for number in range(3000):
        sizes.measured([0], [seen(1.0, 1.05)], number * STEP_NS)
    sizes.measured([0], [seen(1.0)], 3000 * STEP_NS)
    assert sizes.scale(0).rel_std >= 0.01


def test_a_head_that_looks_down_teaches_less_about_its_size():
    learnt = []
    for pitch_deg in (0.0, -50.0):
        sizes = HeadSizes()
        sizes.add()
        sizes.measured([0], [seen(1.0, 1.1, pitch_deg)], 0)
        sizes.measured([0], [seen(1.0)], STEP_NS)
        learnt.append(sizes.scale(0).ratio)
    assert 1.0 < learnt[1] < learnt[0] < 1.1


def test_moved_along_its_ray_a_pose_has_that_range_and_spread_and_keeps_what_is_across():
    pose = seen(2.0).pose
    moved = moved_along_ray(pose, 1.1, 0.01)
    np.testing.assert_allclose(moved.t_camera_head_m, 2.2 * RAY)
    assert moved.depth_std_m == pytest.approx(0.022)
    across = np.cross(RAY, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    before, after = (across @ p.covariance[:3, :3] @ across for p in (pose, moved))
    assert after == pytest.approx(1.1**2 * before)
    np.testing.assert_allclose(moved.covariance[3:, 3:], pose.covariance[3:, 3:])


def test_landmarks_stay_on_their_pixels_when_depth_moves_the_head():
    camera = CameraModel.from_hfov(640, 480, 60.0)
    points = Landmarks(np.random.default_rng(0).uniform(-0.08, 0.08, (68, 3)), np.ones(68))
    pose = seen(1.0).pose
    by_size = Face(pose, 0.9, np.zeros(4), landmarks=points)
    by_depth = Face(moved_along_ray(pose, 1.1, 0.01), 0.9, np.zeros(4), landmarks=points, scale=RangeScale(1.1, 0.01))
    np.testing.assert_allclose(
        camera.project(by_depth.landmarks_camera_m), camera.project(by_size.landmarks_camera_m), atol=1e-9
    )
    assert np.ptp(by_depth.landmarks_camera_m[:, 0]) == pytest.approx(1.1 * np.ptp(by_size.landmarks_camera_m[:, 0]))
