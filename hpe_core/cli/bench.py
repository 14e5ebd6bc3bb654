"""`hpe bench`: every shipped network on every backend that works here, and the whole pipeline, as one small JSON."""

import argparse
import itertools
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import hpe_core
from hpe_core.cli.arguments import number, whole
from hpe_core.cli.stages.timing import latency
from hpe_core.errors import HpeError
from hpe_core.io.out_folder import check_new_file, new_file
from hpe_core.io.text import utc_now

DESCRIPTION = """\
Measures the shipped networks on every inference backend that works on this machine, compares their poses with
ONNX Runtime, and times the whole pipeline. With --model the stages of one model instead, on one face of a 640x480 image
with ONNX Runtime: the network on 1, 2 and 4 threads, the rest on one. --report writes it all, with hardware and
versions, to a small JSON file that can be sent to the project; nothing else is collected and nothing is sent."""
FORMAT = 1
PACKAGES = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "onnxruntime-gpu", "tensorrt")
PACKAGES += ("tensorrt_rtx", "cuda-python", "torch", "onnx")
BATCHES = (1, 8)  # of networks that take any number of images
PIPELINES = ("head6dof", "fusion", "fusion_int8")
FRAME_NS = 33_333_333
SIZE = (640, 480)


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `bench` under an argparse subparsers object."""
    bench = subparsers.add_parser("bench", help="measure the networks on this machine", description=DESCRIPTION)
    bench.add_argument("--model", metavar="NAME", help="the stages of this model, as `hpe models` lists it, alone")
    bench.add_argument("--report", metavar="FILE", help="write the results as JSON")
    bench.add_argument("--overwrite", action="store_true", help="replace FILE")
    bench.add_argument(
        "--seconds", metavar="S", type=number(0, 3600), default=2.0, help="time per measurement (default: 2)"
    )
    bench.add_argument(
        "--threads", metavar="N", type=whole(0, 256), default=1, help="CPU threads (default: 1; 0 takes all)"
    )
    bench.set_defaults(command=_bench)


def _bench(args):
    if args.report:
        check_new_file(args.report, args.overwrite)
    report = {
        "format": FORMAT,
        "hpe": hpe_core.__version__,
        "date": utc_now(),
        "hardware": hardware(),
        "versions": versions(),
        "threads": args.threads,
    }
    if args.model:
        from hpe_core.cli.stages.stages import stages, table

        report |= {"model": args.model, "stages": stages(args.model, args.seconds)}
        print(table(report["stages"]))
    else:
        report |= {"networks": [], "pipelines": []}
        _measure_all(args, report)
    if args.report:
        with new_file(args.report, args.overwrite) as path:
            path.write_text(json.dumps(report, indent=1) + "\n")
        print(f"written   {args.report}")
    return 0


def _measure_all(args: argparse.Namespace, report: dict[str, Any]) -> None:
    for row in networks(args.seconds, args.threads):
        report["networks"].append(row)
        print(_text(f"{row['model']} {row['backend']}" + (f" batch {row['batch']}" if "batch" in row else ""), row))
    for row in pipelines(args.seconds, args.threads):
        report["pipelines"].append(row)
        print(_text(f"pipeline {row['model']}", row))


def networks(seconds: float, threads: int) -> Iterator[dict[str, Any]]:
    """Rows (dicts): model, backend, batch and what was found, or why it could not be."""
    from hpe_core import backends, catalogue, registry
    from hpe_core.backends import tensorrt
    from hpe_core.backends.tensorrt import parity

    for model in catalogue.networks():
        path = catalogue.path_of(model)
        reference = backends.create("onnxruntime", path, threads)
        for name in registry.available("hpe_core.backends"):
            row: dict[str, Any] = {"model": model, "backend": name}
            try:
                start = time.perf_counter()
                backend = backends.create(name, path, threads, lambda text: print(f"  {text}", flush=True))
                row["load_s"] = round(time.perf_counter() - start, 2)
                row["precision"] = backend.key.precision if isinstance(backend, tensorrt.Backend) else None
                if isinstance(backend, tensorrt.Backend):
                    row["preprocessing"] = [entry.parity for entry in backend.sampler_entries]
                row["parity"] = parity.measure(reference.run, backend.run, reference.card).as_dict()
                images = parity.inputs(reference.card)[-1]
                for batch in BATCHES if reference.card.free_batch else (1,):
                    yield row | {"batch": batch} | latency(seconds, backend.run, images[:batch])
            except HpeError as error:
                yield row | {"left_out": str(error)}


def pipelines(seconds: float, threads: int) -> Iterator[dict[str, Any]]:
    """Rows (dicts) of the whole way from one image with one face to its pose, at 30 Hz, by the backend `auto` takes."""
    import cv2

    from hpe_core.backends.tensorrt import parity
    from hpe_core.config import EstimatorConfig, PipelineConfig
    from hpe_core.geometry.camera import CameraModel
    from hpe_core.pipeline import Pipeline

    image = cv2.resize(parity.frames(240, 320)[0][0], SIZE)
    camera = CameraModel.from_hfov(*SIZE, 60.0)
    for model in PIPELINES:
        try:
            pipeline = Pipeline(PipelineConfig(EstimatorConfig(model=model, threads=threads)), lambda text: None)
        except HpeError as error:
            yield {"model": model, "left_out": str(error)}
            continue
        stamps = itertools.count(0, FRAME_NS)
        found = latency(seconds, lambda p=pipeline, s=stamps: p.process(image, camera, next(s)))
        yield {"model": model, "backends": [backend.name for _, backend in pipeline.models]} | found


def hardware() -> dict[str, Any]:
    """What the numbers depend on; on a Jetson also its release and power mode."""
    from hpe_core.backends.tensorrt import gpu

    device, reason = gpu.find()
    found = {"machine": platform.machine(), "cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()}
    found["gpu"] = vars(device) if device else reason
    release = Path("/etc/nv_tegra_release")
    if release.is_file():
        found["jetson"] = release.read_text().splitlines()[0]
        try:
            mode = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10)
            found["power_mode"] = " ".join(mode.stdout.split())
        except (OSError, subprocess.TimeoutExpired) as error:
            found["power_mode"] = f"unknown ({error})"
    return found


def cpu_name() -> str:
    """Model name of the processor, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor()


def versions() -> dict[str, str]:
    """Python's version and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _text(title, row):
    if "left_out" in row:
        return f"{title}: left out ({row['left_out']})"
    text = f"{title}: p50 {row['p50_ms']:.2f} ms, p95 {row['p95_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms"
    text += f", mean {row['mean_ms']:.2f} ms"
    if "parity" in row:
        text += f", {row['parity']['rotation_deg_median']:.3f} deg from ONNX Runtime"
    return text
