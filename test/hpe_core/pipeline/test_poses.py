"""What stays wrong from image to image must be in what is published: the tables of what was measured, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from hpe_core.candidates import Candidates
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, HEAD_SIZE_REL_STD
from hpe_core.pipeline.poses import face_visibility, faces_from_candidates, with_systematic_spread
from hpe_core.types import Face, HeadPose

SURE_DEG, RANGE_M = 1.0, 2.0


def published(yaw=0.0, pitch=0.0, roll=0.0, score=0.995, confirmed=None):
    """A face 2 m away of which its network is sure, as it is published."""
    R = aflw2000.to_matrix(EulerDeg(yaw, pitch, roll))
    covariance = np.diag([1e-6] * 3 + [np.radians(SURE_DEG) ** 2] * 3)
    pose = HeadPose(R, np.array([0.0, 0.0, RANGE_M]) - R @ FACE_CENTRE_M, covariance)
    return with_systematic_spread([Face(pose, score, np.zeros(4), confirmed=confirmed)])[0]


@pytest.mark.parametrize("yaw, pitch, off", [(0, 30, 0.07), (0, -50, 0.07), (90, 0, 0.04), (-90, 0, 0.04)])
def test_the_depth_of_a_turned_head_is_as_uncertain_as_it_was_measured_to_be_off(yaw, pitch, off):
    pose = published(yaw, pitch, confirmed=True)
    assert off < pose.depth_std_m / np.linalg.norm(pose.t_camera_head_m) < 0.12


def test_the_depth_of_a_face_to_the_camera_is_uncertain_by_the_size_of_heads_alone():
    pose = published(confirmed=True)
    assert pose.depth_std_m / np.linalg.norm(pose.t_camera_head_m) == pytest.approx(HEAD_SIZE_REL_STD, rel=0.01)


@pytest.mark.parametrize(
    "face, at_least_deg",
    [
        ({}, 0.0),
        ({"score": 0.9}, 60.0),  # half of all faces below 30 px, and all backs of heads
        ({"roll": 45.0}, 60.0),
        ({"yaw": 80.0}, 15.0),
        ({"score": 0.5, "confirmed": True}, 0.0),
        ({"yaw": 80.0, "confirmed": True}, 0.0),
    ],
)
def test_only_without_a_crop_network_a_pose_may_be_another_one_altogether(face, at_least_deg):
    std_deg = published(**face).rotation_std_deg
    assert at_least_deg < std_deg < at_least_deg + 3.0


@pytest.mark.parametrize("yaw, more_deg", [(0, 0.0), (60, 0.0), (90, 1.0), (120, 3.5), (150, 5.0), (-150, 5.0)])
def test_no_filter_averages_away_how_far_a_head_that_points_away_is_read_wrong(yaw, more_deg):
    as_always = published(confirmed=True).rotation_std_deg
    turned = published(yaw, confirmed=True).rotation_std_deg
    assert turned == pytest.approx(np.hypot(as_always, more_deg), abs=0.01)


def test_a_head_that_may_look_anywhere_has_its_nose_root_anywhere_on_a_ball_around_its_face():
    pose = published(score=0.5)
    lateral_std_m = np.sqrt(np.diag(pose.covariance)[:2])
    np.testing.assert_allclose(lateral_std_m, np.linalg.norm(FACE_CENTRE_M[[1, 2]]) * np.radians(60.0), rtol=0.2)
    assert np.linalg.eigvalsh(pose.covariance).min() > -1e-12


def test_many_faces_are_published_as_each_alone_and_a_pose_without_covariance_as_it_is():
    rng = np.random.default_rng(3)
    faces = []
    for number in range(40):
        R = aflw2000.to_matrix(EulerDeg(*rng.uniform(-80, 80, 3)))
        A = rng.normal(size=(6, 6)) * 0.05
        pose = HeadPose(R, rng.uniform([-1, -1, 0.5], [1, 1, 4]), A @ A.T if number % 5 else None)
        faces.append(Face(pose, rng.uniform(0.9, 1.0), np.zeros(4), confirmed=(None, True)[number % 2]))
    for face, together in zip(faces, with_systematic_spread(faces), strict=True):
        (alone,) = with_systematic_spread([face])
        np.testing.assert_array_equal(together.R_camera_head, face.pose.R_camera_head)
        np.testing.assert_array_equal(together.t_camera_head_m, face.pose.t_camera_head_m)
        if face.pose.covariance is None:
            assert together.covariance is None
        else:
            np.testing.assert_allclose(together.covariance, alone.covariance, rtol=1e-12, atol=1e-15)


def test_a_face_counts_as_seen_up_to_a_turn_of_100_degrees():
    """Of renders of unseen people the landmarks are, on average, 0.94 visible from the front, 0.52 at 75 to 90 degrees,
    0.40 at 90 to 105, 0.13 at 120 to 135, 0.05 from behind."""
    means = np.array([0.94, 0.52, 0.40, 0.13, 0.05])
    seen = face_visibility(np.tile(means[:, None], 68))
    np.testing.assert_allclose(seen, [1.0, 0.944, 0.638, 0.011, 0.002], atol=1e-3)
    half = np.repeat([1.0, 0.0], 34)  # it is the mean that counts
    assert face_visibility(half[None])[0] == pytest.approx(face_visibility(np.full((1, 68), 0.5))[0])


def test_landmarks_are_given_only_where_the_face_may_be_seen():
    camera = CameraModel.from_hfov(640, 480, 60.0)
    found = Candidates(
        score=np.full(3, 0.9),
        centre_px=np.array([[100.0, 240.0], [320.0, 240.0], [500.0, 240.0]]),
        size_px=np.full(3, 60.0),
        R_local=np.tile(np.eye(3), (3, 1, 1)),
        rotation_covariance=np.tile(0.01 * np.eye(3), (3, 1, 1)),
        centre_rel_std=np.full(3, 0.02),
        size_rel_std=np.full(3, 0.03),
        confirmed=np.ones(3, bool),
        landmarks_m=np.zeros((3, 68, 3)),
        visible=np.repeat([[0.9], [0.27], [0.24]], 68, 1),
    )
    faces = faces_from_candidates(found, camera)
    assert [face.landmarks is not None for face in faces] == [True, True, False]
    assert [face.turned_away for face in faces] == [False, True, True]
    without = faces_from_candidates(replace(found, landmarks_m=None, visible=None), camera)
    assert [(face.landmarks, face.face_visibility, face.turned_away) for face in without] == [(None, None, False)] * 3
