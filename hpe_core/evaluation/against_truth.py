"""Table of the errors of a results bag against the truth in another bag.

python -m hpe_core.evaluation.against_truth assets/sample_bag hpe_out/demo/poses
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hpe_core.errors import HpeError
from hpe_core.evaluation.pose_errors import pose_errors, read_poses


def table(errors):
    """Rich table of PoseErrors."""
    t = Table(title=f"error against the truth: {len(errors.geodesic_deg)} of {errors.truth_count} poses found")
    for column in ("", "median", "mean", "95 %"):
        t.add_column(column, justify="right" if column else "left")
    lateral = np.sqrt(np.maximum(np.sum(errors.t_m**2, -1) - errors.depth_m**2, 0.0))
    rows = [("rotation, geodesic (deg)", errors.geodesic_deg)]
    rows += [(f"{name} (deg)", errors.euler_deg[:, i]) for i, name in enumerate(("yaw", "pitch", "roll"))]
    rows += [("depth (mm)", 1e3 * np.abs(errors.depth_m)), ("across the line of sight (mm)", 1e3 * lateral)]
    rows += [("depth (% of distance)", 100.0 * np.abs(errors.depth_m) / errors.range_m)]
    for name, values in rows:
        t.add_row(name, *(f"{v:.1f}" for v in (np.median(values), np.mean(values), np.percentile(values, 95))))
    return t


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("truth_bag", type=Path)
    p.add_argument("result_bag", type=Path)
    p.add_argument("--truth-topic", default="/truth/head_pose")
    p.add_argument("--topic", default="/head_pose")
    args = p.parse_args()
    try:
        errors = pose_errors(read_poses(args.result_bag, args.topic), read_poses(args.truth_bag, args.truth_topic))
    except HpeError as error:
        print(f"against_truth: error: {error}", file=sys.stderr)
        return 2
    Console().print(table(errors))
    return 0


if __name__ == "__main__":
    sys.exit(main())
