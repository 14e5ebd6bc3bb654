"""How near each network comes to what one CPU core can do: work counted from the ONNX, limits and times measured here.

    taskset -c 1 python -m bench.roofline [MODEL ...]

Limits: a 1024x1024 matrix product in ONNX Runtime (float32; uint8 x int8 for quantised networks), and a copy of 64 MB.
Times are the best of many calls on one thread, as the limits are. MODEL: names or files; default: all that ship.
"""

import argparse
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from bench.gpu import work_of
from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import onnx_graph

SIDE, COPY_BYTES = 1024, 2**26
BATCHES = (1, 8)


def best_s(call, seconds=1.0):
    """Shortest of the calls made in `seconds`."""
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 5:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def product_flop_per_s(operator, types):
    """Operations per second of `operator` on two square matrices of element types (activations, weights, result)."""
    left, right, result = types
    weights = numpy_helper.from_array(np.ones((SIDE, SIDE), helper.tensor_dtype_to_np_dtype(right)), "b")
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", left, [SIDE, SIDE])],
        [helper.make_tensor_value_info("c", result, [SIDE, SIDE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    image = np.ones((SIDE, SIDE), helper.tensor_dtype_to_np_dtype(left))
    return 2 * SIDE**3 / best_s(lambda: session.run(None, {"a": image}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", metavar="MODEL", default=catalogue.networks())
    args = p.parse_args()
    float_peak = product_flop_per_s("MatMul", 3 * [TensorProto.FLOAT])
    int8_peak = product_flop_per_s("MatMulInteger", [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32])
    source, target = np.ones(COPY_BYTES, np.uint8), np.empty(COPY_BYTES, np.uint8)
    bytes_per_s = 2 * COPY_BYTES / best_s(lambda: np.copyto(target, source))
    print(f"one core: {float_peak / 1e9:.0f} GFLOP/s float32, {int8_peak / 1e9:.0f} GOP/s int8, ", end="")
    print(f"{bytes_per_s / 1e9:.0f} GB/s")
    for name in args.models:
        path = catalogue.path_of(name)
        model = onnx_graph.read(path)
        backend = backends.create("onnxruntime", path, threads=1)
        work = work_of(model)
        size, peak = (1, int8_peak) if backend.card.quantised else (4, float_peak)
        for batch in BATCHES if backend.card.free_batch else (1,):
            images = np.random.default_rng(0).integers(0, 256, (batch, *backend.input_shape[1:])).astype(np.uint8)
            ms = 1e3 * best_s(lambda b=backend, x=images: b.run(x))
            flop_ms = 1e3 * batch * work["flop"] / peak
            memory_ms = 1e3 * (work["weights"] * size + batch * (work["io_bytes"])) / bytes_per_s
            print(
                f"{name} x {batch}: {work['flop'] / 1e9:.3f} GFLOP an image, {work['weights'] / 1e6:.2f} M weights; "
                f"{ms:.2f} ms, arithmetic {flop_ms:.2f} ms ({100 * flop_ms / ms:.0f} %), memory {memory_ms:.2f} ms"
            )


if __name__ == "__main__":
    main()
