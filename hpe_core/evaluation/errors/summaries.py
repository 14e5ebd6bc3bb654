"""Numbers of results.json from per-pose Scores: means with intervals, bins, and failures counted as well."""

from itertools import pairwise

import numpy as np

from hpe_core.evaluation.errors.bootstrap import BLOCK, mean_interval
from hpe_core.evaluation.errors.metrics import summary
from hpe_core.geometry import so3

YAW_EDGES_DEG = (-180, -90, -60, -40, -20, 20, 40, 60, 90, 180)
DISTANCE_EDGES_M = (0, 0.5, 0.75, 1, 1.5, 2, 3, 5, np.inf)
SIZE_EDGES_PX = (0, 20, 40, 80, 160, 320, np.inf)
TIME_BINS = 20


def with_interval(values):
    """summary of values (N,) in time order, with the 95 % interval of the mean as `ci95`."""
    return summary(values) | {"ci95": mean_interval(values)}


def rotation(s):
    """dict of rotation errors in degrees."""
    geodesic = with_interval(s.geodesic_deg)
    geodesic["mean_failures_as_mean_pose"] = _failures_counted(s)
    return {"geodesic_deg": geodesic, "euler_mae_deg": euler_mae(s.euler_deg), "maev_deg": with_interval(s.maev_deg)}


def euler_mae(euler_deg):
    """dict yaw, pitch, roll, mean (each the mean absolute error) of signed errors (N, 3), and the mean's interval."""
    if len(euler_deg) == 0:
        return dict.fromkeys(("yaw", "pitch", "roll", "mean", "ci95"))
    error = np.abs(euler_deg)
    values = dict(zip(("yaw", "pitch", "roll"), error.mean(0).tolist(), strict=True))
    return values | {"mean": float(error.mean()), "ci95": mean_interval(error.mean(-1))}


def _failures_counted(s):
    """Mean geodesic error when every missed head counts as the mean of all true poses."""
    R_all = np.concatenate([s.R_true, s.missed_R_true])
    if len(R_all) == 0:
        return None
    missed = np.degrees(so3.geodesic_angle(s.missed_R_true, so3.mean_rotation(R_all)))
    return float(np.mean(np.concatenate([s.geodesic_deg, missed])))


def translation(s):
    """dict of position errors in mm."""
    percent = 100.0 * np.abs(s.depth_m) / np.maximum(s.range_m, 1e-9)
    bias = (1e3 * s.t_error_m.mean(0)).tolist() if len(s) else None
    return {
        "error_mm": with_interval(1e3 * np.linalg.norm(s.t_error_m, axis=-1)),
        "depth_mm": summary(1e3 * np.abs(s.depth_m)),
        "depth_percent": summary(percent),
        "lateral_mm": summary(1e3 * s.lateral_m),
        "bias_xyz_mm": bias,
        "add_mm": with_interval(1e3 * s.add_m),
    }


def calibration(s, offsets):
    """dict of raw and calibrated errors side by side on the held-out part; None when nothing was left to hold out."""
    if not s.held_out.any():
        return None
    held = s.held_out

    def side(geodesic, euler_deg, t_error):
        return {
            "geodesic_deg": with_interval(geodesic[held]),
            "euler_mae_deg": euler_mae(euler_deg[held]),
            "error_mm": with_interval(1e3 * np.linalg.norm(t_error[held], axis=-1)),
        }

    return {
        "fitted_on": int(np.sum(~held & np.isfinite(s.calibrated_geodesic_deg))),
        "held_out": int(held.sum()),
        "frame_offset": {
            name: {
                "rotvec_deg": np.degrees(so3.rotvec_from_matrix(offset.R)).tolist(),
                "angle_deg": offset.angle_deg,
                "translation_mm": (1e3 * offset.t_m).tolist(),
            }
            for name, offset in offsets.items()
        },
        "raw": side(s.geodesic_deg, s.euler_deg, s.t_error_m),
        "calibrated": side(s.calibrated_geodesic_deg, s.calibrated_euler_deg, s.calibrated_t_error_m),
    }


def by_bin(s, block=BLOCK):
    """dict yaw_deg, distance_m, face_size_px, time_s -> list of bins with recall and errors."""
    end = max(s.time_s.max(initial=0.0), s.missed_time_s.max(initial=0.0))
    kinds = {
        "yaw_deg": (s.angles_deg[:, 0], s.missed_angles_deg[:, 0], YAW_EDGES_DEG),
        "distance_m": (s.range_m, s.missed_range_m, DISTANCE_EDGES_M),
        "face_size_px": (s.size_px, s.missed_size_px, SIZE_EDGES_PX),
        "time_s": (s.time_s, s.missed_time_s, np.linspace(0.0, end + 1e-6, TIME_BINS + 1)),
    }
    return {name: bins(s, *what, block) for name, what in kinds.items()}


def bins(s, values, missed_values, edges, block=BLOCK):
    """Bins [from, to) that hold any true head, by values (P,) of the matched and missed_values (L,); list of dict.

    block: neighbours that depend on each other, 1 for unrelated images.
    """
    out = []
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        missed = int(np.sum((missed_values >= low) & (missed_values < high)))
        count = int(inside.sum())
        if count + missed == 0:
            continue
        t_error = 1e3 * np.linalg.norm(s.t_error_m[inside], axis=-1)
        out.append(
            {
                "from": float(low),
                "to": float(high) if np.isfinite(high) else None,
                "true_heads": count + missed,
                "recall": count / (count + missed),
                "geodesic_deg": {
                    "mean": _mean(s.geodesic_deg[inside]),
                    "ci95": mean_interval(s.geodesic_deg[inside], block=block),
                },
                "euler_mae_deg": _mean(np.abs(s.euler_deg[inside])),
                "error_mm": {"mean": _mean(t_error), "ci95": mean_interval(t_error, block=block)},
            }
        )
    return out


def _mean(values):
    return float(np.mean(values)) if len(values) else None


def detection(counts, s):
    """dict of counts (true_heads, matched, false, scored_frames, ...) with recall, its interval and precision."""
    matched, true, false = counts["matched"], counts["true_heads"], counts["false"]
    found = {
        "recall": matched / true if true else None,
        "recall_ci95": _recall_interval(s),
        "recall_where_answered": matched / counts["true_heads_answered"] if counts["true_heads_answered"] else None,
        "precision": matched / (matched + false) if matched + false else None,
        "false_per_frame": false / counts["scored_frames"] if counts["scored_frames"] else None,
        "coverage": counts["answered_frames"] / counts["frames"] if counts["frames"] else None,
    }
    return counts | found


def _recall_interval(s):
    """Interval of the share of found heads, found and missed ones in time order."""
    found = np.concatenate([np.ones(len(s)), np.zeros(len(s.missed_time_s))])
    order = np.argsort(np.concatenate([s.time_s, s.missed_time_s]), kind="stable")
    return mean_interval(found[order])
