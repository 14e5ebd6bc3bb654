"""`hpe eval` and `hpe convert`: arguments in, files and an exit code out."""

import argparse
import sys
from pathlib import Path

from hpe_core.errors import HpeError

EXIT_OK, EXIT_THRESHOLD, EXIT_BAD_INPUT = 0, 1, 2
NAMES = ("results.json", "frames.csv", "junit.xml", "report.html", "errors.mcap")

BAG_DESCRIPTION = """\
Measure head poses in rosbag2 files against a truth, or alone. BAG is a bag (folder, .mcap, .db3) or a folder of bags.

An estimate or the truth is a topic (PoseStamped, PoseWithCovarianceStamped, PoseArray, TransformStamped, Odometry,
vision_msgs/Detection3DArray), tf:PARENT/CHILD (CHILD may be a pattern: tf:camera/face_*), FILE.csv as `hpe run` writes
it, or OTHER_BAG:TOPIC; an estimate may also be `run` or `run:MODEL`, our pipeline over the bag's images.
NAME=... before any of them names it in the report.

Exit code: 0, 1 when a threshold fails, 2 for input that cannot be evaluated."""

BAG_EXAMPLES = """\
examples:
  hpe eval bag assets/sample_bag --estimate run --truth /truth/head_pose --out report
  hpe eval bag lab.mcap --estimate ours=/head_pose --estimate theirs=/other/pose --truth tf:camera/marker
  hpe eval bag robot_run --estimate /head_pose                      without truth: jitter, dropouts, rate, latency
  hpe eval bag all_bags/ --estimate run --truth /truth --jobs 4 --thresholds limits.yaml"""


DATASET_DESCRIPTION = """\
Run a model on every image of a dataset that you have, in the dataset's own folder format, by a published protocol:

  aflw2000          AFLW2000-3D, labels within 99 degrees (1969 images)
  biwi              BIWI Kinect, all frames, colour camera (rgb.cal)
  biwi-70-30        BIWI, sequences 17 to 24 only
  nlml-window       AFLW2000-3D within 50/40/30 degrees; nlml-window-biwi likewise

Every image is scored, missed or skipped for a stated reason; results.json and frames.csv say which."""

CONVERT_DESCRIPTION = """\
Write rosbag2 files (MCAP) with images, CameraInfo and, for datasets, the truth on /truth/head_pose:

  biwi FOLDER       one bag per sequence, pose in the colour camera by rgb.cal
  aflw2000 FOLDER   one bag of unrelated images, ten seconds apart
  300wlp FOLDER     one bag per subset; with --list FILE the list of images within 99 degrees, and no bags
  images, video     no truth; CameraInfo only from --camera-info or --hfov"""


def add_parsers(commands):
    """Add `eval` and `convert` to the subparsers of the command `hpe`."""
    formatter = argparse.RawDescriptionHelpFormatter
    evaluation = commands.add_parser("eval", help="measure poses in bags and on datasets")
    kinds = evaluation.add_subparsers(title="what to evaluate", metavar="KIND", required=True)
    bag = kinds.add_parser(
        "bag",
        help="bags against a truth, or alone",
        description=BAG_DESCRIPTION,
        epilog=BAG_EXAMPLES,
        formatter_class=formatter,
    )
    _add_bag_arguments(bag)
    bag.set_defaults(command=_eval_bag)
    dataset = kinds.add_parser(
        "dataset", help="a model on a public dataset", description=DATASET_DESCRIPTION, formatter_class=formatter
    )
    _add_dataset_arguments(dataset)
    dataset.set_defaults(command=_eval_dataset)
    convert = commands.add_parser(
        "convert",
        help="datasets, images and videos into bags",
        description=CONVERT_DESCRIPTION,
        formatter_class=formatter,
    )
    _add_convert_arguments(convert)
    convert.set_defaults(command=_convert)


