"""The rows of the result table, the same on the terminal and in the report."""

ROWS = (
    ("true heads", "detection.true_heads"),
    ("found (recall)", "detection.recall"),
    ("false poses", "detection.false"),
    ("id switches", "detection.id_switches"),
    ("geodesic error, mean (deg)", "rotation.geodesic_deg.mean"),
    ("  95 % interval of the mean", "rotation.geodesic_deg.ci95"),
    ("  median", "rotation.geodesic_deg.median"),
    ("  95 %", "rotation.geodesic_deg.p95"),
    ("  missed heads as mean pose", "rotation.geodesic_deg.mean_failures_as_mean_pose"),
    ("  held-out part, raw", "calibration.raw.geodesic_deg.mean"),
    ("  held-out part, calibrated", "calibration.calibrated.geodesic_deg.mean"),
    ("  held-out part, raw", "aligned.raw_geodesic_deg.mean"),
    ("  held-out part, aligned", "aligned.aligned_geodesic_deg.mean"),
    ("  aligned on other images", "aligned.rotation.geodesic_deg.mean"),
    ("Euler MAE (deg)", "rotation.euler_mae_deg.mean"),
    ("  yaw", "rotation.euler_mae_deg.yaw"),
    ("  pitch", "rotation.euler_mae_deg.pitch"),
    ("  roll", "rotation.euler_mae_deg.roll"),
    ("  missed heads as mean pose", "rotation.euler_mae_deg.mean_failures_as_mean_pose"),
    ("  aligned on other images", "aligned.rotation.euler_mae_deg.mean"),
    ("MAEV (deg)", "rotation.maev_deg.mean"),
    ("position error, mean (mm)", "translation.error_mm.mean"),
    ("  depth (% of distance)", "translation.depth_percent.mean"),
    ("ADD, mean (mm)", "translation.add_mm.mean"),
    ("after the truth by (s)", "time.offset_s"),
    ("jitter (deg per axis)", "stability.jitter.rotation_deg_per_axis"),
    ("frames with a face", "coverage"),
    ("heads (tracks)", "tracks.count"),
    ("jumps beyond 60 deg", "stability.jumps"),
    ("static jitter (deg per axis)", "stability.static_jitter.rotation_deg_per_axis"),
    ("  share of time at rest", "stability.static_jitter.share"),
    ("second difference, mean (deg)", "stability.second_difference_deg.mean"),
    ("rotation NEES / dof", "uncertainty.rotation.nees_over_dof"),
    ("looking at the camera, F1", "looking_at.camera.f1"),
    ("stamp to log, median (ms)", "latency_ms.median"),
    ("rate (Hz)", "stream.rate_hz"),
    ("dropped messages", "stream.dropped"),
    ("flip consistency (deg)", "flip_consistency.geodesic_deg.mean"),
)


def cell(summary, path):
    """The number at a dotted path as text; empty when it was not measured."""
    value = summary
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(f"{v:.2f}" for v in value)
    return str(value) if isinstance(value, int) else f"{value:.3f}"
