"""TensorRT where there is a GPU. Everything before the first call to the device is tested in test/hpe_core/engines."""

import numpy as np
import pytest

from hpe_core import backends, model_store
from hpe_core.backends import tensorrt
from hpe_core.engines import gpu, parity, tensorrt_build


@pytest.fixture
def shipped():
    """Path of a shipped model, on a machine that can run it."""
    reason = tensorrt.unavailable()
    if reason:
        pytest.skip(f"tensorrt: {reason}")
    if not model_store.names():
        pytest.skip("no shipped model here")
    return model_store.path_of(model_store.names()[0])


@pytest.mark.skipif(gpu.find()[0] is not None, reason="states what happens without a GPU")
def test_without_library_or_gpu_the_reason_is_the_first_thing_that_is_missing():
    if tensorrt_build.installed() is None:
        assert tensorrt.unavailable() == "neither tensorrt nor tensorrt_rtx is installed"
    else:
        assert tensorrt.unavailable() == gpu.find()[1]


@pytest.mark.trt_gpu
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_poses_are_those_of_onnx_runtime(shipped, precision):
    engine = tensorrt.Backend(shipped, precision=precision)
    reference = backends.create("onnxruntime", shipped)
    found = parity.measure(reference.run, engine.run, engine.input_shape, engine.card["spec"]["columns"])
    assert parity.refusal(found.as_dict(), precision) is None
    assert engine.parity["rows"] == found.rows and engine.card == reference.card


@pytest.mark.trt_gpu
def test_the_second_start_builds_nothing(shipped):
    said = []
    tensorrt.Backend(shipped, progress=said.append).close()
    assert any(text.startswith("building engine") for text in said)
    said.clear()
    tensorrt.Backend(shipped, progress=said.append).close()
    assert said == []


@pytest.mark.trt_gpu
def test_calls_run_as_a_cuda_graph(shipped):
    assert tensorrt.Backend(shipped)._runner.why_no_graph is None


@pytest.mark.trt_gpu
def test_images_of_a_batch_give_what_each_gives_alone(shipped):
    engine = tensorrt.Backend(shipped, max_batch=4)
    images = np.concatenate(parity.frames(*engine.input_shape[1:3])[:4])
    together = engine.run(images)
    for i in range(4):
        np.testing.assert_allclose(engine.run(images[i : i + 1])[0], together[i], rtol=0.02, atol=0.1)


@pytest.mark.trt_gpu
def test_wrong_arrays_are_refused_before_they_reach_the_device(shipped):
    engine = tensorrt.Backend(shipped)
    for wrong in (np.zeros((2, *engine.input_shape[1:]), np.uint8), np.zeros(engine.input_shape, np.float32)):
        with pytest.raises(backends.HpeError, match=r"the engine takes \(1\.\.1, "):
            engine.run(wrong)
