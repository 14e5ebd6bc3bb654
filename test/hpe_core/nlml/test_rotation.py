import numpy as np

from hpe_core.geometry import so3
from hpe_core.nlml.angles import matrix_from_angles
from hpe_core.rotations.nlml import UNKNOWN_STD_RAD, NlmlSolver


def test_a_face_in_range_gets_the_manifolds_answer_and_one_beyond_it_the_rigid_one(build_model):
    model = build_model()
    rotation = NlmlSolver(model)
    R = matrix_from_angles(np.radians([[40.0, 10.0, 5.0], [150.0, 0.0, 0.0]]), "yaw_first")
    found, covariance = rotation(model.points(R), np.ones((2, 12)))
    np.testing.assert_allclose(so3.geodesic_angle(found, R), 0.0, atol=1e-2)
    assert np.sqrt(covariance[0, 0, 0]) < np.radians(5.0)
    np.testing.assert_allclose(covariance[1], UNKNOWN_STD_RAD**2 * np.eye(3))
    assert rotation.take_counts() == {"nlml.candidates": 2, "nlml.rigid": 1, "nlml.out_of_range": 1}
    assert rotation.take_counts() == {"nlml.candidates": 0, "nlml.rigid": 0, "nlml.out_of_range": 0}


def test_a_face_whose_landmarks_are_all_hidden_still_has_a_pose(build_model):
    model = build_model()
    found, covariance = NlmlSolver(model)(model.points(np.eye(3)[None]), np.zeros((1, 12)))
    np.testing.assert_allclose(found, np.eye(3)[None], atol=1e-3)
    assert np.all(np.isfinite(covariance))


def test_no_faces(build_model):
    R, covariance = NlmlSolver(build_model())(np.zeros((0, 12, 3)), np.zeros((0, 12)))
    assert R.shape == covariance.shape == (0, 3, 3)
