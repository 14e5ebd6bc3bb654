"""Every network on the GPU of this machine: latency, throughput, distance from the hardware's limit, equality of poses.

    python -m bench.gpu [--seconds 2] [--out bench/results_gpu.csv]

Runners: torch eager and torch.compile, ONNX Runtime's CUDA provider, TensorRT (or TensorRT for RTX); what is not
installed or does not work is named and left out. Each call takes images (B, H, W, 3) uint8 from host memory and ends
with rows in host memory, as in the pipeline. Limits are measured in the same run: a large matrix product in the row's
precision for arithmetic, a large copy on the device for memory. Rows are appended to the CSV.

Runners "from 640x480, pixels by GPU" and "by CPU" take a whole image from host memory to rows, with the letterbox or
the crops made by TensorRT or by OpenCV; their floors are the network's alone.
"""

import argparse
import importlib.util
import itertools
import sys
import time
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from bench.rows import ROOT, append, commit
from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import gpu, network_file, parity
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.network_card import CROP, WHOLE_IMAGE
from hpe_core.networks.network import prepared
from hpe_core.pixels.canvas import SourceImage, crop_canvases, letterbox_canvas

RESULTS = ROOT / "bench" / "results_gpu.csv"
BATCHES = (1, 4, 16)
PRECISIONS = ("fp32", "fp16")
BYTES = {"fp32": 4, "fp16": 2}
WARM_UP_S = 0.5
IMAGES = ((640, 480), (1280, 720))  # that whole paths start from
FACES = (1, 4)  # of these images, for networks that take crops
PATH_PRECISION = "fp16"
PATH_LIMITS = "int8"  # poses may differ as much as INT8's: OpenCV and the GPU blur a little differently


def work_of(model):
    """What one image costs a network (ModelProto): dict of flop, weights, activations (values) and io_bytes.

    flop: two per multiplication of the convolutions and dense layers. activations: values that these read and write,
    each layer for itself. io_bytes: image in, rows out. Quantised weights count like others.
    """
    import onnx

    from hpe_core.backends.tensorrt import onnx_graph

    model = onnx_graph.with_initializers(model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    work = {"flop": 0, "weights": 0, "activations": 0}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            kernel, out = weights[node.input[1]], shapes[node.output[0]]
            ins = int(np.prod(kernel)) // out[1]  # products per output value
            work["flop"] += 2 * ins * int(np.prod(out))
            work["weights"] += sum(int(np.prod(weights[name])) for name in node.input[1:])
            work["activations"] += int(np.prod(shapes[node.input[0]])) + int(np.prod(out))
    image, rows = shapes[graph.input[0].name], shapes[graph.output[0].name]
    return work | {"io_bytes": int(np.prod(image)) + 4 * int(np.prod(rows))}


def floors_ms(work, batch, precision, flop_per_s, bytes_per_s):
    """Least times in ms: arithmetic; memory if every activation stays on the chip; memory if none does."""
    size = BYTES[precision]
    once = work["weights"] * size + batch * work["io_bytes"]
    return {
        "flop_floor_ms": 1e3 * batch * work["flop"] / flop_per_s,
        "memory_floor_ms": 1e3 * once / bytes_per_s,
        "memory_unfused_ms": 1e3 * (once + batch * work["activations"] * size) / bytes_per_s,
    }


def timed(run, images, seconds):
    """Latencies in s of run(images), repeated for `seconds` after a warm-up; at least 20 calls."""
    end = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < end:
        run(images)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 20:
        start = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - start)
    return np.array(times)


def summary(times_s, batch):
    """p50, p95, p99 in ms and images per second."""
    p50, p95, p99 = 1e3 * np.percentile(times_s, (50, 95, 99))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "images_per_s": batch * len(times_s) / times_s.sum()}


def layers_named(net, name):
    """Layers of a torch network, of itself or of its parts, that have this name."""
    return [layer for path, layer in net.named_modules() if path.rpartition(".")[2] == name]


class TorchNetwork:
    """The network in torch with the weights of a shipped ONNX; precision fp16 runs what the typed ONNX runs in half."""

    def __init__(self, model, card, precision, device="cuda", compiled=False):
        import torch
        from onnx import numpy_helper

        from hpe_core import registry
        from hpe_core.backends.tensorrt import onnx_graph

        module = registry.load("training.networks", card.raw.get("network", card.name))
        net = module.Deployed(module.build(module.Config(**card.raw["config"]))).eval()
        known = net.state_dict()
        weights = onnx_graph.with_initializers(model).graph.initializer
        found = {t.name: numpy_helper.to_array(t) for t in weights if t.name in known}
        net.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in found.items()}, strict=True)
        if precision == "fp16":
            net = net.half()
            for stem in layers_named(net, "stem"):
                stem.register_forward_pre_hook(lambda _, inputs: (inputs[0].half(),))
            if card.kind == WHOLE_IMAGE:  # its last layers are convolutions, half, and decoded in float32
                for output in net.net.outputs:
                    output.register_forward_hook(lambda _, inputs, out: out.float())
            else:  # its last layers are dense and stay float32
                for output in layers_named(net, "output"):
                    output.float().register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
        self._net = net.to(device, memory_format=torch.channels_last)
        if compiled:
            self._net = torch.compile(self._net, mode="reduce-overhead")
        self._torch, self._device = torch, device

    def run(self, images):
        """Rows (B, ...) float32 of images (B, H, W, 3) uint8."""
        with self._torch.inference_mode():
            return self._net(self._torch.from_numpy(images).to(self._device)).cpu().numpy()


