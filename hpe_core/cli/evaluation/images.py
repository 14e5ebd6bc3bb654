"""`hpe eval images`: its arguments, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpe_core.cli.arguments import hfov_deg, whole
from hpe_core.cli.evaluation.shared import (
    add_output,
    add_thresholds,
    config_of,
    exit_code,
    given_files,
    print_checks,
    thresholds_of,
)
from hpe_core.cli.progress import Progress
from hpe_core.cli.tools import checkout

if TYPE_CHECKING:
    from hpe_core.evaluation.images.evaluate import Absent, Method
    from hpe_core.evaluation.report.tables import Results
    from hpe_core.evaluation.report.thresholds import Check

DESCRIPTION = """\
Compare methods on labelled images: our models, and with --baselines other people's networks, all on the same images
in the same run. FOLDER holds labels.csv with images, shard_*.npz of this project, AFLW2000-3D, 300W-LP, BIWI or
Pointing'04.

Every labelled face is found or missed for a stated reason, by every method; a method that cannot run here is listed as
absent. results.json, frames.csv (a row per method and face), tables.md and report.html are written.

Exit code: 0, 1 when a threshold fails, 2 for input that cannot be evaluated."""
BASELINES = "hpe.baselines"  # group of entry points: function (folder of weights) -> dict of methods


def add_parser(kinds: argparse._SubParsersAction) -> None:
    """Hang `images` under the kinds of `hpe eval`."""
    p = kinds.add_parser(
        "images",
        help="methods side by side on labelled images",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.set_defaults(command=eval_images)
    p.add_argument("folder", metavar="FOLDER", help="labelled images")
    add_output(p, "eval_<folder>")
    p.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="as `hpe run --model`, repeatable (default: all of ours)",
    )
    p.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    p.add_argument(
        "--hfov", metavar="DEG", type=hfov_deg, default=60.0, help="assumed where images have no calibration"
    )
    p.add_argument(
        "--baselines", metavar="DIR", help="weights of the baselines (training/README.md); needs a checkout and torch"
    )
    p.add_argument(
        "--align-on", metavar="FOLDER", help="other labelled images, which fit one constant rotation per method"
    )
    p.add_argument("--without", action="append", metavar="IMAGE", help="show the results without this image, too")
    p.add_argument("--persons", nargs="+", metavar="NAME", help="only images of these people (Pointing'04: 9 10)")
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images (for a trial)")
    add_thresholds(p)


def eval_images(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from hpe_core.config import PipelineConfig
    from hpe_core.evaluation.images.evaluate import Absent, answers_of, labelled_images, offsets_of, our_methods, scored
    from hpe_core.evaluation.report.images import NAMES, write_tables
    from hpe_core.evaluation.report.results import write_junit
    from hpe_core.evaluation.report.thresholds import check
    from hpe_core.evaluation.report.worst_images import worst_images
    from hpe_core.io.out_folder import OutFolder

    name = Path(args.folder).resolve().name
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{name}"
    thresholds = thresholds_of(args)
    samples = labelled_images(args.folder, args.limit, args.persons)
    others = labelled_images(args.align_on, args.limit) if args.align_on else []
    methods: dict[str, Method | Absent] = dict(
        our_methods(args.model or (), config_of(args.config) or PipelineConfig())
    )
    if args.baselines:
        methods |= baselines(args.baselines)
    read = [*given_files(args), *(sample.path for sample in samples + others)]
    with OutFolder(out, "eval images", NAMES, args.overwrite, read) as folder:
        with Progress() as progress:
            offsets = offsets_of(methods, others, args.hfov, progress.update) if others else {}
            answers = answers_of(methods, samples, args.hfov, None, progress.update)
        tables = {name: scored(methods, answers, offsets)}
        if args.without:
            tables[f"{name} without {', '.join(args.without)}"] = scored(methods, answers, offsets, args.without)
        measured = {m: r.summary for m, r in tables[name].items() if not isinstance(r, Absent)}
        checks = check(thresholds, measured)
        worst = worst_images(answers, args.hfov)
        write_tables(folder.staged, tables, checks, worst=worst, command=args.typed)
        write_junit(folder.staged / "junit.xml", checks, "hpe_eval.images")
        written, note = folder.place(), folder.note()
    print_tables(tables, checks)
    for path in written:
        print(f"written   {path}")
    if note:
        print(f"note      {note}")
    return exit_code(checks)


def baselines(weights: str) -> dict[str, Method | Absent]:
    """dict name -> method or Absent of other people's networks, which only a checkout can run."""
    return checkout.call(BASELINES, "baselines", "--baselines", weights)


def print_tables(tables: Mapping[str, Results], checks: Sequence[Check] = ()) -> None:
    """The tables (title -> name of a method -> result) on the terminal."""
    from rich.console import Console

    from hpe_core.cli.terminal import print_table
    from hpe_core.evaluation.report.tables import bin_tables, method_table

    for title, results in tables.items():
        print_table(title, *method_table(results), texts=2)
        for what, table in bin_tables(results).items():
            print_table(f"{title}, by {what}", *table, texts=2)
    print_checks(Console(highlight=False), checks)
