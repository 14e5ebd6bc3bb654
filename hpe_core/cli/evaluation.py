"""What `hpe eval` and `hpe convert` do: parsed arguments in, files and an exit code out."""

import sys
from dataclasses import replace
from pathlib import Path

from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.evaluation.convert import convert as conversion
from hpe_core.evaluation.datasets.w300lp import usable
from hpe_core.evaluation.images.dataset import evaluate_dataset
from hpe_core.evaluation.images.protocols import PROTOCOLS
from hpe_core.evaluation.report import results as files
from hpe_core.evaluation.report.page import write_report
from hpe_core.evaluation.report.tables import ROWS, cell
from hpe_core.evaluation.report.thresholds import check, load_thresholds
from hpe_core.evaluation.streams import bag_evaluation
from hpe_core.evaluation.streams.bag_evaluation import Job, bag_name, combined
from hpe_core.evaluation.streams.errors_bag import write_errors_bag
from hpe_core.evaluation.streams.evaluate import Options
from hpe_core.evaluation.streams.matching import MatchOptions
from hpe_core.evaluation.streams.parallel import evaluate_bags
from hpe_core.evaluation.streams.readers import parse_spec
from hpe_core.io.bags import BAG_SUFFIXES, bag_files, is_bag_folder
from hpe_core.io.camera_info import camera_from_yaml
from hpe_core.io.files import natural_key
from hpe_core.io.out_folder import OutFolder, check_new_file, new_file
from hpe_core.io.text import printable
from hpe_core.io.yaml_file import load_mapping
from hpe_core.pipeline import with_method

EXIT_OK, EXIT_THRESHOLD = 0, 1  # bad input ends with 2, which hpe_core.cli.main does for every HpeError
NAMES = ("results.json", "frames.csv", "junit.xml", "report.html", "errors.mcap")


def eval_dataset(args):
    """`hpe eval dataset`; returns the exit code."""
    if args.protocol not in PROTOCOLS:
        raise HpeError(f"unknown protocol '{args.protocol}', known: {', '.join(PROTOCOLS)}")
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{args.protocol}"
    thresholds = load_thresholds(args.thresholds) if args.thresholds else []
    config = config_of(args.config) or PipelineConfig()
    if args.model:
        config = replace(config, estimator=replace(config.estimator, model=args.model))
    with OutFolder(out, "eval dataset", NAMES, args.overwrite, given_files(args)) as folder:
        with Progress() as progress:
            summary, rows = evaluate_dataset(
                PROTOCOLS[args.protocol], args.folder, config, args.hfov, args.limit, args.jobs, progress.update
            )
        label = Path(with_method(config).estimator.model).name
        checks = check(thresholds, {label: summary})
        (folder.staged / "results.json").write_text(files.results_json(summary), encoding="utf-8")
        files.write_frames_csv(folder.staged / "frames.csv", {label: files.as_arrays(rows)})
        files.write_junit(folder.staged / "junit.xml", checks, f"hpe_eval.{args.protocol}")
        written = folder.place()
        _print_tables([(args.protocol, {label: summary})], {}, checks, written, folder.note())
    return EXIT_OK if all(c.passed for c in checks) else EXIT_THRESHOLD


def convert(args):
    """`hpe convert`; returns the exit code."""
    if args.list:
        if args.kind != "300wlp":
            raise HpeError(f"--list is for 300wlp, got {args.kind}")
        check_new_file(args.list, args.overwrite)
        names, outside = usable(conversion.samples_of(args.kind, args.source))
        with new_file(args.list, args.overwrite) as path:
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        print(f"written   {args.list}: {len(names)} images, {outside} outside 99 degrees left out")
        return EXIT_OK
    camera = camera_from_yaml(args.camera_info) if args.camera_info else None
    out = Path(args.out) if args.out else Path("hpe_out") / args.kind
    counts, losses, note = conversion.convert(
        args.kind, args.source, out, camera, args.hfov, args.overwrite, args.limit, given_files(args)
    )
    for name, count in counts.items():
        print(f"written   {out / name}/: {count} images")
    for reason, count in losses.items():
        print(f"lost      {reason}: {count}")
    if note:
        print(f"note      {note}")
    return EXIT_OK