class OnnxRuntimeCuda:
    """The typed ONNX by ONNX Runtime's CUDA provider."""

    def __init__(self, model, precision, batch):
        import onnxruntime as ort

        from hpe_core.backends.tensorrt import typed_graph

        reason = backends.registry.load("hpe_core.backends", "onnxruntime_cuda").unavailable()
        if reason:
            raise HpeError(reason)
        typed = typed_graph.for_tensorrt(model, precision, max(BATCHES) if batch > 1 else 1)
        self._session = ort.InferenceSession(typed.SerializeToString(), providers=["CUDAExecutionProvider"])
        if self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise HpeError("CUDAExecutionProvider does not start here")
        self._name = typed.graph.input[0].name

    def run(self, images):
        """Rows (B, ...) float32 of images (B, H, W, 3) uint8."""
        return self._session.run(None, {self._name: images})[0]


def tensorrt_engine(path, precision, batch):
    """The project's own backend; engines go to the user's cache, as in use."""
    module = backends.registry.load("hpe_core.backends", "tensorrt")
    reason = module.unavailable()
    if reason:
        raise HpeError(reason)
    return module.Backend(
        path, progress=lambda text: print(f"  {text}", flush=True), precision=precision, max_batch=batch
    )


def runners(path, model, card, precision, batch):
    """Name -> function that makes a runner."""
    return {
        "torch eager": lambda: TorchNetwork(model, card, precision),
        "torch.compile": lambda: TorchNetwork(model, card, precision, compiled=True),
        "onnxruntime cuda": lambda: OnnxRuntimeCuda(model, precision, batch),
        "tensorrt": lambda: tensorrt_engine(path, precision, batch),
    }


def limits():
    """(flop per second by precision, bytes per second) of GPU 0, measured with torch; NaN where there is no torch."""
    try:
        import torch
    except ImportError:
        return dict.fromkeys(PRECISIONS, float("nan")), float("nan")
    if not torch.cuda.is_available():
        return dict.fromkeys(PRECISIONS, float("nan")), float("nan")

    def best_s(work, times=10):
        found = []
        for _ in range(times + 3):
            torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            torch.cuda.synchronize()
            found.append(time.perf_counter() - start)
        return min(found[3:])

    n = 8192
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    flop_per_s = {}
    for precision, dtype in (("fp32", torch.float32), ("fp16", torch.float16)):
        a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
        flop_per_s[precision] = 2 * n**3 / best_s(lambda a=a, b=b: torch.matmul(a, b))
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return flop_per_s, 2 * source.numel() / best_s(lambda: target.copy_(source))


def measure(path, seconds, flop_per_s, bytes_per_s):
    """Rows (dicts) of one network, all runners, precisions and batches."""
    from hpe_core.backends.tensorrt import onnx_graph

    model = onnx_graph.read(path)
    work, reference = work_of(model), backends.create("onnxruntime", path)
    card, columns, width = reference.card, reference.card.columns, reference.card.row
    frames = np.concatenate(parity.inputs(reference.card))
    expected = np.stack([reference.run(frame[None]).reshape(-1, width) for frame in frames])
    for precision in PRECISIONS:
        for batch in BATCHES:
            chosen = np.arange(batch) % len(frames)
            images = np.ascontiguousarray(frames[chosen])
            floors = floors_ms(work, batch, precision, flop_per_s[precision], bytes_per_s)
            for name, runner_of in runners(path, model, card, precision, batch).items():
                try:
                    runner = runner_of()
                    found = parity.compare(
                        np.concatenate(expected[chosen]), runner.run(images).reshape(-1, width), columns
                    )
                    times = timed(runner.run, images, seconds)
                except Exception as error:  # one runner must not cost the others their turn
                    print(f"left out: {path.stem} {precision} batch {batch} {name}: {str(error).splitlines()[0]}")
                    continue
                network = {"network": path.stem, "runner": name, "precision": precision, "batch": batch}
                yield row_of(network, times, floors, found, precision)
                if hasattr(runner, "close"):
                    runner.close()


def row_of(network, times_s, floors, found, limits):
    """One row (dict) of the results; network: dict with `batch`; found: Parity; limits: precision whose limits hold."""
    numbers = summary(times_s, network["batch"])
    floor_ms = max(floors["flop_floor_ms"], floors["memory_floor_ms"])
    return (
        network
        | numbers
        | floors
        | {"times_the_floor": numbers["p50_ms"] / floor_ms}
        | {"rotation_deg_median": found.rotation_deg_median, "rows_compared": found.rows}
        | {"same_poses": parity.refusal(found.as_dict(), limits) is None}
    )


