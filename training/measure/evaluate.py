"""Accuracy of our models beside the peers', on everything that is labelled, against the project's targets.

    python -m training.measure.evaluate --lfw-test DIR --render-test DIR --conditions --video --cost --out DIR
    python -m training.measure.evaluate --model model.onnx --lfw-test DIR --out metrics.json       (for a model card)

A folder gets tables.md, results.json, frames.csv, report.html and targets.md; see docs/evaluation.md. The photographs
of LFW's test people also fit the one constant rotation per method with which aligned errors are told.
"""

import argparse
import json
import sys
import time
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from hpe_core.cli.evaluation_images import NAMES, print_tables, write_tables
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.evaluate import (
    Absent,
    answers_of,
    labelled_images,
    our_methods,
    scored,
)
from hpe_core.evaluation.images.scores import fitted_offset
from hpe_core.evaluation.images.tables import markdown
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from hpe_core.io.out_folder import OutFolder, check_new_file, new_file
from training.measure import targets
from training.measure.conditions import conditions
from training.measure.peers import YUNET, peers
from training.measure.video import evaluate_video, frames_of, video_methods

DEV, GIMBAL_LOCK = "aflw2000_dev16", "image02773.jpg"
FILES = (*NAMES, "targets.md")
MIN_CONDITION_PX = 80  # smaller faces would be enlarged by a condition


def main_faces(samples):
    """Of every image the Sample of the largest face; the others are still known faces."""
    groups = groupby(samples, key=lambda sample: sample.image_id or sample.name)
    return [max(group, key=lambda s: np.prod(s.box_px[2:] - s.box_px[:2])) for _, group in map(_listed, groups)]


def _listed(item):
    return item[0], list(item[1])


class Run:
    """What one call measured so far: `tables` (title -> name -> result), `conditions`, `video`, `cost`."""

    def __init__(self, methods):
        self.methods, self.offsets = methods, {}
        self.tables, self.conditions, self.video, self.cost = {}, {}, {}, {}

    def measure(self, name, samples, without=(), align=False):
        """Tables of a set, with and without some images; align: the set fits the methods' constant rotations."""
        with Progress(transient=True) as progress:
            task = progress.add_task(name, total=None)
            answers = answers_of(
                self.methods,
                samples,
                DEFAULT_HFOV_DEG,
                None,
                lambda n, of: progress.update(task, completed=n, total=of),
            )
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


def cost_of(ours, data):
    """dict weights_mb, cpu_ms, peers_cpu_ms (name -> number), fastest_peer_cpu_ms: one face in 640x480, one thread.

    Processor time, so that other work on the machine does not count; frames and turns are those of bench.latency.
    """
    from bench import latency

    cv2.setNumThreads(1)
    frames = [latency.with_faces(frame, 1) for frame in latency.sample_frames(60)]
    made = {n: p for n, p in latency.pipelines(data, 1).items() if not n.startswith(latency.OURS)}
    present = {name: method.pipeline for name, method in ours.items() if not isinstance(method, Absent)}
    made |= {name: _Timed(pipeline) for name, pipeline in present.items()}
    times = {name: [] for name in made}
    for first in range(0, len(frames), latency.BLOCK):
        block = frames[first : first + latency.BLOCK]
        for name, pipeline in made.items():
            for number, frame in enumerate(block[: latency.WARM_UP] + block):
                start = time.process_time()
                pipeline.run(frame)
                if number >= latency.WARM_UP:
                    times[name].append(1e3 * (time.process_time() - start))
    cpu_ms = {name: float(np.median(values)) for name, values in times.items()}
    peers_ms = {name: ms for name, ms in cpu_ms.items() if name not in ours}
    return {
        "weights_mb": {name: _weights_mb(pipeline) for name, pipeline in present.items()},
        "cpu_ms": {name: cpu_ms[name] for name in present},
        "peers_cpu_ms": peers_ms,
        "fastest_peer_cpu_ms": min(peers_ms.values(), default=None),
    }


class _Timed:
    """A Pipeline as bench.latency times it."""

    def __init__(self, pipeline):
        self._pipeline, self._stamp_ns = pipeline, 0
        pipeline.reset()

    def run(self, frame):
        self._stamp_ns += 66_666_667
        camera = CameraModel.from_hfov(frame.shape[1], frame.shape[0], DEFAULT_HFOV_DEG)
        result = self._pipeline.process(frame, camera, self._stamp_ns)
        return len(result.faces), result.stage_s


def _weights_mb(pipeline):
    """Megabytes of every model file that a Pipeline uses."""
    return sum(path.stat().st_size for path, _ in pipeline.models) / 1e6


# --- the model card ------------------------------------------------------------------------------------------------