def eval_bag(args):
    """`hpe eval bag`; returns the exit code."""
    bags = find_bags(args.bag)
    job = _job(args)
    thresholds = load_thresholds(args.thresholds) if args.thresholds else []
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{bag_evaluation.bag_name(args.bag)}"
    read = [*given_files(args), *(file for bag in bags.values() for file in bag_files(bag)), *_estimate_files(args)]
    with OutFolder(out, "eval bag", NAMES, args.overwrite, read) as folder:
        with Progress() as progress:
            results, failed = evaluate_bags(bags, job, args.jobs, args.cluster, progress.update)
        if not results:
            name, reason = next(iter(failed.items()))
            raise HpeError(reason if len(bags) == 1 else f"none of {len(bags)} bags can be evaluated; {name}: {reason}")
        checks = check(thresholds, bag_evaluation.summaries_for_checks(results))
        _write(folder.staged, args, bags, results, failed, job, checks)
        written = folder.place()
        _print(results, failed, checks, written, folder.note())
    if failed:
        name, reason = next(iter(failed.items()))
        raise HpeError(f"{len(failed)} of {len(bags)} bags could not be evaluated; {name}: {reason}")
    return EXIT_OK if all(c.passed for c in checks) else EXIT_THRESHOLD


def _job(args):
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
        config_of(args.config),
        camera_from_yaml(args.camera_info) if args.camera_info else None,
        args.hfov,
        args.flip,
        options,
    )


def config_of(path):
    """PipelineConfig of a YAML file over the defaults, or None without a file."""
    if not path:
        return None

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


def given_files(args) -> list[str]:
    """Files that the options name, as far as the command has such options."""
    options = ("config", "camera_info", "thresholds", "model")
    named = [getattr(args, name, None) or () for name in options]
    return [path for value in named for path in ([value] if isinstance(value, str) else value)]


def _estimate_files(args):
    """Files with poses that `hpe eval bag` reads beside the bags."""
    specs = [parse_spec(text) for text in (*(args.estimate or ()), *([args.truth] if args.truth else ()))]
    tables = [spec.what for spec in specs if spec.kind == "csv"]
    return tables + [file for spec in specs if spec.bag for file in bag_files(spec.bag)]


def _write(out, args, bags, results, failed, job, checks):
    values = bag_evaluation.results_of(results, job, checks) | {"failed_bags": failed}
    (out / "results.json").write_text(files.results_json(values), encoding="utf-8")
    files.write_frames_csv(out / "frames.csv", bag_evaluation.all_rows(results))
    files.write_junit(out / "junit.xml", checks, "hpe_eval")
    if args.report:
        write_report(out / "report.html", results, bags, job, checks, failed)
    if args.errors_bag and args.truth:
        write_errors_bag(out / "errors.mcap", results)


def _print(results, failed, checks, written, note):
    shown = [(result.name, result.summary["estimates"]) for result in results[:20]]
    if len(results) > 1:
        shown.append(("all bags", combined(results)))
    _print_tables(shown, failed, checks, written, note)
    for result in results[:20]:
        for line in remarks(result.summary):
            print(printable(f"{result.name}: {line}" if len(results) > 1 else line))


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


def _print_tables(shown, failed, checks, written, note):
    """Tables of (title, dict label -> summary), what failed, thresholds, files and a note on the folder, if any."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    for title, estimates in shown:
        table = Table(title=escape(printable(title)), title_justify="left")
        for column in ("", *estimates):
            table.add_column(escape(printable(column)), justify="right" if column else "left")
        for name, path in ROWS:
            cells = [cell(summary, path) for summary in estimates.values()]
            if any(cells):
                table.add_row(name, *cells)
        console.print(table)
    for name, reason in failed.items():
        console.print(printable(f"not evaluated {name}: {reason}"), markup=False)
    for one in checks:
        console.print(f"{'passed' if one.passed else 'FAILED'}  {one.text}", markup=False)
    for path in written:
        console.print(f"written   {printable(path)}", markup=False, soft_wrap=True)
    if note:
        console.print(f"note      {note}", markup=False, soft_wrap=True)


class Progress:
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