def face_image(width, height):
    """Image (height, width, 3) uint8 with eight faces of the parity check, and their middles (8, 2), side in pixels."""
    side = min(width // 4, height // 2)
    crops = parity.crops(side, side)[:8]
    image = cv2.resize(parity.frames(240, 320)[0][0], (width, height))
    corners = [(column * (width // 4), row * (height // 2)) for row in range(2) for column in range(4)]
    for crop, (x, y) in zip(crops, corners, strict=True):
        image[y : y + side, x : x + side] = crop
    return image, np.array(corners) + (side - 1) / 2.0, side


def path_of(backend, width, height, faces):
    """A function: a whole image in host memory -> the network's rows, of `faces` crops where it takes crops."""
    image, middles, side = face_image(width, height)
    if backend.card.kind == WHOLE_IMAGE:
        _, canvas_height, canvas_width, _ = backend.input_shape
        return lambda: prepared(backend, letterbox_canvas(SourceImage(image), canvas_width, canvas_height)[0])()
    camera, crop_m, crop_side = CameraModel.from_hfov(width, height, 60.0), backend.card.crop_m, backend.input_shape[1]
    rays, range_m = camera.rays(middles[:faces]), np.full(faces, camera.K[0, 0] * crop_m / side)
    return lambda: prepared(backend, crop_canvases(SourceImage(image), camera, rays, range_m, crop_side, crop_m))()


class WithoutSampler:
    """A backend that is given finished canvases."""

    def __init__(self, backend):
        self.card, self.input_shape, self.run = backend.card, backend.input_shape, backend.run

    def samples(self, image_shape):
        return False


def measure_paths(path, seconds, flop_per_s, bytes_per_s, make_backend=tensorrt_engine):
    """Rows (dicts) of the way from a whole image to one network's rows, its pixels by the GPU and by the CPU."""
    from hpe_core.backends.tensorrt import onnx_graph

    model = onnx_graph.read(path)
    work, reference = work_of(model), backends.create("onnxruntime", path)
    columns = reference.card.columns
    try:
        backend = make_backend(path, PATH_PRECISION, None)
    except HpeError as error:
        print(f"left out: {path.stem} from whole images: {error}")
        return
    for width, height in IMAGES:
        for faces in FACES if reference.card.kind == CROP else (1,):
            expected = path_of(reference, width, height, faces)().reshape(-1, reference.card.row)
            floors = floors_ms(work, faces, PATH_PRECISION, flop_per_s[PATH_PRECISION], bytes_per_s)
            for where in ("GPU", "CPU"):
                name = f"from {width}x{height}, pixels by {where}"
                if where == "GPU" and not backend.samples((height, width, 3)):
                    print(f"left out: {path.stem} {name}: the sampler does not work here")
                    continue
                run = path_of(backend if where == "GPU" else WithoutSampler(backend), width, height, faces)
                found = parity.compare(expected, run().reshape(-1, reference.card.row), columns)
                times = timed(lambda _, run=run: run(), None, seconds)
                network = {"network": path.stem, "runner": name, "precision": PATH_PRECISION, "batch": faces}
                yield row_of(network, times, floors, found, PATH_LIMITS)
    backend.close()


def versions():
    """Packages that the numbers depend on, one text."""
    from importlib import metadata

    found = []
    for name in ("torch", "onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt_rtx"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=2.0, help="measuring time per row")
    p.add_argument("--out", type=Path, default=RESULTS)
    args = p.parse_args()
    device, reason = gpu.find()
    if device is None:
        print(f"bench.gpu: no GPU to measure: {reason}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("onnx") is None:
        print("bench.gpu: the package onnx is not installed", file=sys.stderr)
        return 2
    flop_per_s, bytes_per_s = limits()
    described = ", ".join(f"{value / 1e12:.0f} TFLOP/s {precision}" for precision, value in flop_per_s.items())
    print(f"{device.name}, compute capability {device.compute_capability}, CUDA {device.cuda}")
    print(f"measured limits: {described}, {bytes_per_s / 1e9:.0f} GB/s; {versions()}")
    where = {
        "date": date.today(),
        "commit": commit(),
        "gpu": device.name,
        "cuda": device.cuda,
        "versions": versions(),
    }
    rows = 0
    for name in catalogue.networks():
        if network_file.read(catalogue.path_of(name)).card.quantised:
            print(f"left out: {name}, it is quantised for CPUs")
            continue
        limited = catalogue.path_of(name), args.seconds, flop_per_s, bytes_per_s
        for row in itertools.chain(measure(*limited), measure_paths(*limited)):
            row = where | {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in row.items()}
            print(
                f"{name} {row['precision']} batch {row['batch']:>2} {row['runner']:>16} p50 {row['p50_ms']:8.3f} ms "
                f"p99 {row['p99_ms']:8.3f} {row['images_per_s']:9.0f} images/s {row['times_the_floor']:6.1f} x floor "
                f"{row['rotation_deg_median']:.4f} deg {'same' if row['same_poses'] else 'DIFFERENT'}",
                flush=True,
            )
            append(args.out, [row])  # at once: a run that is cut off keeps what it measured
            rows += 1
    if rows == 0:
        print("bench.gpu: nothing could be measured, see the reasons above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
