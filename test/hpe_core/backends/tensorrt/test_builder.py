"""Real plans from the real TensorRT for RTX, which builds ahead for GPUs that are not here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed, so no engine is built (pip install onnx)")
pytest.importorskip(
    "tensorrt_rtx",
    reason="tensorrt_rtx is not installed, so NO ENGINE IS BUILT by these tests (pip install tensorrt_rtx)",
)

from hpe_core import catalogue
from hpe_core.backends.tensorrt import builder, gpu, make, network_file, onnx_graph, typed_graph
from hpe_core.backends.tensorrt.store import EngineStore, UnusableEngine
from hpe_core.errors import HpeError
from training.deploy import int8

pytestmark = pytest.mark.trt
trt = pytest.importorskip("tensorrt_rtx")
ROOT = Path(__file__).parents[4]
CAPABILITIES = ("8.0", "8.6", "8.9", "12.0")
NETWORKS = [  # that become half precision; one quantised for CPUs is not for TensorRT
    name for name in catalogue.networks() if not network_file.read(catalogue.path_of(name)).card.quantised
]
NEEDS_NO_GPU = pytest.mark.skipif(gpu.find()[0] is not None, reason="states what happens without a GPU")


@pytest.fixture
def network(write_net):
    """(path, typed ONNX bytes) of the small network in half precision."""
    path = write_net()
    return path, typed_graph.for_tensorrt(onnx_graph.read(path), "fp16").SerializeToString()


def obtain(store, path, capability="8.6", said=None, **options):
    network = network_file.read(path)
    key = make.key_for(trt, network, None, capability, **options)
    progress = (said if said is not None else []).append
    return store.obtain(key, lambda: make.build(trt, network, key, True, progress), lambda entry: entry, progress)


@pytest.mark.parametrize("max_batch", [1, 16, None])
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_shipped_network_builds_in_half_precision(name, capability, max_batch, tmp_path):
    path = catalogue.path_of(name)
    entry = obtain(EngineStore(tmp_path), path, capability, max_batch=max_batch)
    assert entry.key.precision == "fp16" and entry.facts["types"]["float16"] >= 20
    weights = onnx_graph.with_initializers(onnx_graph.read(path)).graph.initializer
    halved = 2 * sum(np.prod(tensor.dims) for tensor in weights)
    assert halved < len(entry.plan) < 1.6 * halved  # the plan holds the weights, in half precision
    assert entry.facts["card"]["name"] == name
    free = isinstance(entry.facts["input_shape"][0], str)
    assert entry.key.max_batch == (max_batch or (16 if free else 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_plan_of_a_shipped_network_serves_several_gpus(name):
    typed = typed_graph.for_tensorrt(onnx_graph.read(catalogue.path_of(name)), "fp16")
    profiles = builder.batch_profiles(typed.graph.input[0].name, onnx_graph.input_shape(typed), 1)
    assert len(builder.build_plan(trt, typed.SerializeToString(), "fp16", profiles, CAPABILITIES)) > 1_000_000


@pytest.mark.parametrize("precision, max_batch", [("fp32", 1), ("fp32", 16), ("fp16", 16)])
def test_precisions_and_batches_are_different_engines(write_net, tmp_path, precision, max_batch):
    store, path = EngineStore(tmp_path / "engines"), write_net()
    obtain(store, path)
    obtain(store, path, precision=precision, max_batch=max_batch)
    assert len(store.entries()) == 2


def test_a_network_of_any_number_of_crops_is_built_for_up_to_sixteen_unless_told_otherwise(write_crop_net, tmp_path):
    store, path = EngineStore(tmp_path / "engines"), write_crop_net()
    assert obtain(store, path).key.max_batch == 16
    assert obtain(store, path, max_batch=8).key.max_batch == 8
    entry = obtain(store, path, max_batch=1)
    assert entry.key.max_batch == 1 and entry.facts["input_shape"] == ["batch", 32, 32, 3]


def test_a_network_quantised_for_tensorrt_builds_as_int8_by_itself(write_net, tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    path = tmp_path / "int8.onnx"
    int8.quantise(write_net(), [image], path, "tensorrt")
    entry = obtain(EngineStore(tmp_path / "engines"), path)
    assert entry.key.precision == "int8" and entry.facts["types"]["quantised"] >= 8


def test_the_exported_order_is_refused_by_tensorrt_and_ours_is_not(write_net):
    path = write_net()
    with pytest.raises(HpeError, match=r"tensorrt_rtx [\d.]+ cannot read the network: .*UInt8"):
        builder.build_plan(trt, path.read_bytes(), "fp32", None, ("8.6",))
    typed = typed_graph.for_tensorrt(onnx_graph.read(path), "fp32")
    assert builder.build_plan(trt, typed.SerializeToString(), "fp32", None, ("8.6",))


def test_progress_ends_with_done(network):
    said = []
    builder.build_plan(trt, network[1], "fp16", None, ("8.6",), said.append)
    assert said[0].endswith(": 0 %") and said[-1].endswith(": done")
    shares = [int(text.split()[-2]) for text in said[:-1]]
    assert shares == sorted(shares) and len(shares) > 2


def test_a_capability_that_is_not_known_lists_the_known_ones(network):
    with pytest.raises(HpeError, match=r"does not build for compute capability 5\.3, allowed: 7\.5, 8\.0, 8\.6"):
        builder.build_plan(trt, network[1], "fp16", None, ("5.3",))


@NEEDS_NO_GPU
def test_without_a_gpu_a_build_for_the_gpu_at_hand_says_so_in_tensorrts_words(network):
    with pytest.raises(HpeError, match=r"cannot build the engine: .*driver"):
        builder.build_plan(trt, network[1], "fp16")


@pytest.mark.parametrize("content", [b"", b"no network"])
def test_bytes_that_are_no_network_are_refused(content):
    with pytest.raises(HpeError, match="cannot"):
        builder.build_plan(trt, content, "fp16", None, ("8.6",))


def test_a_real_plan_is_stored_found_healed_and_replaced_by_version(write_net, tmp_path):
    store, path, said = EngineStore(tmp_path / "engines"), write_net(), []
    first = obtain(store, path, said=said)
    told = len(said)
    assert obtain(store, path, said=said).plan == first.plan and len(said) == told  # found
    plan = store.folder / f"{first.key.stem}.plan"
    plan.write_bytes(first.plan[: len(first.plan) // 2])
    healed = obtain(store, path, said=said)
    assert "the stored one is invalid" in said[told] and len(healed.plan) > len(first.plan) // 2
    write_net(seed=1)  # the same file name, other weights
    other = obtain(store, path)
    assert other.key.digest != first.key.digest and len(store.entries()) == 2


@NEEDS_NO_GPU
def test_loading_a_plan_without_a_gpu_is_an_error_that_can_be_read(network):
    plan = builder.build_plan(trt, network[1], "fp16", None, ("8.6",))
    with pytest.raises(HpeError):
        builder.open_engine(trt, plan)


def test_a_plan_that_is_noise_is_unusable():
    with pytest.raises(UnusableEngine, match="does not load it"):
        builder.open_engine(trt, b"no plan at all" * 100)


def test_two_processes_that_want_the_same_engine_build_it_once(write_net, tmp_path):
    command = [
        sys.executable,
        "-m",
        "hpe_core",
        "engine",
        "build",
        str(write_net()),
        "--cache",
        str(tmp_path / "engines"),
    ]
    racers = [
        subprocess.Popen(
            [*command, "--compute-capability", "8.9"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sum(err.count("building engine net") for _, err in outputs) == 1
    assert sum(err.count("building engine sampler") for _, err in outputs) == 2
    assert outputs[0][0] == outputs[1][0] != ""


@NEEDS_NO_GPU
def test_noise_is_refused_by_tensorrt_replaced_once_and_what_cannot_load_here_fails_loudly(write_net, tmp_path):
    store, path, said = EngineStore(tmp_path / "engines"), write_net(), []
    network = network_file.read(path)
    key = make.key_for(trt, network, None, "8.6")
    store.write(key, b"noise" * 1000, {})
    with pytest.raises(HpeError):  # there is no GPU to load the new one on
        store.obtain(
            key,
            lambda: make.build(trt, network, key, True, lambda text: None),
            lambda entry: builder.open_engine(trt, entry.plan),
            said.append,
        )
    assert len(said) == 1 and "the stored one is invalid" in said[0] and "does not load it" in said[0]


def test_what_the_backend_calls_to_give_contexts_their_memory_exists_in_tensorrt_for_rtx():
    assert hasattr(trt.ExecutionContextAllocationStrategy, "USER_MANAGED")
    assert hasattr(trt.DynamicShapesKernelSpecializationStrategy, "EAGER")
    assert hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION") and hasattr(trt.BuilderFlag, "TF32")
    assert hasattr(trt.ICudaEngine, "create_runtime_config") and hasattr(trt.ICudaEngine, "device_memory_size_v2")
    assert hasattr(trt.IRuntimeConfig, "dynamic_shapes_kernel_specialization_strategy")
    assert hasattr(trt.IRuntimeConfig, "set_execution_context_allocation_strategy")
    assert hasattr(trt.IExecutionContext, "set_device_memory")


def test_types_of_tensors_are_those_that_tensorrt_itself_names():
    for name in builder.NUMPY_TYPES:
        tensor_type = getattr(trt.DataType, name)
        assert builder.numpy_type(tensor_type) == np.dtype(trt.nptype(tensor_type))
    with pytest.raises(HpeError, match="tensor of type INT64, allowed: FLOAT, HALF"):
        builder.numpy_type(trt.DataType.INT64)
