"""TensorRT where there is a GPU. Everything before the first call to the device is tested in the tests beside."""

from types import SimpleNamespace

import numpy as np
import pytest

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import backend as tensorrt
from hpe_core.backends.tensorrt import builder, gpu, memory, network_file, parity, runner
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.network_card import WHOLE_IMAGE
from hpe_core.networks.network import prepared
from hpe_core.pixels import canvas

NETWORKS = [name for name in catalogue.networks() if not network_file.read(catalogue.path_of(name)).card.quantised]


@pytest.fixture(params=NETWORKS)
def shipped(request):
    """Path of each shipped model, on a machine that can run it."""
    reason = tensorrt.unavailable()
    if reason:
        pytest.skip(f"tensorrt: {reason}")
    return catalogue.path_of(request.param)


@pytest.mark.skipif(gpu.find()[0] is not None, reason="states what happens without a GPU")
def test_without_library_or_gpu_the_reason_is_the_first_thing_that_is_missing():
    if builder.installed() is None:
        assert tensorrt.unavailable() == "neither tensorrt nor tensorrt_rtx is installed"
    else:
        assert tensorrt.unavailable() == gpu.find()[1]


@pytest.mark.trt_gpu
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_poses_are_those_of_onnx_runtime(shipped, precision):
    engine = tensorrt.Backend(shipped, precision=precision)
    reference = backends.create("onnxruntime", shipped)
    found = parity.measure(reference.run, engine.run, engine.card)
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
    images = np.concatenate(parity.inputs(engine.card))[:3]
    together = engine.run(images)
    for i in range(3):
        np.testing.assert_allclose(engine.run(images[i : i + 1])[0], together[i], rtol=0.02, atol=0.1)


@pytest.mark.trt_gpu
def test_wrong_arrays_are_refused_before_they_reach_the_device(shipped):
    engine = tensorrt.Backend(shipped, max_batch=1)
    _, height, width, _ = engine.input_shape
    for wrong in (np.zeros((1, height + 1, width, 3), np.uint8), np.zeros((1, height, width, 3), np.float32)):
        with pytest.raises(HpeError, match=r"the engine takes \(1\.\.1, "):
            engine.run(wrong)


@pytest.mark.trt_gpu
@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (1920, 1200)])
def test_an_image_that_the_gpu_preprocesses_gives_the_rows_of_the_cpus_canvases(shipped, size):
    engine = tensorrt.Backend(shipped)
    assert engine.samples((size[1], size[0], 3)), "the reason is in the log"
    reference = backends.create("onnxruntime", shipped)
    image = parity.frames(size[1], size[0])[0][0]
    columns = engine.card.columns
    for _ in range(2):
        rows = []
        for backend in (reference, engine):
            source = canvas.SourceImage(image)
            if engine.card.kind == WHOLE_IMAGE:
                rows.append(prepared(backend, canvas.letterbox_canvas(source, 320, 256)[0])()[0])
            else:
                camera = CameraModel.from_hfov(*size, 60.0)
                rays = camera.rays(np.array([[0.3, 0.4], [0.5, 0.5], [0.6, 0.45]]) * size)
                range_m, side = np.array([1.0, 2.0, 1.5]), engine.input_shape[1]
                rows.append(prepared(backend, canvas.crop_canvases(source, camera, rays, range_m, side, 0.28))())
        if engine.card.kind == WHOLE_IMAGE:
            assert parity.refusal(parity.compare(*rows, columns).as_dict(), "int8") is None
        else:  # these crops show no whole face: rows, not poses
            assert np.median(np.abs(rows[0] - rows[1])) < 0.05
    assert engine._runner.why_no_graph is None


class FakeMemory:
    """Host arrays play the device: an address is a key."""

    stream = 0

    def __init__(self, graphs=True):
        self.device_arrays, self.captured, self._graphs = {}, 0, graphs

    def host(self, shape, dtype):
        return np.empty(shape, dtype)

    def device(self, size):
        self.device_arrays[len(self.device_arrays)] = np.zeros(size, np.uint8)
        return len(self.device_arrays) - 1

    def upload(self, address, array):
        self.device_arrays[address][: array.nbytes] = np.ravel(array).view(np.uint8)

    def download(self, array, address):
        array[...] = self.device_arrays[address][: array.nbytes].view(array.dtype).reshape(array.shape)

    def capture(self, work):
        if not self._graphs:
            raise HpeError("no graphs here")
        self.captured += 1
        return work

    def synchronize(self):
        pass

    def close(self):
        self.device_arrays.clear()