def card_metrics(model, data, lfw_test=None, shards=(), limit=1000, video=True):
    """dict of the numbers that a model's card carries: one model, no peers."""
    methods = our_methods([model])
    ((name, method),) = methods.items()
    dev = labelled_images(data / "real_labelled" / DEV)
    answers = answers_of(methods, dev, DEFAULT_HFOV_DEG)
    everything = scored(methods, answers)[name]
    regular = scored(methods, answers, without=[GIMBAL_LOCK])[name]
    rows = everything.rows
    euler, found = regular.summary["rotation"]["euler_mae_deg"], rows["status"] == "matched"
    per_image = np.stack([np.abs(rows[f"{axis}_error_deg"]) for axis in ("yaw", "pitch", "roll")], -1)
    out = {
        DEV: {
            "images": len(rows["image"]),
            "found": int(found.sum()),
            "missed": rows["image"][~found].tolist(),
            "compared": "in the look-at camera",
            "euler_mae_deg": [_two(euler[key]) for key in ("yaw", "pitch", "roll", "mean")],
            "euler_mae_failures_counted_deg": _two(euler["mean_failures_as_mean_pose"]),
            "geodesic_mean_deg": _two(regular.summary["rotation"]["geodesic_deg"]["mean"]),
            "geodesic_all_mean_deg": _two(everything.summary["rotation"]["geodesic_deg"]["mean"]),
            "per_image_deg": {
                str(image): np.round(error, 1).tolist()
                for image, error in zip(rows["image"][found], per_image[found], strict=True)
            },
        }
    }
    for key, folder in [("lfw_test", lfw_test)] * bool(lfw_test) + [(Path(f).name, f) for f in shards]:
        samples = main_faces(labelled_images(folder, limit))
        out[key] = _shard_metrics(scored(methods, answers_of(methods, samples, DEFAULT_HFOV_DEG))[name].summary)
    if video:
        out["video_headmove"] = _one_face(method.pipeline, data / "video_headmove" / "demo.mp4")
    return out


def _shard_metrics(summary):
    counts, geodesic = summary["detection"], summary["rotation"]["geodesic_deg"]
    nees = ((summary["uncertainty"] or {}).get("rotation") or {}).get("nees_over_dof")
    return {
        "images": counts["images"],
        "found": counts["matched"],
        "found_percent": _two(100.0 * counts["recall"]),
        "false_faces_per_image_percent": _two(100.0 * counts["false_per_image"]),
        "geodesic_to_label_median_deg": _two(geodesic["median"]),
        "geodesic_to_label_p95_deg": _two(geodesic["p95"]),
        "rms_error_over_published_std": None if nees is None else _two(np.sqrt(nees)),
    }


def _one_face(pipeline, path):
    """Frames with exactly one face under the id most often seen."""
    pipeline.reset()
    ids = []
    for stamp_ns, image in frames_of(path):
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], DEFAULT_HFOV_DEG)
        faces = pipeline.process(image, camera, stamp_ns).faces
        ids.append(faces[0].face_id if len(faces) == 1 else None)
    named = [i for i in ids if i]
    most = max((named.count(i) for i in set(named)), default=0)
    return {"frames": len(ids), "exactly_one_face_same_id": most, "ids": sorted(set(named))}


def _two(value):
    return None if value is None else round(float(value), 2)


# --- the command -----------------------------------------------------------------------------------------------------


def main(argv=None):
    """Returns the exit code."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", action="append", help="as `hpe run --model`, repeatable (default: all of ours)")
    p.add_argument("--data", type=Path, default=Path("../shared/data"))
    p.add_argument("--lfw-test", help="shard folder of the LFW test people")
    p.add_argument("--render-test", help="shard folder of rendered people that training never saw")
    p.add_argument("--shards", nargs="*", default=[], help="further shard folders to measure")
    p.add_argument("--limit", type=int, default=1000, help="images of each shard folder")
    p.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure the peers too")
    p.add_argument("--conditions", action="store_true", help="blur, noise, small faces, off-axis cameras, ...")
    p.add_argument("--condition-limit", type=int, default=200, help="images of the rendered set under each condition")
    p.add_argument("--video", action=argparse.BooleanOptionalAction, default=None, help="jitter and lag on a video")
    p.add_argument("--cost", action="store_true", help="time for a frame, beside the peers")
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
    others = peers(args.data / "weights") if args.peers else {}
    run = Run(ours | others)
    dev = labelled_images(args.data / "real_labelled" / DEV)
    lfw = main_faces(labelled_images(args.lfw_test, args.limit)) if args.lfw_test else []
    rendered = labelled_images(args.render_test, args.limit) if args.render_test else []
    further = {Path(folder).name: labelled_images(folder, args.limit) for folder in args.shards}
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
    rows = targets.targets(
        targets.Measurements(
            present,
            run.tables[DEV],
            run.tables[f"{DEV} without {GIMBAL_LOCK}"],
            run.tables.get("render_test", {}),
            run.conditions,
            run.video,
            run.cost,
        )
    )
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
