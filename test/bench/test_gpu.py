"""What of the GPU bench can be proven without a GPU: its arithmetic, its torch network, and how it ends."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hpe_core import backends, catalogue  # noqa: E402
from hpe_core.backends.tensorrt import gpu as gpu_here  # noqa: E402
from hpe_core.backends.tensorrt import network_file, onnx_graph, parity, sampler  # noqa: E402

ROOT = Path(__file__).parents[2]
COLUMNS = {  # of each row of the CSV, after date, commit and hardware
    *("network", "runner", "precision", "batch", "p50_ms", "p95_ms", "p99_ms", "images_per_s"),
    *("flop_floor_ms", "memory_floor_ms", "memory_unfused_ms", "times_the_floor"),
    *("rotation_deg_median", "rows_compared", "same_poses"),
}
SHIPPED = pytest.mark.parametrize(
    "name",
    [n for n in catalogue.networks() if not network_file.read(catalogue.path_of(n)).card.quantised],
)


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT))  # the modules import each other as bench.<name>
    try:
        return importlib.import_module("bench.gpu")
    finally:
        sys.path.remove(str(ROOT))


@pytest.mark.skipif(gpu_here.find()[0] is not None, reason="states what happens without a GPU")
def test_without_a_gpu_it_ends_with_one_clear_line():
    result = subprocess.run([sys.executable, "-m", "bench.gpu"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("bench.gpu: no GPU to measure: ") and result.stderr.count("\n") == 1


def test_work_of_one_convolution_is_what_a_hand_counts(bench):
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w")
    bias = numpy_helper.from_array(np.zeros(8, np.float32), "b")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 10, 20])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 10, 20])
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1] * 4)
    model = helper.make_model(helper.make_graph([node], "g", [image], [out], [weight, bias]))
    work = bench.work_of(model)
    assert work["flop"] == 2 * 27 * 8 * 200
    assert work["weights"] == 8 * 27 + 8
    assert work["activations"] == 600 + 1600
    assert work["io_bytes"] == 600 + 4 * 1600


def test_work_of_a_dense_layer_is_two_per_weight(bench):
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.zeros((5, 7), np.float32), "w")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 7])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    work = bench.work_of(helper.make_model(helper.make_graph([node], "g", [image], [out], [weight])))
    assert (work["flop"], work["weights"], work["activations"]) == (70, 35, 12)


def test_floors_are_work_over_speed(bench):
    work = {"flop": 10**9, "weights": 10**6, "activations": 10**7, "io_bytes": 10**6}
    floors = bench.floors_ms(work, 4, "fp16", flop_per_s=1e12, bytes_per_s=1e9)
    assert floors["flop_floor_ms"] == pytest.approx(4.0)
    assert floors["memory_floor_ms"] == pytest.approx(2.0 + 4.0)
    assert floors["memory_unfused_ms"] == pytest.approx(6.0 + 80.0)


def test_latencies_are_percentiles_and_throughput_counts_images(bench):
    times = np.full(100, 0.010)
    times[:2] = 0.030
    assert bench.summary(times, 4) == pytest.approx(
        {"p50_ms": 10.0, "p95_ms": 10.0, "p99_ms": 30.0, "images_per_s": 400 / 1.04}
    )


@SHIPPED
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_torch_network_has_the_shipped_weights(bench, name, precision):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    path = catalogue.path_of(name)
    reference = backends.create("onnxruntime", path, threads=1)
    model = onnx_graph.read(path)
    network = bench.TorchNetwork(model, reference.card, precision, device="cpu")
    columns = reference.card.columns
    images = np.concatenate(parity.inputs(reference.card))[:4]
    rows = network.run(images)
    assert rows.dtype == np.float32
    expected = np.concatenate([reference.run(image[None]) for image in images])
    width = rows.shape[-1]
    found = parity.compare(np.concatenate(expected).reshape(-1, width), rows.reshape(-1, width), columns)
    assert parity.refusal(found.as_dict(), precision) is None, found


def test_faces_of_the_image_lie_where_they_are_said_to_be(bench):
    for width, height in bench.IMAGES:
        image, middles, side = bench.face_image(width, height)
        assert image.shape == (height, width, 3) and len(middles) == 8
        for middle, crop in zip(middles, parity.crops(side, side), strict=False):
            x, y = (middle - (side - 1) / 2).astype(int)
            np.testing.assert_array_equal(image[y : y + side, x : x + side], crop)


class WithSampler:
    """ONNX Runtime behind the contract of a backend that samples; its `run` must not be used then."""

    def __init__(self, path, precision, max_batch):
        backend = backends.create("onnxruntime", path, threads=1)
        self.card, self.input_shape, self._network = backend.card, backend.input_shape, backend.run
        _, wanted = sampler.samplers_of(self.card, 16)
        self._sample = sampler.reference(wanted, 1)
        self.calls = []
        WithSampler.latest = self

    def samples(self, shape):
        return sampler.takes(shape)

    def run_on(self, source, nodes, spread):
        self.calls.append("GPU")
        return self._network(self._sample(source.array, nodes, spread))

    def run(self, canvases):
        self.calls.append("CPU")
        return self._network(canvases)

    def close(self):
        self.calls.append("closed")


@SHIPPED
def test_whole_paths_are_measured_both_ways_with_the_columns_of_the_other_rows(bench, name, monkeypatch):
    monkeypatch.setattr(bench, "WARM_UP_S", 0.0)
    limits = {"fp16": 1e12}, 1e11
    rows = list(bench.measure_paths(catalogue.path_of(name), 0.0, *limits, make_backend=WithSampler))
    groups = (1,) if name.startswith("head6dof") else (1, 4)
    assert [(row["runner"], row["batch"]) for row in rows] == [
        (f"from {size}, pixels by {where}", faces)
        for size in ("640x480", "1280x720")
        for faces in groups
        for where in ("GPU", "CPU")
    ]
    assert set(rows[0]) == COLUMNS and all(row["same_poses"] for row in rows)
    assert all(row["rotation_deg_median"] < 1e-3 for row in rows if row["runner"].endswith("CPU"))
    calls = WithSampler.latest.calls
    assert calls.count("GPU") == calls.count("CPU") > 20 * len(groups) and calls[-1] == "closed"


@SHIPPED
def test_a_shipped_network_costs_less_than_a_gflop(bench, name):
    model = onnx_graph.read(catalogue.path_of(name))
    work = bench.work_of(model)
    assert 2e7 < work["flop"] < 1e9
    sizes = [np.prod(tensor.dims) for tensor in onnx_graph.with_initializers(model).graph.initializer]
    assert work["weights"] == pytest.approx(sum(sizes), rel=0.03)  # dense has a map of the face, too
