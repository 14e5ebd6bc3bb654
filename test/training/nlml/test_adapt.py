"""What `adapt` learns from a detector whose faults are known."""

from dataclasses import replace

import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml.infer import infer
from training.nlml.adapt import adapt, covariance_scale, explained_at

NOISE_M = 0.002
FAULT_M = np.array([0.0, 0.006, 0.0])  # of landmark 2, in head axes: it turns with the head


@pytest.fixture
def measured(as_samples):
    def faces(model, count=600, seed=0, noise=NOISE_M, hidden=1.0):
        """Samples of random people of the model as a faulty detector sees them; landmarks 8 and on are hidden."""
        rng = np.random.default_rng(seed)
        R = so3.matrix_from_rotvec(rng.uniform(-0.8, 0.8, (count, 3)))
        points = model.points(R, rng.normal(size=(count, model.identities)))
        points[:, 2] += R @ FAULT_M
        visible = np.ones(points.shape[:2])
        visible[:, 8:] = 0.0
        std = noise * np.where(visible > 0.5, 1.0, hidden)
        return as_samples(points + rng.normal(size=points.shape) * std[..., None], visible, R)

    return faces


def test_the_bias_of_a_landmark_is_learnt_and_no_longer_turns_the_head(rigid_model, measured):
    model = rigid_model(noise_std=NOISE_M)
    faces, unseen = measured(model), measured(model, seed=1)
    adapted = adapt(model, faces)
    constant = []  # the error that all faces share, in head axes
    for each in (model, adapted):
        found = infer(each, unseen.points, unseen.visible)
        error = so3.rotvec_from_matrix(np.swapaxes(unseen.R_local, 1, 2) @ found.R_local)
        constant.append(np.linalg.norm(error.mean(0)))
    assert constant[1] < 0.3 * constant[0]
    R = so3.matrix_from_rotvec(np.array([[0.2, -0.4, 0.1]]))
    moved = adapted.points(R) - model.points(R)
    # position and size are free: only what differs from landmark to landmark can be told
    relative = moved[0, 2] - np.delete(moved[0], 2, 0).mean(0)
    assert 0.5 < relative @ R[0] @ FAULT_M / (FAULT_M @ FAULT_M) < 1.1  # the rest passes for identity


def test_noise_is_learnt_seen_and_hidden(rigid_model, measured):
    model = rigid_model(noise_std=0.01)
    heard = []
    adapted = adapt(model, measured(model, count=1000, hidden=3.0), say=heard.append)
    seen = adapted.noise_std.reshape(-1, 3)[:8]
    assert 0.6 * NOISE_M < np.sqrt(np.mean(seen**2)) < 1.2 * NOISE_M
    assert "mm rms" in heard[0] and "other people" in heard[-1]


def test_the_covariance_is_scaled_to_the_errors_of_other_people(rigid_model, as_samples):
    model = rigid_model(noise_std=NOISE_M / 2)  # too sure of itself by two
    model = replace(model, log_scale_std=1.0)
    rng = np.random.default_rng(3)
    R = so3.matrix_from_rotvec(rng.uniform(-0.8, 0.8, (800, 3)))
    points = model.points(R) + NOISE_M * rng.normal(size=(800, model.landmarks, 3))
    faces = as_samples(points, np.ones(points.shape[:2]), R)
    assert covariance_scale(model, faces) == pytest.approx(4.0, rel=0.25)
    honest = replace(model, covariance_scale=covariance_scale(model, faces))
    assert covariance_scale(honest, faces) == pytest.approx(honest.covariance_scale, rel=1e-6)


def test_at_the_true_rotation_an_exact_face_leaves_nothing(rigid_model, as_samples):
    model = rigid_model(noise_std=1e-4)
    R = so3.matrix_from_rotvec(np.random.default_rng(0).uniform(-1, 1, (5, 3)))
    z = np.random.default_rng(1).normal(size=(5, model.identities))
    faces = as_samples(1.05 * model.points(R, z) + [0.1, -0.2, 0.3], np.ones((5, model.landmarks)), R)
    left, identities = explained_at(model, faces)
    assert np.abs(left).max() < 1e-4
    np.testing.assert_allclose(identities, z, atol=0.05)


def test_too_few_faces_and_models_of_the_paper_are_refused(rigid_model, measured):
    model = rigid_model()
    with pytest.raises(HpeError, match="at least 200 measured faces, got 20"):
        adapt(model, measured(model, count=20))
    lost = measured(model, count=300)
    lost.points[:150] = np.nan
    with pytest.raises(HpeError, match="got 150"):
        adapt(model, lost)
    with pytest.raises(HpeError, match="free"):
        adapt(replace(model, normalisation="original"), measured(model, count=300))