def _add_bag_arguments(p):
    p.add_argument("bag", metavar="BAG", help="bag, or folder of bags")
    p.add_argument("--estimate", action="append", metavar="E", help="what to measure; repeat to compare (default: run)")
    p.add_argument("--truth", metavar="T", help="what to measure against; none: what can be said without truth")
    p.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/eval_<bag>)")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")
    p.add_argument("--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html")
    p.add_argument("--errors-bag", action=argparse.BooleanOptionalAction, default=True, help="write errors.mcap")
    run = p.add_argument_group("the estimate `run`")
    run.add_argument("--model", metavar="NAME", help="model for `run` (default: the shipped one)")
    run.add_argument("--topic", metavar="T", help="image topic (default: the only one, or the first)")
    run.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    run.add_argument("--camera-info", metavar="FILE.yaml", help="calibration; beats the bag's own")
    run.add_argument("--hfov", metavar="DEG", type=float, help="horizontal field of view without calibration (60)")
    run.add_argument("--flip", action="store_true", help="measure consistency with mirrored images too")
    how = p.add_argument_group("how to compare")
    how.add_argument("--estimate-frame", choices=("face", "head", "gaze"), default="face", help="axes of estimates")
    how.add_argument("--truth-frame", choices=("face", "head", "gaze"), default="face", help="axes of the truth")
    how.add_argument("--ignore-frame-ids", action="store_true", help="take all frame_ids as the same camera")
    how.add_argument("--gate", metavar="M", type=float, default=0.3, help="farthest an estimate may lie from its head")
    how.add_argument("--max-truth-gap", metavar="S", type=float, default=0.2, help="longest gap that is interpolated")
    how.add_argument(
        "--tolerance", metavar="S", type=float, help="farthest a stamp may lie from its frame (half of one)"
    )
    how.add_argument("--apply-offset", action="store_true", help="apply the estimated clock offset, not just report it")
    how.add_argument("--max-offset", metavar="S", type=float, default=1.0, help="largest clock offset looked for")
    how.add_argument("--calibration-part", metavar="X", type=float, default=0.2, help="share that fits frame offsets")
    how.add_argument("--target", action="append", metavar="NAME=X,Y,Z", help="looked-at point in the camera frame")
    how.add_argument("--looking-angle", metavar="DEG", type=float, default=15.0, help="looks at a target when closer")
    many = p.add_argument_group("many bags")
    many.add_argument("--jobs", metavar="N", type=int, default=1, help="processes for bags and model runs")
    many.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786")


def _add_dataset_arguments(p):
    p.add_argument("folder", metavar="FOLDER", help="the dataset as it was published")
    p.add_argument("--protocol", required=True, metavar="P", help="aflw2000, biwi, biwi-70-30, nlml-window, ...")
    p.add_argument("--model", metavar="NAME", help="model name or .onnx file (default: the shipped one)")
    p.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    p.add_argument(
        "--hfov", metavar="DEG", type=float, default=60.0, help="assumed where the dataset has no calibration"
    )
    p.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/eval_<protocol>)")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")
    p.add_argument("--limit", metavar="N", type=int, help="only the first N images (for a trial)")
    p.add_argument("--jobs", metavar="N", type=int, default=1, help="processes")


def _add_convert_arguments(p):
    p.add_argument("kind", choices=("biwi", "aflw2000", "300wlp", "images", "video"), metavar="KIND", help="see above")
    p.add_argument("source", metavar="SOURCE", help="folder of the dataset, folder of images, or video")
    p.add_argument("--out", metavar="DIR", help="folder of the bags (default: hpe_out/<kind>)")
    p.add_argument("--overwrite", action="store_true", help="replace the bags of an earlier conversion in DIR")
    p.add_argument("--limit", metavar="N", type=int, help="only the first N images")
    p.add_argument("--list", metavar="FILE", help="300wlp: write the list of usable images instead")
    camera = p.add_mutually_exclusive_group()
    camera.add_argument("--camera-info", metavar="FILE.yaml", help="calibration of the images")
    camera.add_argument("--hfov", metavar="DEG", type=float, help="horizontal field of view to assume")


def _eval_dataset(args):
    from dataclasses import replace

    from hpe_core.config import PipelineConfig
    from hpe_core.evaluation import results as files
    from hpe_core.evaluation.dataset_evaluation import evaluate_dataset
    from hpe_core.evaluation.protocols import PROTOCOLS
    from hpe_core.evaluation.thresholds import check, load_thresholds

    if args.protocol not in PROTOCOLS:
        raise HpeError(f"unknown protocol '{args.protocol}', known: {', '.join(PROTOCOLS)}")
    if args.jobs < 1:
        raise HpeError(f"--jobs must be at least 1, got {args.jobs}")
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{args.protocol}"
    _check_out(out, args.overwrite)
    thresholds = load_thresholds(args.thresholds) if args.thresholds else []
    config = _config(args.config) or PipelineConfig()
    if args.model:
        config = replace(config, estimator=replace(config.estimator, model=args.model))
    with _Progress() as progress:
        summary, rows = evaluate_dataset(
            PROTOCOLS[args.protocol], args.folder, config, args.hfov, args.limit, args.jobs, progress.update
        )
    label = Path(config.estimator.model).name
    checks = check(thresholds, {label: summary})
    _clear(out)
    (out / "results.json").write_text(files.results_json(summary), encoding="utf-8")
    files.write_frames_csv(out / "frames.csv", {label: files.as_arrays(rows)})
    files.write_junit(out / "junit.xml", checks, f"hpe_eval.{args.protocol}")
    _print_tables([(args.protocol, {label: summary})], {}, checks, out)
    return EXIT_OK if all(c.passed for c in checks) else EXIT_THRESHOLD


