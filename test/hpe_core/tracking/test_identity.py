import numpy as np
import pytest

from hpe_core.config import TrackerConfig
from hpe_core.tracking import identity
from hpe_core.tracking.head_size import at_size_of_identity
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import Face, FaceShape, HeadPose, Landmarks, RangeReading

FRAME_NS = 33_333_333
COVARIANCE = np.diag([1e-5, 1e-5, 1e-4, 1e-4, 1e-4, 1e-4])


def face(number=0.0, t=(0.0, 0.0, 1.0), expression=0.0, log_size=0.0, seen=1.0, reading=None):
    shape = FaceShape(np.full(40, number), np.full(53, expression), None, log_size)
    landmarks = Landmarks(np.zeros((68, 3)), np.full(68, seen))
    pose = HeadPose(np.eye(3), np.array(t), COVARIANCE)
    return Face(pose, 0.99, np.zeros(4), landmarks=landmarks, confirmed=True, reading=reading, shape=shape)


def tracked(faces):
    """What a tracker publishes of one face after the other, 30 a second."""
    tracker = Tracker(TrackerConfig(id_seed=1))
    return [tracker.update([one], i * FRAME_NS)[0][0] for i, one in enumerate(faces)]


def test_the_identity_of_a_track_is_the_mean_of_its_images_and_the_expression_that_of_the_last():
    numbers = [1.0, 2.0, 3.0, 6.0]
    published = tracked([face(number, expression=number / 10) for number in numbers])
    means = [np.mean(numbers[: i + 1]) for i in range(4)]
    np.testing.assert_allclose([one.shape.identity[0] for one in published], means)
    np.testing.assert_allclose([one.shape.expression[0] for one in published], np.divide(numbers, 10))


def test_an_image_that_shows_half_of_the_face_counts_half():
    published = tracked([face(0.0, seen=1.0), face(3.0, seen=0.5)])
    np.testing.assert_allclose(published[-1].shape.identity, 1.0)


def test_the_mean_goes_on_to_adapt_after_many_images(monkeypatch):
    monkeypatch.setattr(identity, "MOST_IMAGES", 10.0)
    published = tracked([face(0.0)] * 30 + [face(1.0)] * 30)
    expected = 1.0 - (1.0 - 1.0 / 11.0) ** 30  # each image a share of 1 / 11
    np.testing.assert_allclose(published[-1].shape.identity, expected, rtol=1e-6)


def test_two_faces_keep_their_own_identities_and_a_new_track_starts_anew():
    tracker, left, right = Tracker(TrackerConfig(id_seed=1)), (-0.3, 0.0, 1.0), (0.3, 0.0, 1.0)
    for i in range(5):
        published, _ = tracker.update([face(1.0, right), face(-1.0, left)], i * FRAME_NS)
    by_side = {np.sign(one.pose.t_camera_head_m[0]): one.shape.identity[0] for one in published}
    assert by_side == {1.0: pytest.approx(1.0), -1.0: pytest.approx(-1.0)}
    later, _ = tracker.update([face(5.0, left)], 5 * FRAME_NS + 3_000_000_000)
    assert later[0].shape.identity[0] == 5.0


def test_a_head_that_people_of_its_identity_have_larger_is_farther_off_in_the_same_direction():
    published = tracked([face(log_size=0.05, t=(0.2, 0.0, 1.0))] * 20)
    for one in published:
        np.testing.assert_allclose(one.pose.t_camera_head_m, np.exp(0.05) * np.array([0.2, 0.0, 1.0]), atol=1e-6)
        assert one.scale.ratio == pytest.approx(np.exp(0.05))
    single = at_size_of_identity(face(log_size=0.05, t=(0.2, 0.0, 1.0)))
    np.testing.assert_allclose(single.pose.t_camera_head_m, published[0].pose.t_camera_head_m, atol=1e-9)


def test_noise_of_the_identity_is_averaged_out_of_the_distance_and_leaves_no_speed():
    """Sizes that spread by 5 % from image to image: after 2 s the distance is within 1 %."""
    rng = np.random.default_rng(0)
    published = tracked([face(log_size=0.04 + 0.05 * rng.normal()) for _ in range(60)])
    ranges = np.array([one.pose.t_camera_head_m[2] for one in published])
    assert abs(ranges[-1] / np.exp(0.04) - 1.0) < 0.015
    assert np.abs(np.diff(ranges[30:])).max() < 0.01


def test_depth_counts_more_than_the_identity():
    reading = RangeReading(1.2, 0.005, 0.01)
    published = tracked([face(log_size=-0.05)] * 5 + [face(log_size=-0.05, reading=reading)] * 30)
    assert published[4].pose.t_camera_head_m[2] == pytest.approx(np.exp(-0.05), rel=1e-3)
    assert published[-1].pose.t_camera_head_m[2] == pytest.approx(1.2, rel=0.01)
    after = tracked([face(log_size=-0.05, reading=reading)] * 30 + [face(log_size=-0.05)] * 5)
    assert after[-1].pose.t_camera_head_m[2] == pytest.approx(1.2, rel=0.02)  # what depth taught stays


def test_a_face_without_a_shape_is_as_it_was():
    plain = Face(HeadPose(np.eye(3), np.array([0.0, 0.0, 1.0]), COVARIANCE), 0.99, np.zeros(4), confirmed=True)
    (published,), _ = Tracker(TrackerConfig(id_seed=1)).update([plain], 0)
    assert published.shape is None and published.scale is None and at_size_of_identity(plain) is plain
