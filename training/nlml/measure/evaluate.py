"""Errors of NLML on samples with known rotations. Every face is counted: a failure also as predicting the mean pose."""

import numpy as np

from hpe_core.evaluation.images.protocols import PROTOCOLS
from hpe_core.geometry import euler, so3
from hpe_core.nlml import angles as order
from hpe_core.nlml.infer import infer

WINDOW_DEG = np.array(PROTOCOLS["nlml-window"].limits_deg)  # 50/40/30 of the paper


def estimate(model, samples):
    """R_local (N, 3, 3), NaN where there is none, and Estimates of all samples."""
    points = np.where(samples.found[:, None, None], samples.points, 0.0)
    visible = np.where(samples.found[:, None], samples.visible, 0.0)
    found = infer(model, points, visible)
    return found.R_local, found


def scores(R, samples, window="all", usable=None):
    """dict of errors in degrees of rotations R (N, 3, 3) on Samples; NaN rows and those not `usable` are failures."""
    truth = angles_of(samples.R_local)
    inside = np.all(np.abs(truth) <= WINDOW_DEG, -1) if window == "original" else np.ones(len(samples), bool)
    ok = np.isfinite(R).all((1, 2)) & inside & (np.ones(len(samples), bool) if usable is None else usable)
    result = {
        "faces": int(inside.sum()),
        "outside_window": int((~inside).sum()),
        "failures": int((inside & ~ok).sum()),
        "coverage": round(float(ok.sum() / max(inside.sum(), 1)), 4),
    }
    if not ok.any():
        return result
    error = np.abs(angles_of(R[ok]) - truth[ok])
    error = np.minimum(error, 360.0 - error)
    geodesic = np.degrees(so3.geodesic_angle(R[ok], samples.R_local[ok]))
    as_mean = np.abs(truth[inside & ~ok] - truth[inside].mean(0))
    return result | {
        "euler_mae_deg": np.round([*error.mean(0), error.mean()], 3).tolist(),
        "euler_mae_failures_counted_deg": round(float(np.concatenate([error, as_mean]).mean()), 3),
        "geodesic_median_deg": round(float(np.median(geodesic)), 3),
        "geodesic_mean_deg": round(float(geodesic.mean()), 3),
        "geodesic_95_deg": round(float(np.percentile(geodesic, 95)), 3),
        "geodesic_max_deg": round(float(geodesic.max()), 2),
    }


def model_scores(model, samples, window="all"):
    """`scores` of a Model with what only it can tell: iterations, range flags, calibration of its covariance."""
    R, found = estimate(model, samples)
    result = scores(R, samples, window, found.converged)
    good = found.converged
    error = so3.rotvec_from_matrix(samples.R_local[good] @ np.swapaxes(R[good], 1, 2))
    squared = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance_rad2[good]), error)
    # in the grid's own order of turns: AFLW2000's pitch and roll mean little at profiles
    turned = [np.degrees(order.angles_from_matrix(x, model.order)) for x in (R[good], samples.R_local[good])]
    return result | {
        "grid_mae_deg": np.round(np.abs(turned[0] - turned[1]).mean(0), 3).tolist() if good.any() else None,
        "iterations_mean": round(float(found.iterations[good].mean()), 2) if good.any() else None,
        "iterations_max": int(found.iterations.max(initial=0)),
        "out_of_range": int((~found.in_range).sum()),
        "nees_mean": round(float(squared.mean()), 2) if good.any() else None,  # 3 when the covariance is right
        "residual_median": round(float(np.median(found.residual[good])), 3) if good.any() else None,
    }


def angles_of(R):
    """(N, 3) yaw, pitch, roll in degrees in AFLW2000's order."""
    return euler.aflw2000.from_matrix(R).stacked()


def line(name, result):
    """One line of a table."""
    if "euler_mae_deg" not in result:
        return f"{name:34} {result['faces']} faces, all failed"
    y, p, r, mean = result["euler_mae_deg"]
    return (
        f"{name:34} {y:6.2f} {p:6.2f} {r:6.2f} {mean:6.2f}  {result['euler_mae_failures_counted_deg']:6.2f}  "
        f"{result['geodesic_median_deg']:6.2f} {result['geodesic_95_deg']:6.2f}  "
        f"{result['failures']} of {result['faces']}"
    )


HEADING = (
    f"{'degrees':34} {'yaw':>6} {'pitch':>6} {'roll':>6} {'MAE':>6}  {'+fail':>6}  {'geod.':>6} {'95 %':>6}  failures"
)
