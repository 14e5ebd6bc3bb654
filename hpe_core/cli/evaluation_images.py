"""What `hpe eval images` does: parsed arguments in, files and an exit code out."""

from pathlib import Path

import hpe_core
from hpe_core import registry
from hpe_core.cli.evaluation import EXIT_OK, EXIT_THRESHOLD, Progress, config_of, given_files
from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.evaluate import (
    Absent,
    answers_of,
    labelled_images,
    offsets_of,
    our_methods,
    scored,
)
from hpe_core.evaluation.images.tables import markdown, method_table, print_table, yaw_table
from hpe_core.evaluation.report import results as files
from hpe_core.evaluation.report.page import page_of_images, write_page
from hpe_core.evaluation.report.results import SCHEMA_VERSION
from hpe_core.evaluation.report.thresholds import check, load_thresholds
from hpe_core.io.out_folder import OutFolder

NAMES = ("results.json", "frames.csv", "tables.md", "junit.xml", "report.html")
WIDTH = 400  # no row is broken or cut short: a terminal that is narrower wraps it


def eval_images(args):
    """`hpe eval images`; returns the exit code."""
    out = Path(args.out) if args.out else Path("hpe_out") / f"eval_{Path(args.folder).resolve().name}"
    thresholds = load_thresholds(args.thresholds) if args.thresholds else []
    samples = labelled_images(args.folder, args.limit)
    others = labelled_images(args.align_on, args.limit) if args.align_on else []
    methods = our_methods(args.model or (), config_of(args.config) or PipelineConfig())
    if args.peers:
        methods |= peers(args.peers)
    read = [*given_files(args), *(sample.path for sample in samples + others)]
    with OutFolder(out, "eval images", NAMES, args.overwrite, read) as folder:
        with Progress() as progress:
            offsets = offsets_of(methods, others, args.hfov, progress.update) if others else {}
            answers = answers_of(methods, samples, args.hfov, None, progress.update)
        name = Path(args.folder).resolve().name
        tables = {name: scored(methods, answers, offsets)}
        if args.without:
            tables[f"{name} without {', '.join(args.without)}"] = scored(methods, answers, offsets, args.without)
        measured = {m: r.summary for m, r in tables[name].items() if not isinstance(r, Absent)}
        checks = check(thresholds, measured)
        write_tables(folder.staged, tables, checks)
        files.write_junit(folder.staged / "junit.xml", checks, "hpe_eval.images")
        written, note = folder.place(), folder.note()
    print_tables(tables, checks)
    for path in written:
        print(f"written   {path}")
    if note:
        print(f"note      {note}")
    return EXIT_OK if all(c.passed for c in checks) else EXIT_THRESHOLD


def peers(weights):
    """dict name -> method or Absent of other people's networks, which only a checkout with `training` can run."""
    try:
        module = registry.load("training", "peers")
    except ImportError as error:
        raise HpeError(
            "--peers needs the project's folder `training`: run `python -m hpe_core` in its checkout"
        ) from error
    return module.peers(weights)


def write_tables(out, tables, checks=(), extra=None):
    """results.json, frames.csv, tables.md and report.html of tables: dict title -> dict method -> result."""
    out = Path(out)
    values = {
        "schema": "hpe-image-evaluation",
        "schema_version": SCHEMA_VERSION,
        "hpe_version": hpe_core.__version__,
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "tables": {title: {name: _plain(r) for name, r in results.items()} for title, results in tables.items()},
    }
    (out / "results.json").write_text(files.results_json(values | (extra or {})), encoding="utf-8")
    first = next(iter(tables.values()))
    files.write_frames_csv(out / "frames.csv", {n: r.rows for n, r in first.items() if not isinstance(r, Absent)})
    parts = []
    for title, results in tables.items():
        parts += [f"## {title}\n", markdown(*method_table(results)), markdown(*yaw_table(results))]
    (out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
    write_page(out / "report.html", page_of_images(tables, checks))


def _plain(result):
    if isinstance(result, Absent):
        return {"status": "absent", "reason": result.reason, "faces_from": result.faces_from}
    return result.summary


def print_tables(tables, checks=()):
    """The tables on the terminal."""
    from rich.console import Console

    console = Console(highlight=False, width=WIDTH)
    for title, results in tables.items():
        print_table(console, title, *method_table(results))
        print_table(console, f"{title}, by |yaw|", *yaw_table(results))
    for one in checks:
        console.print(f"{'passed' if one.passed else 'FAILED'}  {one.text}", markup=False)
