"""Accuracy of our models beside the baselines', on everything that is labelled, against the project's targets.

    python -m training.measure.evaluate --lfw-test DIR --render-test DIR --conditions --video --cost --out DIR
    python -m training.measure.evaluate --model model.onnx --lfw-test DIR --out metrics.json       (for a model card)

A folder gets tables.md, results.json, frames.csv, report.html and targets.md; see docs/evaluation.md. The photographs
of LFW's test people also fit the one constant rotation per method with which aligned errors are given.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from hpe_core.cli.evaluation.images import print_tables
from hpe_core.cli.progress import Progress
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.evaluate import (
    Absent,
    answers_of,
    labelled_images,
    our_methods,
    scored,
)
from hpe_core.evaluation.images.scores import fitted_offset
from hpe_core.evaluation.report.images import NAMES, write_tables
from hpe_core.evaluation.report.tables import markdown
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from hpe_core.io.out_folder import OutFolder, check_new_file, new_file
from training.measure import targets
from training.measure.baselines import YUNET, baselines
from training.measure.card import card_metrics
from training.measure.conditions import conditions
from training.measure.cost import cost_of
from training.measure.sets import DEV, GIMBAL_LOCK, POINTING, POINTING_PERSONS, main_faces
from training.measure.video import evaluate_video, video_methods

FILES = (*NAMES, "targets.md")
MIN_CONDITION_PX = 80  # smaller faces would be enlarged by a condition


class Run:
    """What one call measured so far: `tables` (title -> name -> result), `conditions`, `video`, `cost`."""

    def __init__(self, methods):
        self.methods, self.offsets = methods, {}
        self.tables, self.conditions, self.video, self.cost = {}, {}, {}, {}

    def measure(self, name, samples, without=(), align=False):
        """Tables of a set, with and without some images; align: the set fits the methods' constant rotations."""
        with Progress(name) as progress:
            answers = answers_of(self.methods, samples, DEFAULT_HFOV_DEG, None, progress.update)
        self.tables[name] = scored(self.methods, answers, {} if align else self.offsets)
        if without:
            title = f"{name} without {', '.join(without)}"
            self.tables[title] = scored(self.methods, answers, {} if align else self.offsets, without)
        if align:
            self.offsets = {method: fitted_offset(found) for method, found in answers.items()}

    def measure_conditions(self, name, samples):
        """The set again, made harder in each of the ways of training.measure.conditions."""
        large = [s for s in main_faces(samples) if np.max(s.box_px[2:] - s.box_px[:2]) >= MIN_CONDITION_PX]
        if not large:
            raise HpeError(f"{name} has no face of {MIN_CONDITION_PX} px")
        self.conditions[name] = {}
        for condition in conditions(calibrated=large[0].camera is not None):
            methods = condition.methods(self.methods)
            answers = answers_of(methods, large, DEFAULT_HFOV_DEG, condition.change)
            self.conditions[name][condition.name] = scored(methods, answers)
            print(f"{name}: {condition.name} done", file=sys.stderr, flush=True)


def condition_table(results):
    """Header and rows of dict condition -> dict method -> result: median geodesic error (found faces in per cent), for
    the methods that are not absent throughout."""
    methods = [n for n in next(iter(results.values())) if not all(isinstance(r[n], Absent) for r in results.values())]
    rows = [
        [condition, *(_condition_cell(by_method[name]) for name in methods)] for condition, by_method in results.items()
    ]
    return ["geodesic median, deg (found)", *methods], rows


def _condition_cell(result):
    if isinstance(result, Absent):
        return result.reason
    median = result.summary["rotation"]["geodesic_deg"]["median"]
    return f"{'-' if median is None else f'{median:.2f}'} ({100 * result.summary['detection']['recall']:.0f} %)"


def video_table(results):
    """Header and rows of the jitter and lag of every method."""
    header = ["static jitter", "found", "deg per axis", "lag ms", "deg per axis at the shared lag"]
    rows = []
    for name, r in results.items():
        if r["status"] == "absent":
            rows.append([name, f"absent: {r['reason']}", "", "", ""])
            continue
        lag = "" if r["lag_s"] is None else f"{1e3 * r['lag_s']:.0f}"
        late = r["jitter_at_shared_lag_deg_per_axis"]
        rows.append(
            [
                name,
                f"{r['found']}/{r['frames']}",
                f"{r['jitter_deg_per_axis']:.3f}",
                lag,
                "" if late is None else f"{late:.3f}",
            ]
        )
    return header, rows