def _convert(args):
    from hpe_core.evaluation.convert import convert, samples_of
    from hpe_core.io.camera_info import camera_from_yaml

    if args.list:
        if args.kind != "300wlp":
            raise HpeError(f"--list is for 300wlp, got {args.kind}")
        from hpe_core.evaluation.datasets.w300lp import usable

        names, outside = usable(samples_of(args.kind, args.source))
        Path(args.list).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        print(f"written   {args.list}: {len(names)} images, {outside} outside 99 degrees left out")
        return EXIT_OK
    camera = camera_from_yaml(args.camera_info) if args.camera_info else None
    out = Path(args.out) if args.out else Path("hpe_out") / args.kind
    counts, losses = convert(args.kind, args.source, out, camera, args.hfov, args.overwrite, args.limit)
    for name, count in counts.items():
        print(f"written   {out / name}/: {count} images")
    for reason, count in losses.items():
        print(f"lost      {reason}: {count}")
    return EXIT_OK


def _eval_bag(args):
    from hpe_core.evaluation import bag_evaluation
    from hpe_core.evaluation.parallel import evaluate_bags
    from hpe_core.evaluation.thresholds import check, load_thresholds

    bags = find_bags(args.bag)
    job = _job(args)
    thresholds = load_thresholds(args.thresholds) if args.thresholds else []
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{bag_evaluation.bag_name(args.bag)}"
    _check_out(out, args.overwrite)
    if args.jobs < 1:
        raise HpeError(f"--jobs must be at least 1, got {args.jobs}")
    with _Progress() as progress:
        results, failed = evaluate_bags(bags, job, args.jobs, args.cluster, progress.update)
    if not results:
        name, reason = next(iter(failed.items()))
        raise HpeError(reason if len(bags) == 1 else f"none of {len(bags)} bags can be evaluated; {name}: {reason}")
    checks = check(thresholds, bag_evaluation.summaries_for_checks(results))
    _write(out, args, bags, results, failed, job, checks)
    _print(results, failed, checks, out)
    if failed:
        name, reason = next(iter(failed.items()))
        raise HpeError(f"{len(failed)} of {len(bags)} bags could not be evaluated; {name}: {reason}")
    return EXIT_OK if all(c.passed for c in checks) else EXIT_THRESHOLD


def _job(args):
    from hpe_core.evaluation.bag_evaluation import Job
    from hpe_core.evaluation.evaluate import Options
    from hpe_core.evaluation.matching import MatchOptions
    from hpe_core.io.camera_info import camera_from_yaml

    targets = tuple(_target(text) for text in args.target or ()) or Options.targets
    options = Options(
        MatchOptions(args.gate, args.max_truth_gap, args.tolerance),
        args.calibration_part,
        args.apply_offset,
        args.max_offset,
        targets,
        args.looking_angle,
    )
    estimates = tuple(f"run=run:{args.model}" if e == "run" and args.model else e for e in args.estimate or ["run"])
    return Job(
        estimates,
        args.truth,
        args.estimate_frame,
        args.truth_frame,
        args.ignore_frame_ids,
        args.topic,
        _config(args.config),
        camera_from_yaml(args.camera_info) if args.camera_info else None,
        args.hfov,
        args.flip,
        options,
    )


def _config(path):
    if not path:
        return None
    from hpe_core.config import PipelineConfig, overridden
    from hpe_core.io.yaml_file import load_mapping

    return overridden(PipelineConfig(), load_mapping(path, "config file"))


def _target(text):
    name, _, numbers = text.partition("=")
    try:
        point = tuple(float(number) for number in numbers.split(","))
    except ValueError:
        point = ()
    if not name or len(point) != 3 or not all(abs(v) < 1e6 for v in point):
        raise HpeError(f"--target must be NAME=X,Y,Z in metres in the camera frame, got {text!r}")
    return name, point