class FakeEngine:
    """Sum of each image (2, 2, 3) uint8 as a row (1,) float32, at the batch that its context was told."""

    num_io_tensors = 2

    def __init__(self, memory):
        self.memory, self.batches = memory, []

    def get_tensor_name(self, i):
        return ("image", "rows")[i]

    def get_tensor_mode(self, name):
        return name

    def get_tensor_shape(self, name):
        return {"image": (-1, 2, 2, 3), "rows": (-1, 1)}[name]

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name={"image": "UINT8", "rows": "FLOAT"}[name])

    def create_execution_context(self):
        engine, addresses, shape = self, {}, []

        class Context:
            def set_tensor_address(self, name, address):
                addresses[name] = address
                return True

            def set_input_shape(self, name, new_shape):
                shape[:] = new_shape
                return new_shape[0] > 0

            def execute_async_v3(self, stream):
                engine.batches.append(shape[0])
                images = engine.memory.device_arrays[addresses["image"]][: 12 * shape[0]].reshape(shape[0], 12)
                rows = images.sum(1, dtype=np.float32)
                engine.memory.device_arrays[addresses["rows"]][: rows.nbytes] = rows.view(np.uint8)
                return True

        return Context()


@pytest.fixture(params=[True, False], ids=["graphs", "no graphs"])
def fake(request, monkeypatch):
    """(engine, runner of up to 12 images) on a device that is an array."""
    device = FakeMemory(request.param)
    monkeypatch.setattr(memory, "create", lambda: device)
    library = SimpleNamespace(TensorIOMode=SimpleNamespace(INPUT="image"))
    engine = FakeEngine(device)
    return engine, runner.Runner(library, engine, 12)


def test_batch_sizes_are_powers_of_two_up_to_the_largest():
    assert [runner.batch_sizes(n) for n in (1, 2, 6, 16)] == [(1,), (1, 2), (1, 2, 4, 6), (1, 2, 4, 8, 16)]


def test_every_number_of_images_runs_in_the_next_size_and_gives_its_own_rows(fake):
    engine, running = fake
    rng = np.random.default_rng(0)
    for number, size in [(1, 1), (3, 4), (5, 8), (12, 12), (2, 2), (9, 12)]:
        images = rng.integers(0, 256, (number, 2, 2, 3)).astype(np.uint8)
        rows = running.run(images)
        np.testing.assert_array_equal(rows, images.reshape(number, 12).sum(1, dtype=np.float32)[:, None])
        assert engine.batches[-1] == size


def test_every_size_is_prepared_before_the_first_image(fake):
    engine, running = fake
    assert engine.batches == [size for size in (1, 2, 4, 8, 12) for _ in range(runner.WARM_UP_RUNS)]
    assert (running.why_no_graph is None) == (engine.memory.captured == 5)
    running.close()
    running.close()


def test_images_of_another_number_shape_or_type_are_refused(fake):
    _, running = fake
    for shape, dtype in [((0, 2, 2, 3), np.uint8), ((13, 2, 2, 3), np.uint8), ((1, 2, 3, 3), np.uint8)]:
        with pytest.raises(HpeError, match=r"the engine takes \(1\.\.12, 2, 2, 3\) uint8, got"):
            running.run(np.zeros(shape, dtype))
    with pytest.raises(HpeError, match="float32"):
        running.run(np.zeros((1, 2, 2, 3), np.float32))


def test_more_images_than_the_engine_takes_go_in_several_calls_where_any_number_is_allowed(fake):
    _, running = fake
    backend = tensorrt.Backend.__new__(tensorrt.Backend)
    backend._runner = running
    images = np.random.default_rng(1).integers(0, 256, (30, 2, 2, 3)).astype(np.uint8)
    backend.card = SimpleNamespace(free_batch=True)
    np.testing.assert_array_equal(backend.run(images)[:, 0], images.reshape(30, 12).sum(1))
    backend.card = SimpleNamespace(free_batch=False)
    with pytest.raises(HpeError, match="the engine takes"):
        backend.run(images)
