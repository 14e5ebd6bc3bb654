"""Numbers of the dense network."""

import numpy as np
import pytest

pytest.importorskip("torch")

from hpe_core.geometry import so3
from training.measure import dense


def test_a_turned_shifted_and_scaled_shape_is_aligned_to_itself():
    target = np.random.default_rng(0).normal(size=(20, 3))
    moved = 1.3 * target @ so3.matrix_from_rotvec([0.3, -0.2, 2.0]).T + [0.1, 0.2, -3.0]
    np.testing.assert_allclose(dense.aligned(moved, target), target, atol=1e-12)


def test_a_mirrored_shape_is_not_aligned_by_a_mirror():
    target = np.random.default_rng(0).normal(size=(20, 3))
    assert np.linalg.norm(dense.aligned(target * [-1, 1, 1], target) - target, axis=1).mean() > 0.5


def test_one_of_four_pairs_in_the_wrong_order_is_an_auc_of_three_quarters():
    assert dense.auc(np.array([1.0, 3.0, 2.0, 4.0]), np.array([False, False, True, True])) == 0.75


def test_landmarks_a_tenth_of_the_eye_distance_off_are_ten_per_cent_off():
    marks = np.random.default_rng(0).uniform(-0.05, 0.05, (1, 68, 3))
    marks[0, 36], marks[0, 45] = [-0.045, 0.0, 0.0], [0.045, 0.0, 0.0]
    faces = {"landmarks_m": marks, "R_local": np.eye(3)[None]}
    found = marks + [0.0, 0.009, 0.0]
    assert dense.nme(found, faces, np.zeros((1, 3)))["nme_percent_all"] == pytest.approx(10.0)
