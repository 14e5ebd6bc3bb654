import numpy as np
from scipy.spatial.transform import Rotation

from hpe_core.geometry.euler import axis_turn
from hpe_core.geometry.rigid import rigid_fit

CORNERS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])


def test_rigid_fit_finds_a_rotation_under_scale_and_shift():
    quarter = axis_turn(1, np.pi / 2)
    fit = rigid_fit(CORNERS, 2.0 * CORNERS @ quarter.T + [5.0, -6.0, 7.0])
    np.testing.assert_allclose(fit.R, quarter, atol=1e-12)
    np.testing.assert_allclose(fit.scale, 2.0)


def test_noisy_points_get_the_rotation_that_scipy_finds():
    rng = np.random.default_rng(0)
    a, weights = rng.normal(size=(20, 3)), rng.uniform(0.1, 1.0, 20)
    b = a @ Rotation.random(random_state=1).as_matrix().T + rng.normal(0, 0.1, (20, 3))
    centred = [points - weights @ points / weights.sum() for points in (a, b)]
    theirs = Rotation.align_vectors(centred[1], centred[0], weights=weights)[0].as_matrix()
    np.testing.assert_allclose(rigid_fit(a, b, weights).R, theirs, atol=1e-9)


def test_a_point_of_weight_zero_does_not_count():
    b = CORNERS @ axis_turn(2, 0.3).T
    corners, moved = np.vstack([CORNERS, [[9.0, 9.0, 9.0]]]), np.vstack([b, [[-50.0, 3.0, 8.0]]])
    np.testing.assert_allclose(rigid_fit(corners, moved, np.array([1, 1, 1, 1, 0])).R, axis_turn(2, 0.3), atol=1e-12)


def test_mirrored_points_get_a_rotation_and_no_mirror():
    fit = rigid_fit(CORNERS, CORNERS * [-1, 1, 1])
    np.testing.assert_allclose(np.linalg.det(fit.R), 1.0)


def test_points_on_one_line_determine_no_rotation():
    line = np.arange(5.0)[:, None] * [1.0, 2.0, 3.0]
    assert rigid_fit(line, line).determinacy < 1e-12 < 1e-3 < rigid_fit(CORNERS, CORNERS).determinacy


def test_one_set_is_laid_on_many():
    turns = np.stack([axis_turn(0, 0.2), axis_turn(1, -0.4)])
    fit = rigid_fit(CORNERS, CORNERS @ np.swapaxes(turns, -1, -2), np.array([[1, 1, 1, 1], [1, 2, 3, 4]]))
    np.testing.assert_allclose(fit.R, turns, atol=1e-12)
    assert fit.scale.shape == fit.determinacy.shape == (2,)
