from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml import angles as euler
from hpe_core.nlml.infer import BEYOND_DEG, State, _Problem, infer
from hpe_core.nlml.model import load, shipped

KINDS = ("so3", "cosine", "fourier")


def scene(model, count=20, seed=0, limits=None, noise=0.0, identity=1.0):
    """Landmarks of random heads of the model: points, rotations, identities, sizes, offsets."""
    rng = np.random.default_rng(seed)
    limits = model.limits_deg if limits is None else np.array(limits, float)
    R = euler.matrix_from_angles(np.radians(rng.uniform(limits[:, 0], limits[:, 1], (count, 3))), "yaw_first")
    z = identity * rng.normal(size=(count, model.identities))
    scale, offset = np.exp(0.05 * rng.normal(size=count)), 0.02 * rng.normal(size=(count, 3))
    points = scale[:, None, None] * model.points(R, z) + offset[:, None]
    return points + noise * rng.normal(size=points.shape), R, z, scale, offset


@pytest.mark.parametrize("kind", KINDS)
def test_exact_landmarks_give_back_rotation_identity_size_and_place(build_model, kind):
    model = build_model(kind, noise_std=np.full(36, 1e-5), log_scale_std=2.0)
    points, R, z, scale, offset = scene(model)
    found = infer(model, points)
    assert found.converged.all() and found.in_range.all() and found.iterations.max() <= 15
    np.testing.assert_allclose(so3.geodesic_angle(found.R_local, R), 0.0, atol=2e-4)
    np.testing.assert_allclose(found.identity, z, atol=2e-2)
    np.testing.assert_allclose(found.scale, scale, rtol=2e-3)
    np.testing.assert_allclose(found.offset, offset, atol=1e-4)
    assert found.residual.max() < 0.2


def test_mean_face_turned_by_thirty_degrees_of_yaw(build_model):
    model = build_model(noise_std=np.full(36, 1e-5))
    R = euler.matrix_from_angles(np.radians([[30.0, 0.0, 0.0]]), "aflw2000")
    found = infer(model, model.points(R))
    np.testing.assert_allclose(found.R_local, R, atol=1e-6)
    np.testing.assert_allclose(found.scale, 1.0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_solution_is_that_of_scipy_on_the_same_problem(build_model, kind):
    model = build_model(kind)
    points, *_ = scene(model, count=4, seed=2, noise=0.002)
    visible = np.random.default_rng(0).uniform(0, 1, points.shape[:2])
    found = infer(model, points, visible)
    share = visible + (1 - visible) / model.hidden_noise**2
    for i in range(4):

        def residuals(p, i=i):
            R = so3.matrix_from_rotvec(p[:3])[None]
            x = np.exp(p[5]) * model.points(R, p[None, 3:5])[0] + p[6:9]
            misfit = (points[i] - x) * np.sqrt(share[i])[:, None] / model.noise_std.reshape(-1, 3)
            return np.concatenate([misfit.ravel(), p[3:5], [p[5] / model.log_scale_std]])

        start = np.concatenate([so3.rotvec_from_matrix(found.R_local[i]) + 0.1, np.zeros(6)])
        twin = least_squares(residuals, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        R = so3.matrix_from_rotvec(twin.x[:3])
        assert so3.geodesic_angle(found.R_local[i], R) < 2e-4
        np.testing.assert_allclose(found.identity[i], twin.x[3:5], atol=5e-3)
        np.testing.assert_allclose(found.offset[i], twin.x[6:9], atol=2e-5)
        misfit = 2 * twin.cost - np.sum(residuals(twin.x)[-3:] ** 2)
        assert found.residual[i] == pytest.approx(np.sqrt(misfit / (3 * share[i].sum())), rel=1e-3)


@pytest.mark.parametrize("kind", ["so3", "cosine"])
def test_covariance_is_that_of_many_noisy_measurements(build_model, kind):
    model = build_model(kind)
    z = np.random.default_rng(3).normal(size=(3000, 2))
    R = np.broadcast_to(euler.matrix_from_angles(np.radians([[40.0, 20.0, -10.0]]), "yaw_first"), (3000, 3, 3))
    rng = np.random.default_rng(4)
    points = model.points(R, z) * np.exp(0.1 * rng.normal(size=3000))[:, None, None]
    points = points + 0.001 * rng.normal(size=points.shape)
    found = infer(model, points)
    error = so3.rotvec_from_matrix(R @ np.swapaxes(found.R_local, 1, 2))
    sampled = error.T @ error / len(error)
    predicted = found.covariance_rad2.mean(0)
    np.testing.assert_allclose(np.sqrt(np.diag(predicted)), np.sqrt(np.diag(sampled)), rtol=0.08)
    correlation = [c / np.sqrt(np.outer(np.diag(c), np.diag(c))) for c in (sampled, predicted)]
    np.testing.assert_allclose(*correlation, atol=0.08)
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance_rad2), error)
    assert nees.mean() == pytest.approx(3.0, abs=0.25)


