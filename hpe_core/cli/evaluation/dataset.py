"""`hpe eval dataset`: its arguments, and what it does."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

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

DESCRIPTION = """\
Run a model on every image of a dataset that you have, in the dataset's own folder format, by a published protocol:

  aflw2000          AFLW2000-3D, labels within 99 degrees (1969 images)
  biwi              BIWI Kinect, all frames, colour camera (rgb.cal)
  biwi-70-30        BIWI, sequences 17 to 24 only
  nlml-window       AFLW2000-3D within 50/40/30 degrees; nlml-window-biwi likewise

Every image is scored, missed or skipped for a stated reason; results.json and frames.csv say which."""


def add_parser(kinds: argparse._SubParsersAction) -> None:
    """Hang `dataset` under the kinds of `hpe eval`."""
    p = kinds.add_parser(
        "dataset",
        help="a model on a public dataset",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.set_defaults(command=eval_dataset)
    p.add_argument("folder", metavar="FOLDER", help="the dataset as it was published")
    p.add_argument("--protocol", required=True, metavar="P", help="aflw2000, biwi, biwi-70-30, nlml-window, ...")
    p.add_argument("--model", metavar="NAME", help="model name or .onnx file (default: the shipped one)")
    p.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    p.add_argument(
        "--hfov", metavar="DEG", type=hfov_deg, default=60.0, help="assumed where the dataset has no calibration"
    )
    add_output(p, "eval_<protocol>")
    add_thresholds(p)
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images (for a trial)")
    p.add_argument("--jobs", metavar="N", type=whole(1, 256), default=1, help="processes")


def eval_dataset(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from hpe_core.config import PipelineConfig
    from hpe_core.evaluation.images.dataset import evaluate_dataset
    from hpe_core.evaluation.images.protocols import PROTOCOLS
    from hpe_core.evaluation.report.datasets import NAMES, write_files
    from hpe_core.evaluation.report.thresholds import check
    from hpe_core.io.out_folder import OutFolder
    from hpe_core.pipeline import with_method

    if args.protocol not in PROTOCOLS:
        raise HpeError(f"unknown protocol '{args.protocol}', known: {', '.join(PROTOCOLS)}")
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{args.protocol}"
    thresholds = thresholds_of(args)
    config = config_of(args.config) or PipelineConfig()
    if args.model:
        config = replace(config, estimator=replace(config.estimator, model=args.model))
    with OutFolder(out, "eval dataset", NAMES, args.overwrite, given_files(args)) as folder:
        with Progress() as progress:
            summary, rows = evaluate_dataset(
                PROTOCOLS[args.protocol],
                args.folder,
                config=config,
                hfov_deg=args.hfov,
                limit=args.limit,
                jobs=args.jobs,
                progress=progress.update,
            )
        label = Path(with_method(config).estimator.model).name
        checks = check(thresholds, {label: summary})
        write_files(folder.staged, label, summary, rows, checks, args.protocol)
        written = folder.place()
        print_results([(args.protocol, {label: summary})], {}, checks, written, folder.note())
    return exit_code(checks)
