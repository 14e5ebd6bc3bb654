import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from hpe_core.geometry.rigid import rotation_between_points


def test_a_face_that_was_turned_moved_and_scaled_gives_its_rotation_and_scale():
    R = Rotation.from_rotvec([0.3, -1.9, 0.7]).as_matrix()
    points = 1.7 * REFERENCE_LANDMARKS_M @ R.T + [3.0, -2.0, 9.0]
    found, s = rotation_between_points(REFERENCE_LANDMARKS_M, points)
    np.testing.assert_allclose(found, R, atol=1e-12)
    centred = REFERENCE_LANDMARKS_M - REFERENCE_LANDMARKS_M.mean(0)
    assert s.sum() / (centred**2).sum(1).mean() == pytest.approx(1.7)


def test_several_faces_with_weights_are_what_scipy_finds_one_by_one():
    rng = np.random.default_rng(4)
    points, weights = rng.normal(size=(5, 20, 3)), rng.uniform(0.1, 2.0, (5, 20))
    model = rng.normal(size=(20, 3))
    found, _ = rotation_between_points(model, points, weights)
    for R, one, w in zip(found, points, weights, strict=True):
        centred = (x - w @ x / w.sum() for x in (one, model))
        np.testing.assert_allclose(R, Rotation.align_vectors(*centred, weights=w)[0].as_matrix(), atol=1e-9)


def test_a_mirrored_face_still_gives_a_rotation():
    R, _ = rotation_between_points(REFERENCE_LANDMARKS_M, REFERENCE_LANDMARKS_M * [-1, 1, 1] + [0.0, 0.0, 0.3])
    assert np.linalg.det(R) == pytest.approx(1.0)


def test_points_on_a_line_have_a_second_singular_value_of_zero():
    line = np.linspace(0.0, 1.0, 7)[:, None] * [1.0, 2.0, 3.0]
    assert rotation_between_points(REFERENCE_LANDMARKS_M[:7], line)[1][1] == pytest.approx(0.0, abs=1e-12)