def find_bags(text):
    """dict name -> path of the bag `text`, or of all bags in the folder `text` (any depth, natural order)."""
    from hpe_core.evaluation.bag_evaluation import bag_name
    from hpe_core.io.sources import BAG_SUFFIXES, is_bag_folder, natural_key

    root = Path(text)
    if not root.exists():
        raise HpeError(f"{text} does not exist")
    if not root.is_dir() or is_bag_folder(root):
        return {bag_name(root): root}
    folders = {path.parent for suffix in BAG_SUFFIXES for path in root.rglob(f"*{suffix}")}
    folders |= {path.parent for path in root.rglob("metadata.yaml")}
    if not folders:
        raise HpeError(f"folder {text} holds no rosbag2")
    names = {folder.relative_to(root).as_posix(): folder for folder in folders}
    return {name: names[name] for name in sorted(names, key=natural_key)}


def _check_out(out, overwrite):
    """Raises HpeError when `out` cannot become the output folder; changes nothing."""
    if out.exists() and not out.is_dir():
        raise HpeError(f"output folder {out} is a file")
    earlier = [name for name in NAMES if (out / name).exists()]
    if earlier and not overwrite:
        raise HpeError(f"output folder {out} holds earlier results ({', '.join(earlier)}): use --overwrite or --out")


def _clear(out):
    """The output folder without the results of an earlier evaluation."""
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (out / name).unlink(missing_ok=True)


def _write(out, args, bags, results, failed, job, checks):
    from hpe_core.evaluation import bag_evaluation
    from hpe_core.evaluation import results as files

    _clear(out)
    values = bag_evaluation.results_of(results, job, checks) | {"failed_bags": failed}
    (out / "results.json").write_text(files.results_json(values), encoding="utf-8")
    files.write_frames_csv(out / "frames.csv", bag_evaluation.all_rows(results))
    files.write_junit(out / "junit.xml", checks, "hpe_eval")
    if args.report:
        from hpe_core.evaluation.report import write_report

        write_report(out / "report.html", results, bags, job, checks, failed)
    if args.errors_bag and args.truth:
        from hpe_core.evaluation.errors_bag import write_errors_bag

        write_errors_bag(out / "errors.mcap", results)


def _print(results, failed, checks, out):
    from hpe_core.evaluation.bag_evaluation import combined

    shown = [(result.name, result.summary["estimates"]) for result in results[:20]]
    if len(results) > 1:
        shown.append(("all bags", combined(results)))
    _print_tables(shown, failed, checks, out)
    for result in results[:20]:
        for line in remarks(result.summary):
            print(f"{result.name}: {line}" if len(results) > 1 else line)


def remarks(summary):
    """What a user should know of one bag's results beyond the numbers: losses, notices, and why nothing matched."""
    truth = summary["truth"] or {}
    sources = [("truth", truth.get("losses", {}), truth.get("notices", []))]
    for label, one in summary["estimates"].items():
        sources.append((label, one["stream"]["losses"], one["stream"]["notices"]))
    for name, losses, notices in sources:
        yield from (f"lost      {name}: {reason}: {count}" for reason, count in losses.items())
        yield from (f"note      {name}: {text}" for text in notices)
    for label, one in summary["estimates"].items():
        counts = one.get("detection")
        if counts and not counts["matched"]:
            reasons = [f"{reason}: {count}" for reason, count in counts["skipped"].items()]
            reasons += [f"too far from every true head (--gate): {counts['false']}"] if counts["false"] else []
            yield f"note      {label}: no pose was matched; {'; '.join(reasons) or 'there are none'}"


def _print_tables(shown, failed, checks, out):
    """Tables of (title, dict label -> summary), what failed, thresholds and files."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hpe_core.evaluation.tables import ROWS, cell

    console = Console(highlight=False)
    for title, estimates in shown:
        table = Table(title=escape(title), title_justify="left")
        for column in ("", *estimates):
            table.add_column(escape(column), justify="right" if column else "left")
        for name, path in ROWS:
            cells = [cell(summary, path) for summary in estimates.values()]
            if any(cells):
                table.add_row(name, *cells)
        console.print(table)
    for name, reason in failed.items():
        console.print(f"not evaluated {name}: {reason}", markup=False)
    for one in checks:
        console.print(f"{'passed' if one.passed else 'FAILED'}  {one.text}", markup=False)
    for name in NAMES:
        if (out / name).exists():
            console.print(f"written   {out / name}", markup=False, soft_wrap=True)


class _Progress:
    """A bar on the terminal while models or processes run; nothing where there is no terminal."""

    def __enter__(self):
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = None
        self._bar.start()
        return self

    def update(self, done, total):
        """So many images (or tasks) are done."""
        if self._task is None or done == 1:
            self._task = self._bar.add_task("evaluating", total=total)
        self._bar.update(self._task, completed=done)

    def __exit__(self, *exception):
        self._bar.stop()
