"""Comparisons: bases against each other (fit, floor, extrapolation), and the error against the number of identities."""

import time
from dataclasses import asdict, replace

import numpy as np
from tqdm import tqdm

from hpe_core.geometry import so3
from hpe_core.nlml.infer import infer
from training.nlml.fit import fit
from training.nlml.heads import DetectorNoise
from training.nlml.measure import evaluate
from training.nlml.samples import Samples, synthetic

# the paper's model, its curves within our treatment of identity and size, Fourier series, harmonics on SO(3)
CANDIDATES = {
    "cosine, rank 3 (paper)": {
        "basis": "cosine",
        "pose_rank": 3,
        "refit": False,
        "mean_identity": False,
        "identity_rank": 5,
    },
    "cosine, rank 3": {"basis": "cosine", "pose_rank": 3, "refit": True},
    "Fourier order 1, rank 3": {"basis": "fourier", "degree": 1, "pose_rank": 3},
    "Fourier order 2, rank 5": {"basis": "fourier", "degree": 2, "pose_rank": 5},
    "SO(3) degree 1": {"basis": "so3", "degree": 1},
    "SO(3) degree 2": {"basis": "so3", "degree": 2},
    "SO(3) degree 3": {"basis": "so3", "degree": 3},
}
NOISE_FREE_M = 2e-4  # what a floor is measured with: no detector, only what the model leaves


def floor_model(fitted, settings, tensor):
    """The fitted model with noise of its own misfit only, for exact landmarks."""
    quiet = replace(settings, noise_xy_m=NOISE_FREE_M, noise_z_m=NOISE_FREE_M)
    base = np.tile([settings.noise_xy_m, settings.noise_xy_m, settings.noise_z_m], fitted.model.landmarks)
    unseen = np.maximum(fitted.model.noise_std**2 - base**2, 0.0)
    small = np.tile([quiet.noise_xy_m, quiet.noise_xy_m, quiet.noise_z_m], fitted.model.landmarks)
    return replace(fitted.model, noise_std=np.sqrt(small**2 + unseen))


def off_grid_people(tensor, count, seed, limits_deg=None, data=None):
    """Exact Samples of the tensor's own people (source heads) at random rotations between its grid points."""
    from hpe_core.nlml.angles import matrix_from_angles
    from training.nlml.settings import TensorSettings
    from training.nlml.sources import HeadSource

    settings = TensorSettings(**tensor.facts["settings"])
    source = HeadSource(settings, **({} if data is None else {"data": data}))
    rng = np.random.default_rng([seed, 3])
    limits = tensor.limits_deg if limits_deg is None else limits_deg
    R = matrix_from_angles(np.radians(rng.uniform(limits[:, 0], limits[:, 1], (count, 3))), tensor.order)
    people = rng.integers(len(tensor.identities), size=count)
    rows = [source.row(int(i), R[n : n + 1]) for n, i in enumerate(people)]
    points, visible = (np.concatenate([row[k] for row in rows]) for k in (0, 1))
    names = np.array([tensor.identities[i] for i in people])
    return Samples(points, visible, R, names, names)


def compare(tensor, settings, faces=300, data=None, say=print, candidates=CANDIDATES):
    """list of dicts, one per candidate basis: misfit, floors on known and unseen people, noise, extrapolation, time."""
    kwargs = {} if data is None else {"data": data}
    known = off_grid_people(tensor, faces, 11, data=data)
    unseen = synthetic(faces, tensor.limits_deg, 12, order=tensor.order, **kwargs)
    noisy = synthetic(faces, tensor.limits_deg, 12, order=tensor.order, noise=DetectorNoise(), **kwargs)
    wide = tensor.limits_deg + np.array([-15.0, 15.0])
    beyond = off_grid_people(tensor, 2 * faces, 13, wide, data=data)
    rows = []
    for name, changes in candidates.items():
        chosen = replace(settings, **changes)
        fitted = fit(tensor, chosen)
        quiet = floor_model(fitted, chosen, tensor)
        outside = _outside(beyond, tensor)
        start = time.process_time()
        found = infer(fitted.model, noisy.points, noisy.visible)
        spent = time.process_time() - start
        outer = infer(quiet, outside.points, outside.visible)
        error = np.degrees(so3.geodesic_angle(outer.R_local, outside.R_local))
        rows.append(
            {
                "name": name,
                "settings": asdict(chosen),
                "functions": fitted.model.basis.size,
                "identities": fitted.model.identities,
                "directions": fitted.model.features.shape[1],
                "curve_misfit_percent": None
                if fitted.curve_misfits is None
                else [np.round(100 * m, 2).tolist() for m in fitted.curve_misfits],
                "residual_mm": round(1e3 * fitted.residual_rms, 3),
                "floor_known": evaluate.model_scores(quiet, known),
                "floor_unseen": evaluate.model_scores(quiet, unseen),
                "noisy": evaluate.model_scores(fitted.model, noisy),
                "beyond_15_deg": {
                    "median_deg": round(float(np.median(error)), 3),
                    "max_deg": round(float(error.max()), 2),
                    "flagged": round(float(np.mean(~outer.in_range)), 3),
                    "converged": round(float(outer.converged.mean()), 3),
                },
                "cpu_ms_per_face": round(1e3 * spent / len(found), 3),
            }
        )
        say(table_row(rows[-1]))
    return rows


def _outside(samples, tensor):
    from hpe_core.nlml.angles import angles_from_matrix, excess_deg

    excess = excess_deg(angles_from_matrix(samples.R_local, tensor.order), tensor.limits_deg)
    return samples[excess > 0]


TABLE_HEADING = (
    f"{'basis':26} {'K':>4} {'r':>3} {'misfit mm':>9}  {'floor, known people':>20}  {'floor, unseen':>20}  "
    f"{'with noise':>10}  {'beyond: med, max':>16}  {'ms':>5}"
)


def table_row(row):
    known, unseen = (row[k]["grid_mae_deg"] for k in ("floor_known", "floor_unseen"))
    beyond = row["beyond_15_deg"]
    return (
        f"{row['name']:26} {row['functions']:4} {row['identities']:3} {row['residual_mm']:9.2f}  "
        f"{' / '.join(f'{v:.2f}' for v in known):>20}  {' / '.join(f'{v:.2f}' for v in unseen):>20}  "
        f"{row['noisy']['geodesic_median_deg']:10.2f}  {beyond['median_deg']:8.2f} {beyond['max_deg']:7.1f}  "
        f"{row['cpu_ms_per_face']:5.2f}"
    )


def against_identities(tensor, settings, samples, counts, adapt=None):
    """list of dicts: errors on Samples of models from the tensor's first n identities, n in counts.

    adapt(model) -> model, e.g. learning a detector's bias from the same samples for every n.
    """
    rows = []
    for count in tqdm([n for n in counts if n <= len(tensor.identities)], unit="fit"):
        model = fit(tensor.subset(range(count)), settings).model
        model = adapt(model) if adapt else model
        rows.append({"identities": count, "directions": model.identities} | evaluate.model_scores(model, samples))
    return rows