def test_covariance_of_place_and_size_too(build_model):
    model = build_model()
    rng = np.random.default_rng(5)
    R = np.broadcast_to(np.eye(3), (2000, 3, 3))
    log_scale = 0.1 * rng.normal(size=2000)
    points = model.points(R, rng.normal(size=(2000, 2))) * np.exp(log_scale)[:, None, None]
    found = infer(model, points + 0.001 * rng.normal(size=points.shape))
    error = np.concatenate([-found.offset, (log_scale - np.log(found.scale))[:, None]], 1)
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.size_covariance), error)
    assert nees.mean() == pytest.approx(4.0, abs=0.3)


def test_a_hidden_landmark_that_is_wrong_hardly_matters(build_model):
    model = build_model(hidden_noise=100.0)
    points, R, *_ = scene(model, count=5, seed=6)
    visible = np.ones(points.shape[:2])
    visible[:, :3] = 0.0
    points[:, :3] += 0.03
    hidden = so3.geodesic_angle(infer(model, points, visible).R_local, R)
    trusted = so3.geodesic_angle(infer(model, points).R_local, R)
    assert hidden.max() < np.radians(3.0) < trusted.mean()


def test_size_and_place_of_the_landmarks_do_not_change_the_rotation(build_model):
    model = build_model(log_scale_std=2.0)
    points, *_ = scene(model, count=5, seed=7, noise=0.001)
    small = infer(model, 0.95 * points - [0.3, 0.2, -5.0])
    np.testing.assert_allclose(infer(model, points).R_local, small.R_local, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_beyond_the_grid_is_flagged_and_no_angle_is_wild(build_model, kind):
    model = build_model(kind)
    limits = [[100.0, 170.0], [-50.0, 50.0], [-50.0, 50.0]]
    points, R, *_ = scene(build_model(), count=40, seed=8, limits=limits, identity=0.5)
    found = infer(model, points)
    assert not found.in_range.any()
    assert np.degrees(so3.geodesic_angle(found.R_local, R)).max() < 15.0  # the rigid alignment at the least
    far = np.degrees(euler.angles_from_matrix(R, "yaw_first"))[:, 0] > 90.0 + BEYOND_DEG + 5.0
    assert not found.converged[far].any()


def test_nonsense_gives_no_pose_instead_of_identity(build_model):
    model = build_model()
    points, R, *_ = scene(model, count=5, seed=9)
    points[0, 0, 0] = np.nan
    points[1] = 0.0  # no extent
    points[2, :, :2] = 0.0  # a line
    visible = np.ones(points.shape[:2])
    visible[3] = 0.0
    found = infer(model, points, visible)
    assert found.converged.tolist() == [False, False, False, False, True]
    assert np.isnan(found.R_local[[0, 1, 3]]).all() and np.isnan(found.covariance_rad2[[0, 1, 3]]).all()
    assert so3.geodesic_angle(found.R_local[4], R[4]) < 0.02


def test_a_batch_gives_what_its_faces_give_alone(build_model):
    model = build_model()
    points, *_ = scene(model, count=70, seed=10, noise=0.002)  # more than a chunk
    batch = infer(model, points)
    for i in (0, 63, 64, 69):
        alone = infer(model, points[i : i + 1])
        np.testing.assert_allclose(alone.R_local[0], batch.R_local[i], atol=1e-6)
        np.testing.assert_allclose(alone.covariance_rad2[0], batch.covariance_rad2[i], rtol=1e-3)


def test_no_faces_give_no_estimates(build_model):
    found = infer(build_model(), np.zeros((0, 12, 3)))
    assert len(found) == 0 and found.R_local.shape == (0, 3, 3) and found.covariance_rad2.shape == (0, 3, 3)


def test_starts_half_a_turn_away_converge_too(build_model):
    model = build_model(limits_deg=[[-180, 180], [-90, 90], [-180, 180]])
    R = Rotation.random(200, rng=1).as_matrix()
    found = infer(model, model.points(R))
    np.testing.assert_allclose(so3.geodesic_angle(found.R_local, R), 0.0, atol=1e-3)


def test_the_command_replaces_a_table_only_when_told_and_never_its_input(build_model, tmp_path, capsys):
    build_model().save(tmp_path / "model.npz")
    np.savez(tmp_path / "faces.npz", points=build_model().points(np.eye(3)[None]))
    before, out = (tmp_path / "faces.npz").read_bytes(), tmp_path / "poses.csv"
    command = ["nlml", "infer", str(tmp_path / "faces.npz"), "--model", str(tmp_path / "model.npz"), "--out"]
    out.write_text("mine")
    assert main([*command, str(out)]) == 2 and out.read_text() == "mine"
    assert main([*command, str(out), "--overwrite"]) == 0 and out.read_text().startswith("face,yaw_deg")
    assert main([*command, str(tmp_path / "faces.npz"), "--overwrite"]) == 2
    assert (tmp_path / "faces.npz").read_bytes() == before and "is read and would be" in capsys.readouterr().err


def test_shapes_that_are_not_the_models_are_told_with_both_numbers(build_model):
    model = build_model()
    with pytest.raises(HpeError, match=r"\(N, 12, 3\).*\(2, 68, 3\)"):
        infer(model, np.zeros((2, 68, 3)))
    with pytest.raises(HpeError, match=r"\(2, 12\).*\(2, 11\)"):
        infer(model, np.zeros((2, 12, 3)), np.zeros((2, 11)))


def test_one_iteration_is_not_called_converged(build_model):
    model = build_model()
    points, *_ = scene(model, count=3, seed=11)
    found = infer(model, points, max_iterations=1)
    assert not found.converged.any() and (found.iterations == 1).all()


def test_covariance_scale_multiplies_the_covariance(build_model):
    model = build_model()
    points, *_ = scene(model, count=2, seed=12)
    once, twice = infer(model, points), infer(replace(model, covariance_scale=4.0), points)
    np.testing.assert_allclose(4.0 * once.covariance_rad2, twice.covariance_rad2)


def test_float32_weights_lay_the_shipped_landmarks_where_the_plain_sum_does():
    model = load(shipped())
    points, R, z, *_ = scene(model, count=6, seed=11)
    problem = _Problem(model, points, np.ones(points.shape[:2]))
    J = problem.landmarks(State(R, z, np.zeros(6)))
    assert np.abs(np.swapaxes(J[:, -1], 1, 2) - model.points(R, z)).max() < 1e-6  # metres
    step = 1e-6
    for k in range(3):
        turned = so3.matrix_from_rotvec(step * np.eye(3)[k]) @ R
        slope = (model.points(turned, z) - model.points(R, z)) / step
        np.testing.assert_allclose(np.swapaxes(J[:, k], 1, 2), slope, atol=1e-5)
