"""ICT-FaceKit heads and their photo textures; skipped without the data folder."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.geometry.rigid import rotation_between_points
from training.render import assets
from training.render.heads import landmarks
from training.render.heads.ict import LANDMARKS, MULTI_PIE, SELLION, IctModel
from training.render.heads.makehuman import HeadModel
from training.render.heads.people import mean_shape


@pytest.fixture(scope="module")
def ict():
    if not (assets.DEFAULT_DATA / "heads" / "ict_facekit").exists():
        pytest.skip(f"no render data in {assets.DEFAULT_DATA}")
    return IctModel()


def test_neutral_landmarks_face_the_camera_with_the_sellion_at_the_origin(ict):
    p = ict.neutral[LANDMARKS]
    assert np.allclose(ict.neutral[SELLION], 0, atol=1e-6)
    assert p[36, 0] < 0 < p[45, 0] and p[8, 1] > 0.1 and np.argmin(p[:, 2]) == 30
    assert 0.08 < np.linalg.norm(p[36] - p[45]) < 0.1


def test_every_identity_lies_on_the_mean_face_with_its_sellion_at_the_origin(ict):
    rng = np.random.default_rng(0)
    for _ in range(3):
        v = ict.face(rng.normal(0, 0.8, 100), np.zeros(53))
        assert np.linalg.norm(v[SELLION]) < 1e-6
        a, b = v[:9409] - v[:9409].mean(0), ict.reference - ict.reference.mean(0)
        turn = Rotation.align_vectors(b[::20], a[::20])[0].magnitude()
        assert np.degrees(turn) < 0.5


def test_jaw_open_moves_the_chin_and_leaves_the_brows(ict):
    expression = np.zeros(53)
    expression[ict.expression_names.index("jawOpen")] = 1.0
    moved = np.linalg.norm((ict.face(np.zeros(100), expression) - ict.face(np.zeros(100), 0 * expression)), axis=1)
    assert moved[LANDMARKS[8]] > 0.01 and moved[LANDMARKS[17:27]].max() < 0.002


def test_fit_finds_the_camera_and_the_landmarks_it_was_given(ict):
    from training.render.heads.skins import MODES, USED, fit

    rng = np.random.default_rng(1)
    v = ict.face(rng.normal(0, 0.7, 20), np.zeros(53))
    R = Rotation.from_euler("XYZ", [5, 15, -8], degrees=True).as_matrix()
    px = 600 * (v[LANDMARKS] @ R.T)[:, :2] + [120, 130]
    basis = np.concatenate([ict.identity[:MODES], ict.expression])
    _, (R_fit, _, _), residual = fit(ict, basis, px)
    assert len(residual) == len(USED) and np.median(residual) < 0.002
    assert np.degrees(Rotation.from_matrix(R_fit.T @ R).magnitude()) < 4


def test_weak_perspective_recovers_an_exact_camera():
    from training.render.heads.skins import weak_perspective

    rng = np.random.default_rng(0)
    X, R = rng.normal(size=(20, 3)), Rotation.from_rotvec([0.2, -0.5, 0.1]).as_matrix()
    found, scale, shift = weak_perspective(X, 3.0 * (X @ R.T)[:, :2] + [4, -5])
    assert np.allclose(found, R, atol=1e-9)
    assert scale == pytest.approx(3.0) and shift == pytest.approx([4, -5])


EYES_AND_NOSE = slice(27, 48)  # of the 68: they do not move with the face


def test_eyes_and_nose_of_both_kinds_of_mean_head_face_the_same_way_within_half_a_degree(ict):
    people = HeadModel()
    mean = people.targets.add(people.base, mean_shape())
    vertices = people.mesh_to_head(mean, 1.0)(mean)
    of_makehuman = landmarks.at(people.landmark_index, people.landmark_weight, vertices)[EYES_AND_NOSE]
    R, _ = rotation_between_points(of_makehuman, ict.neutral[MULTI_PIE][EYES_AND_NOSE])
    assert np.degrees(Rotation.from_matrix(R).magnitude()) < 0.5
