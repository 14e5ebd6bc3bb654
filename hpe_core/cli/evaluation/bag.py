"""`hpe eval bag`: its arguments, and what it does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpe_core.cli.arguments import hfov_deg, whole
from hpe_core.cli.evaluation.shared import (
    add_output,
    add_thresholds,
    config_of,
    exit_code,
    given_files,
    print_results,
    thresholds_of,
)
from hpe_core.cli.progress import Progress
from hpe_core.errors import HpeError

if TYPE_CHECKING:
    from hpe_core.evaluation.streams.bag_evaluation import Job

DESCRIPTION = """\
Measure head poses in rosbag2 files against ground truth, or alone. BAG is a bag (folder, .mcap, .db3) or a folder of
bags.

An estimate or the ground truth is a topic (PoseStamped, PoseWithCovarianceStamped, PoseArray, TransformStamped,
Odometry, vision_msgs/Detection3DArray), tf:PARENT/CHILD (CHILD may be a pattern: tf:camera/face_*), FILE.csv as
`hpe run` writes it, or OTHER_BAG:TOPIC; an estimate may also be `run` or `run:MODEL`, our pipeline over the bag's
images.
NAME=... before any of them names it in the report.

Exit code: 0, 1 when a threshold fails, 2 for input that cannot be evaluated."""

EXAMPLES = """\
examples:
  hpe eval bag assets/sample_bag --estimate run --ground-truth /truth/head_pose --out report
  hpe eval bag lab.mcap --estimate ours=/head_pose --estimate theirs=/other/pose --ground-truth tf:camera/marker
  hpe eval bag robot_run --estimate /head_pose                      without ground truth: jitter, rate, latency
  hpe eval bag all_bags/ --estimate run --ground-truth /truth --jobs 4 --thresholds limits.yaml"""
SHOWN_BAGS = 20


def add_parser(kinds: argparse._SubParsersAction) -> None:
    """Hang `bag` under the kinds of `hpe eval`."""
    p = kinds.add_parser(
        "bag",
        help="bags against ground truth, or alone",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.set_defaults(command=eval_bag)
    p.add_argument("bag", metavar="BAG", help="bag, or folder of bags")
    p.add_argument("--estimate", action="append", metavar="E", help="what to measure; repeat to compare (default: run)")
    p.add_argument(
        "--ground-truth", metavar="T", help="ground truth to measure against; none: what can be said without it"
    )
    add_output(p, "eval_<bag>")
    add_thresholds(p)
    p.add_argument("--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html")
    p.add_argument("--errors-bag", action=argparse.BooleanOptionalAction, default=True, help="write errors.mcap")
    run = p.add_argument_group("the estimate `run`")
    run.add_argument("--model", metavar="NAME", help="model for `run` (default: the shipped one)")
    run.add_argument("--topic", metavar="T", help="image topic (default: the only one, or the first)")
    run.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    run.add_argument("--camera-info", metavar="FILE.yaml", help="calibration; overrides the bag's own")
    run.add_argument("--hfov", metavar="DEG", type=hfov_deg, help="horizontal field of view without calibration (60)")
    run.add_argument("--flip", action="store_true", help="measure consistency with mirrored images too")
    how = p.add_argument_group("how to compare")
    how.add_argument("--estimate-frame", choices=("face", "head", "gaze"), default="face", help="axes of estimates")
    how.add_argument(
        "--ground-truth-frame", choices=("face", "head", "gaze"), default="face", help="axes of the ground truth"
    )
    how.add_argument("--ignore-frame-ids", action="store_true", help="take all frame_ids as the same camera")
    how.add_argument("--gate", metavar="M", type=float, default=0.3, help="farthest an estimate may lie from its head")
    how.add_argument(
        "--max-ground-truth-gap", metavar="S", type=float, default=0.2, help="longest gap that is interpolated"
    )
    how.add_argument(
        "--tolerance", metavar="S", type=float, help="farthest a stamp may lie from its frame (half of one)"
    )
    how.add_argument("--apply-offset", action="store_true", help="apply the estimated clock offset, not just report it")
    how.add_argument("--max-offset", metavar="S", type=float, default=1.0, help="largest clock offset that is searched")
    how.add_argument("--calibration-part", metavar="X", type=float, default=0.2, help="share that fits frame offsets")
    how.add_argument("--target", action="append", metavar="NAME=X,Y,Z", help="target point in the camera frame")
    how.add_argument("--looking-angle", metavar="DEG", type=float, default=15.0, help="looks at a target when closer")
    many = p.add_argument_group("many bags")
    many.add_argument("--jobs", metavar="N", type=whole(1, 256), default=1, help="processes for bags and model runs")
    many.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786")


def eval_bag(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from hpe_core.evaluation.report.bags import NAMES, write_files
    from hpe_core.evaluation.report.thresholds import check
    from hpe_core.evaluation.streams.bag_evaluation import combined, remarks, summaries_for_checks
    from hpe_core.evaluation.streams.parallel import evaluate_bags
    from hpe_core.io.bags import bag_files, bag_name, find_bags
    from hpe_core.io.out_folder import OutFolder
    from hpe_core.io.text import printable

    bags, job, thresholds = find_bags(args.bag), _job(args), thresholds_of(args)
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{bag_name(args.bag)}"
    read = [*given_files(args), *(file for bag in bags.values() for file in bag_files(bag)), *_estimate_files(args)]
    with OutFolder(out, "eval bag", NAMES, args.overwrite, read) as folder:
        with Progress() as progress:
            results, failed = evaluate_bags(bags, job, args.jobs, args.cluster, progress.update)
        if not results:
            name, reason = next(iter(failed.items()))
            raise HpeError(reason if len(bags) == 1 else f"none of {len(bags)} bags can be evaluated; {name}: {reason}")
        checks = check(thresholds, summaries_for_checks(results))
        write_files(
            folder.staged,
            results,
            job,
            checks,
            failed=failed,
            bag_paths=bags,
            report=args.report,
            errors_bag=args.errors_bag,
            command=args.typed,
        )
        written = folder.place()
        shown = [(result.name, result.summary["estimates"]) for result in results[:SHOWN_BAGS]]
        if len(results) > 1:
            shown.append(("all bags", combined(results)))
        print_results(shown, failed, checks, written, folder.note())
        for result in results[:SHOWN_BAGS]:
            for line in remarks(result.summary):
                print(printable(f"{result.name}: {line}" if len(results) > 1 else line))
    if failed:
        name, reason = next(iter(failed.items()))
        raise HpeError(f"{len(failed)} of {len(bags)} bags could not be evaluated; {name}: {reason}")
    return exit_code(checks)


def _job(args: argparse.Namespace) -> Job:
    from hpe_core.evaluation.streams.bag_evaluation import Job
    from hpe_core.evaluation.streams.evaluate import Options
    from hpe_core.evaluation.streams.matching import MatchOptions
    from hpe_core.io.camera_info import camera_from_yaml

    targets = tuple(_target(text) for text in args.target or ()) or Options.targets
    options = Options(
        match=MatchOptions(gate_m=args.gate, max_truth_gap_s=args.max_ground_truth_gap, tolerance_s=args.tolerance),
        calibration_part=args.calibration_part,
        apply_offset=args.apply_offset,
        max_offset_s=args.max_offset,
        targets=targets,
        looking_deg=args.looking_angle,
    )
    estimates = tuple(f"run=run:{args.model}" if e == "run" and args.model else e for e in args.estimate or ["run"])
    return Job(
        estimates=estimates,
        truth=args.ground_truth,
        estimate_frame=args.estimate_frame,
        truth_frame=args.ground_truth_frame,
        ignore_frame_ids=args.ignore_frame_ids,
        topic=args.topic,
        config=config_of(args.config),
        camera=camera_from_yaml(args.camera_info) if args.camera_info else None,
        hfov_deg=args.hfov,
        flip=args.flip,
        options=options,
    )


def _target(text: str) -> tuple[str, tuple[float, float, float]]:
    name, _, numbers = text.partition("=")
    try:
        x, y, z = (float(number) for number in numbers.split(","))
    except ValueError:
        x = y = z = float("nan")
    if not name or not all(abs(v) < 1e6 for v in (x, y, z)):
        raise HpeError(f"--target must be NAME=X,Y,Z in metres in the camera frame, got {text!r}")
    return name, (x, y, z)


def _estimate_files(args: argparse.Namespace) -> list[str | Path]:
    """Files with poses that are read beside the bags."""
    from hpe_core.evaluation.streams.readers import parse_spec
    from hpe_core.io.bags import bag_files

    specs = [parse_spec(text) for text in (*(args.estimate or ()), *([args.ground_truth] if args.ground_truth else ()))]
    tables = [spec.what for spec in specs if spec.kind == "csv"]
    return [*tables, *(file for spec in specs if spec.bag for file in bag_files(spec.bag))]
