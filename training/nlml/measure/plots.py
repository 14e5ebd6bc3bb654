"""Figures of a fit; each returns the path that it wrote."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from hpe_core.nlml.bases import CURVES

AXES = ("yaw", "pitch", "roll")


def singular_values(fitted, folder):
    """Singular values per mode, relative to the first."""
    figure, axis = plt.subplots(figsize=(6, 4))
    named = {"identity": fitted.identity_singular, "features": fitted.feature_singular}
    if fitted.pose is not None:
        named |= dict(zip(AXES, fitted.pose.singular, strict=True))
    for name, values in named.items():
        values = values[values > 1e-8 * values[0]]
        axis.semilogy(np.arange(1, len(values) + 1), values / values[0], ".-", label=name)
    kept = fitted.model.identities
    axis.axvline(kept + 0.5, color="grey", lw=0.8)
    axis.text(kept + 1, 1.0, f"{kept} identity directions kept", va="top", fontsize=8)
    axis.set(xlabel="number", ylabel="singular value / first", xlim=(0, 120))
    axis.legend()
    return _save(figure, folder, "singular_values.png")


def factor_curves(fitted, tensor, folder):
    """Columns of the pose factors and the curves through them, with a margin beyond the grid."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    basis = fitted.model.basis
    for axis, name, grid, factor, c in zip(
        axes, AXES, tensor.grids_deg, fitted.pose.factors, basis.coefficients, strict=True
    ):
        w = np.linspace(grid[0] - 20, grid[-1] + 20, 200)
        values = CURVES[basis.curves](np.radians(w), c)[0]
        for k in range(factor.shape[1]):
            (drawn,) = axis.plot(w, values[:, k], lw=1)
            axis.plot(grid, factor[:, k], "o", ms=4, color=drawn.get_color())
        axis.axvspan(grid[0], grid[-1], color="0.95", zorder=0)
        axis.set(xlabel=f"{name}, degrees", title=f"{basis.curves}, rank {factor.shape[1]}")
    return _save(figure, folder, "factor_curves.png")


def identity_faces(model, folder):
    """What the first identity directions do to the frontal face: -2, 0 and +2 standard deviations."""
    count = min(model.identities, 6)
    figure, axes = plt.subplots(1, max(count, 1), figsize=(2.2 * max(count, 1), 2.6), squeeze=False)
    for k in range(count):
        for amount, colour in ((-2.0, "tab:blue"), (0.0, "0.6"), (2.0, "tab:red")):
            z = np.zeros((1, model.identities))
            z[0, k] = amount
            x = model.points(np.eye(3)[None], z)[0]
            axes[0, k].plot(x[:, 0], -x[:, 1], ".", ms=3, color=colour)
        axes[0, k].set(title=f"direction {k + 1}", aspect="equal", xticks=[], yticks=[])
    return _save(figure, folder, "identity_directions.png")


def error_by_angle(errors_deg, angles_deg, folder, name="error_by_angle.png"):
    """Geodesic error (N,) against the true yaw, pitch and roll (N, 3)."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), sharey=True)
    for axis, title, angle in zip(axes, AXES, angles_deg.T, strict=True):
        axis.plot(angle, errors_deg, ".", ms=2, color="0.7")
        edges = np.linspace(angle.min(), angle.max() + 1e-6, 10)
        cell = np.digitize(angle, edges) - 1
        middle = [np.median(errors_deg[cell == k]) if np.any(cell == k) else np.nan for k in range(9)]
        axis.plot(0.5 * (edges[1:] + edges[:-1]), middle, "o-")
        axis.set(xlabel=f"{title}, degrees")
    axes[0].set(ylabel="error, degrees", ylim=(0, np.percentile(errors_deg, 99) * 1.2 + 1e-3))
    return _save(figure, folder, name)


def error_by_identities(rows, folder):
    """Median and mean geodesic error against the number of identities in the tensor."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    n = [row["identities"] for row in rows]
    axis.plot(n, [row["geodesic_median_deg"] for row in rows], "o-", label="median")
    axis.plot(n, [row["geodesic_mean_deg"] for row in rows], "s--", label="mean")
    axis.set(xscale="log", xlabel="identities in the tensor", ylabel="geodesic error, degrees", xticks=n, xticklabels=n)
    axis.minorticks_off()
    axis.set_ylim(0, 1.15 * max(row["geodesic_mean_deg"] for row in rows))
    axis.legend()
    return _save(figure, folder, "error_by_identities.png")


def _save(figure, folder, name):
    path = Path(folder) / name
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