def main(argv=None):
    """Returns the exit code."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", action="append", help="as `hpe run --model`, repeatable (default: all of ours)")
    p.add_argument("--data", type=Path, default=Path("../shared/data"))
    p.add_argument("--lfw-test", help="shard folder of the LFW test people")
    p.add_argument("--render-test", help="shard folder of rendered people that training never saw")
    p.add_argument("--shards", nargs="*", default=[], help="further shard folders to measure")
    p.add_argument("--limit", type=int, default=1000, help="images of each shard folder")
    p.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True, help="measure the baselines too")
    p.add_argument("--pointing04", action="store_true", help="persons 9 and 10 of Pointing'04, in DATA/pointing04")
    p.add_argument("--conditions", action="store_true", help="blur, noise, small faces, off-axis cameras, ...")
    p.add_argument("--condition-limit", type=int, default=200, help="images of the rendered set under each condition")
    p.add_argument("--video", action=argparse.BooleanOptionalAction, default=None, help="jitter and lag on a video")
    p.add_argument("--cost", action="store_true", help="time for a frame, beside the baselines")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run")
    p.add_argument("--out", required=True, help="folder, or FILE.json for a model card")
    args = p.parse_args(argv)
    try:
        return _card(args) if args.out.endswith(".json") else _evaluate(args)
    except HpeError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _card(args):
    if args.model and len(args.model) > 1:
        raise HpeError(f"a card is of one model, got {len(args.model)}")
    check_new_file(args.out, args.overwrite)
    model = args.model[0] if args.model else "head6dof"
    found = card_metrics(model, args.data, args.lfw_test, args.shards, args.limit, args.video is not False)
    text = json.dumps(found, indent=1)
    print(text)
    with new_file(args.out, args.overwrite) as path:
        path.write_text(text + "\n")
    return 0


def _evaluate(args):
    ours = our_methods(args.model or ())
    others = baselines(args.data / "weights") if args.baselines else {}
    run = Run(ours | others)
    dev = labelled_images(args.data / "real_labelled" / DEV)
    lfw = main_faces(labelled_images(args.lfw_test, args.limit)) if args.lfw_test else []
    rendered = labelled_images(args.render_test, args.limit) if args.render_test else []
    further = {Path(folder).name: labelled_images(folder, args.limit) for folder in args.shards}
    if args.pointing04:
        further[POINTING] = labelled_images(args.data / POINTING, args.limit, POINTING_PERSONS)
    with OutFolder(args.out, "training.measure.evaluate", FILES, args.overwrite) as folder:
        folder.keep = True  # what was measured before it was broken off
        text = _measure(args, run, ours, others, dev, lfw, rendered, further, folder.staged)
        folder.place()
    print_tables(run.tables)
    print(text)
    return 0


def _measure(args, run, ours, others, dev, lfw, rendered, further, out):
    """Everything that is asked for, written into the folder `out` as it comes; returns the text of `save`."""
    if lfw:
        run.measure("lfw_test", lfw, align=True)
    run.measure(DEV, dev, without=[GIMBAL_LOCK])
    save(out, run, ours)
    if rendered:
        run.measure("render_test", rendered)
    for name, samples in further.items():
        run.measure(name, samples)
    if args.cost:
        run.cost = cost_of(ours, args.data)
    save(out, run, ours)
    if args.conditions:
        run.measure_conditions(DEV, [sample for sample in dev if sample.name != GIMBAL_LOCK])
        save(out, run, ours)
    if args.conditions and rendered:
        run.measure_conditions("render_test", rendered[: args.condition_limit])
        save(out, run, ours)
    if args.video:
        run.video = _video(args, others)
    return save(out, run, ours)


def _video(args, others):
    detect = next((p.detect for p in others.values() if p.faces_from == YUNET and not isinstance(p, Absent)), None)
    methods = video_methods(others, args.model or ())
    found, video = evaluate_video(args.data / "video_headmove" / "demo.mp4", methods, detect)
    return {"methods": found, "video": video}


def save(out, run, ours):
    """Write everything that was measured so far (a long run that is broken off has its results); returns the text of
    what is no table of a set."""
    present = tuple(name for name, method in ours.items() if not isinstance(method, Absent))
    measured = targets.Measurements(
        ours=present,
        dev_all=run.tables[DEV],
        dev=run.tables[f"{DEV} without {GIMBAL_LOCK}"],
        rendered=run.tables.get("render_test", {}),
        pointing=run.tables.get(POINTING, {}),
        conditions=run.conditions,
        video=run.video,
        cost=run.cost,
    )
    rows = targets.targets(measured)
    plain = {name: {c: _medians(r) for c, r in by.items()} for name, by in run.conditions.items()}
    extra = {"conditions": plain, "video": run.video, "cost": run.cost, "targets": _plain(rows)}
    write_tables(out, run.tables, extra=extra)
    parts = [f"## {name}, made harder\n\n{markdown(*condition_table(r))}" for name, r in run.conditions.items()]
    if run.video:
        video = "; ".join(f"{key} {value:.4g}" for key, value in run.video["video"].items())
        parts.append(f"## Video\n\n{markdown(*video_table(run.video['methods']))}\n{video}\n")
    if run.cost:
        parts.append(f"## Cost\n\n```\n{json.dumps(run.cost, indent=1)}\n```\n")
    with open(out / "tables.md", "a", encoding="utf-8") as file:
        file.write("\n".join(["", *parts]))
    absent = [f"absent: {n} ({m.reason})" for n, m in run.methods.items() if isinstance(m, Absent)]
    text = targets.table(rows, present) + "".join(f"\n{line}\n" for line in absent)
    (out / "targets.md").write_text(text, encoding="utf-8")
    return "\n".join([*parts, text])


def _plain(rows):
    return [
        {"what": what, "target": target, "got": {name: {"text": g.text, "met": g.met} for name, g in got.items()}}
        for what, target, got in rows
    ]


def _medians(results):
    """dict method -> the numbers of a condition that go into results.json."""
    return {
        name: {"status": "absent", "reason": r.reason}
        if isinstance(r, Absent)
        else {"detection": r.summary["detection"], "rotation": r.summary["rotation"]}
        for name, r in results.items()
    }


if __name__ == "__main__":
    sys.exit(main())
