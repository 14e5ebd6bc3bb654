"""The 68 landmarks of rendered faces. What needs the data folder or EGL is skipped where they are absent."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("moderngl", reason="moderngl is not installed")

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M
from training.render import assets, sample
from training.render.heads import landmarks
from training.render.heads.people import mean_shape

UNIT = "expression/units/caucasian/"
UPPER_LID, LOWER_LID = [37, 38, 43, 44], [41, 40, 47, 46]


def plain_look(studio, **changes):
    look = studio.model.sample(np.random.default_rng(3))
    plain = {"shape": mean_shape(), "expression": {}, "hair": None, "extras": (), "beard": 0.0, "size": 1.0}
    return replace(look, **(plain | changes))


def seen_at(studio, look, yaw):
    """Which landmarks of a head at 0.8 m are visible."""
    from training.render.gl import Scene

    K, R = sample.pinhole(40, 192, 192), aflw2000.to_matrix(EulerDeg(yaw, 0, 0))
    label = sample.label(K, R, np.array([0, 0, 0.8]) - R @ FACE_CENTRE_M)
    scene = Scene(K, 192, 192, R, label.t_camera_head_m, np.zeros(3), studio.model.pivot_m, np.ones((9, 3)))
    head = studio.load(look)
    studio._cached = (None, None, None)
    studio.renderer.draw(head.parts, look, scene)
    return studio.landmarks(head, scene, label)


def test_a_ray_from_the_front_hits_the_nearest_of_two_triangles():
    corners = np.array([[[-1, -1, 5], [1, -1, 5], [0, 2, 5]], [[-1, -1, 2], [1, -1, 2], [0, 2, 2]]], float)
    index, weight = landmarks.cast_from_front(np.array([[0, 1, 2], [3, 4, 5]]), corners, np.array([0.0, 0.0]))
    assert list(index) == [3, 4, 5]
    assert weight == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_mirror_is_its_own_inverse_and_keeps_the_middle_of_the_face():
    assert np.array_equal(landmarks.MIRROR[landmarks.MIRROR], np.arange(68))
    assert list(np.flatnonzero(np.arange(68) == landmarks.MIRROR)) == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_landmarks_of_the_mean_head_are_symmetric_and_in_order(studio):
    p = studio.model.build(plain_look(studio)).landmarks
    assert np.abs(p - p[landmarks.MIRROR] * [-1, 1, 1]).max() < 0.002
    assert p[0, 0] < p[36, 0] < p[39, 0] < 0 < p[42, 0] < p[45, 0] < p[16, 0]  # subject's right is image left
    assert p[27, 1] < p[30, 1] < p[33, 1] < p[51, 1] < p[57, 1] < p[8, 1]
    assert np.argmin(p[:, 2]) == 30  # the tip of the nose is in front
    assert np.linalg.norm(p[27]) < 0.004  # landmark 27 is the sellion


def test_closed_eyes_and_an_open_mouth_move_their_landmarks(studio):
    shut = {UNIT + "eye-left-closure": 1.0, UNIT + "eye-right-closure": 1.0}
    heads = [
        studio.model.build(plain_look(studio, expression=e)).landmarks for e in ({}, shut, {UNIT + "mouth-open": 1})
    ]
    lids = [np.linalg.norm(p[UPPER_LID] - p[LOWER_LID], axis=1).mean() for p in heads]
    assert lids[0] > 0.006 and lids[1] < 0.4 * lids[0]
    lips = [np.linalg.norm(p[62] - p[66]) for p in heads]
    assert lips[0] < 0.004 and lips[2] > 0.02


def test_a_frontal_bald_head_shows_its_landmarks_and_a_profile_hides_the_far_side(studio):
    look = plain_look(studio)
    assert seen_at(studio, look, 0).visible[17:].mean() > 0.95
    left = seen_at(studio, look, 80)  # turned to image left: the subject's left side is seen
    assert left.visible[[45, 14, 13, 12]].all() and not left.visible[[36, 2, 3, 4]].any()


def test_a_face_mask_hides_mouth_and_chin_but_not_the_eyes(studio):
    visible = seen_at(studio, plain_look(studio, extras=("mask",)), 0).visible
    assert visible[36:48].all() and not visible[48:68].any()


def test_landmark_depth_is_measured_from_the_face_centre_along_the_ray_to_it(studio):
    found = seen_at(studio, plain_look(studio), 0)
    assert found.z_m[30] < -0.06 < found.z_m[16] < 0.05
    head = studio.model.build(plain_look(studio)).landmarks
    assert np.allclose(found.z_m, head[:, 2] - FACE_CENTRE_M[2], atol=1e-6)  # frontal, on the axis


def test_a_view_holds_the_asked_number_of_people_apart_from_each_other():
    rng = np.random.default_rng(0)
    for count in (1, 4, 8):
        group = sample.sample_group(rng, 640, 480, count)
        assert len(group) == count
        centres = np.array([a.R_camera_head @ FACE_CENTRE_M + a.t_camera_head_m for a in group])
        distance = np.linalg.norm(centres[:, None] - centres, axis=2) + np.eye(count)
        assert distance.min() > sample.APART_M
        assert all(abs(aflw2000.from_matrix(a.R_local).yaw) <= 90 for a in group)
        assert all(0 <= a.centre_px[0] < 640 and 0 <= a.centre_px[1] < 480 for a in group)


def test_views_of_several_people_are_reproducible_and_hide_who_stands_behind(studio):
    first = studio.view(1, 0, 160, 120, (3, 3))
    studio.view(1, 1, 160, 120, (1, 1))
    again = studio.view(1, 0, 160, 120, (3, 3))
    assert len(first.faces) == 3 and first.image.shape == (120, 160, 3)
    assert np.array_equal(first.image, again.image)
    assert len({f.person for f in first.faces}) == 3
    for face in first.faces:
        assert face.label.weight == float(face.landmarks.visible.mean() >= 0.25)


def test_train_and_test_share_no_skin_hair_or_environment(studio):
    for names in (studio.model.textures, assets.HAIR, [e.name for e in studio.environments]):
        test = {n for n in names if assets.in_split(n, "test")}
        train = {n for n in names if assets.in_split(n, "train")}
        assert test and train and not test & train
        assert all(assets.in_split(n, None) for n in names)
