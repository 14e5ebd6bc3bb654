"""Preprocessing in front of the network, on a device that is arrays; ONNX Runtime executes the real graphs."""

import logging

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import backend as tensorrt
from hpe_core.backends.tensorrt import builder, make, parity, runner, sampler, sampling
from hpe_core.backends.tensorrt.store import EngineStore
from hpe_core.config import EstimatorConfig
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.networks.network import crop_network, prepared, whole_image_network
from hpe_core.pipeline.estimator import Estimator
from hpe_core.pipeline.refine import Refiner
from hpe_core.pixels import canvas as preprocess
from hpe_core.pixels.canvas import SourceImage, letterbox_canvas
from hpe_core.rotations import source_of

HEAD, CROP = catalogue.path_of("head6dof"), catalogue.path_of("crop6dof")
CAMERA = CameraModel.from_hfov(640, 480, 60.0)


@pytest.fixture(autouse=True)
def built_once(tmp_path_factory, own_cache, monkeypatch):
    """One engine cache for the whole file: comparing takes most of the time."""
    folder = tmp_path_factory.getbasetemp() / "sampling_engines"
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(folder))


@pytest.fixture
def empty_cache(built_once, own_cache, monkeypatch):
    """Not the cache of the other tests."""
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(own_cache))


def frame(i=0, size=(640, 480)):
    return cv2.resize(cv2.imread(str(parity.FRAMES / f"{i}.jpg")), size)


def letterbox_call(backend, source):
    """A function: rows of the whole image on a canvas of 320x256."""
    return prepared(backend, letterbox_canvas(source, 320, 256)[0])


def uploads_of(device, nbytes):
    """How often so many bytes went to the device."""
    return sum(memory.uploads.count(nbytes) for memory in device.memories)


def squares(count, seed=0):
    """Nodes (count, GRID, GRID, 2) and spread (count,) of squares in an image of 640x480."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*2 * [np.linspace(-0.5, 0.5, preprocess.GRID)])
    side, middle = rng.uniform(80, 300, (count, 1, 1, 1)), rng.uniform(0, 480, (count, 1, 1, 2))
    return np.stack([x, y], -1) * side + middle, rng.choice([0.0, 1.5], count)


def sampled(backend, image, nodes, spread):
    """What the backend's network says of canvases that ONNX Runtime samples."""
    points, means = samplers = sampler.samplers_of(backend.card, backend.key.max_batch)
    runs = {wanted: sampler.reference(wanted, 1) for wanted in samplers}
    calls = [slice(i, i + points.max_batch) for i in range(0, len(nodes), points.max_batch)]
    return np.concatenate([runs[means if spread[c].any() else points](image, nodes[c], spread[c]) for c in calls])


@pytest.mark.parametrize("rtx", [True, False], ids=["RTX", "TensorRT 8.5"])
@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "no graphs"])
def test_rows_are_those_of_canvases_that_onnx_runtime_samples(array_gpu, graphs, rtx):
    array_gpu(graphs, rtx)
    backend = tensorrt.Backend(CROP, threads=1)
    image = frame()
    source = SourceImage(image)
    for count in (1, 3, 2, 8, 5, 11):
        nodes, spread = squares(count, seed=count)
        rows = backend.run_on(source, nodes, spread)
        np.testing.assert_allclose(rows, backend.run(sampled(backend, image, nodes, spread)), atol=1e-3)


def test_a_whole_image_becomes_the_rows_of_its_letterbox(array_gpu):
    array_gpu()
    backend = tensorrt.Backend(HEAD, threads=1)
    source = SourceImage(frame(1))
    call = letterbox_call(backend, source)
    canvas, _ = preprocess.letterbox(source.array, 320, 256)
    assert call.func == backend.run_on
    found = parity.compare(backend.run(canvas[None])[0], call()[0], backend.card.columns)
    assert found.rows > 3 and found.rotation_deg_median < 0.05


KINDS = {
    "both on the GPU": ("tensorrt", "tensorrt", 1),
    "crops on the CPU": ("tensorrt", "onnxruntime", 1),
    "whole image on the CPU": ("onnxruntime", "tensorrt", 1),
    "both on the CPU": ("onnxruntime", "onnxruntime", 0),
}


@pytest.mark.parametrize("first, second, uploads", KINDS.values(), ids=KINDS)
def test_every_mix_of_backends_finds_the_same_faces_and_uploads_each_image_at_most_once(
    array_gpu, first, second, uploads
):
    device = array_gpu()

    def estimator(first, second):
        whole, crop = (backends.create(*one, 1, lambda text: None) for one in ((first, HEAD), (second, CROP)))
        refiner = Refiner(crop_network(crop), source_of("fused", crop.card))
        return Estimator(whole_image_network(whole), EstimatorConfig(threads=1), refiner)

    mixed, plain, turns = estimator(first, second), estimator("onnxruntime", "onnxruntime"), []
    for i in range(4):
        image = frame(i)
        before = uploads_of(device, image.nbytes)
        estimate = mixed.estimate(image, CAMERA)
        assert uploads_of(device, image.nbytes) - before == uploads
        assert {"preprocess", "inference", "refinement"} <= set(estimate.stage_s)
        faces, expected = estimate.faces, plain.estimate(image, CAMERA).faces
        assert len(faces) == len(expected) > 0
        R, R_expected = (np.stack([f.pose.R_camera_head for f in some]) for some in (faces, expected))
        turns += list(np.degrees(so3.geodesic_angle(R, R_expected)))
    assert np.median(turns) < 0.3 and max(turns) < 1.0


def test_an_image_that_gave_way_to_another_one_goes_to_the_device_again(array_gpu):
    array_gpu()
    head, crop = tensorrt.Backend(HEAD, threads=1), tensorrt.Backend(CROP, threads=1)
    first, second = SourceImage(frame(0)), SourceImage(frame(3))
    nodes, spread = squares(2)
    expected = crop.run(sampled(crop, first.array, nodes, spread))
    for source in (first, second):
        letterbox_call(head, source)()
    np.testing.assert_allclose(crop.run_on(first, nodes, spread), expected, atol=1e-3)


def test_a_network_goes_on_alone_when_the_one_that_held_the_image_is_closed(array_gpu):
    array_gpu()
    head, crop = tensorrt.Backend(HEAD, threads=1), tensorrt.Backend(CROP, threads=1)
    source = SourceImage(frame())
    letterbox_call(head, source)()
    nodes, spread = squares(2)
    expected = crop.run_on(source, nodes, spread)
    head.close()
    head.close()
    np.testing.assert_array_equal(crop.run_on(source, nodes, spread), expected)


def test_a_graph_is_captured_once_for_each_image_size_and_number_of_crops_and_old_ones_are_given_back(array_gpu):
    device = array_gpu()
    backend = tensorrt.Backend(CROP, threads=1)
    (memory,) = device.memories
    prepared = len(runner.batch_sizes(16))  # for finished crops
    for size in ((640, 480), (320, 240), (1280, 720)):
        asked = {(1, False), (1, True)} if size == (640, 480) else set()  # these were asked for while loading
        for _ in range(2):
            source = SourceImage(frame(0, size))
            for count in (1, 2, 3, 4):  # three crops run in the size of four
                nodes, spread = squares(count)
                asked.add((1 if count == 1 else 2 if count == 2 else 4, bool(spread.any())))
                rows = backend.run_on(source, nodes, spread)
                expected = backend.run(sampled(backend, source.array, nodes, spread))
                np.testing.assert_allclose(rows, expected, atol=1e-3)
        assert len(memory.graphs) == len(backend._runner._steps) == prepared + len(asked)


def test_an_image_may_come_from_two_places_in_turns_and_nothing_is_captured_again(array_gpu):
    device = array_gpu()
    head, crop = tensorrt.Backend(HEAD, threads=1), tensorrt.Backend(CROP, threads=1)
    nodes, spread = squares(2)
    counts = []
    for i in range(6):  # as when faces are followed: the crops first, and now and then the whole image first
        source = SourceImage(frame(i))
        calls = [
            lambda source=source: crop.run_on(source, nodes, spread),
            lambda source=source: letterbox_call(head, source)(),
        ]
        found = [call() for call in (calls if i % 2 else calls[::-1])]
        rows = found[0 if i % 2 else 1]
        np.testing.assert_allclose(rows, crop.run(sampled(crop, source.array, nodes, spread)), atol=1e-3)
        counts.append(sum(len(memory.graphs) for memory in device.memories))
    assert counts[1:] == [counts[1]] * 5


def test_an_image_from_ever_new_places_does_not_fill_the_memory(array_gpu):
    device = array_gpu()
    crop = tensorrt.Backend(CROP, threads=1)
    graphs = device.memories[0].graphs
    nodes, spread = squares(1)
    for i in range(4):
        head = tensorrt.Backend(HEAD, threads=1)
        source = SourceImage(frame(i))
        letterbox_call(head, source)()
        rows = crop.run_on(source, nodes, spread)
        np.testing.assert_allclose(rows, crop.run(sampled(crop, source.array, nodes, spread)), atol=1e-3)
        assert len(graphs) <= len(runner.batch_sizes(16)) + 2 + 1  # its own place, from loading, and another one
        head.close()


def test_nothing_is_built_or_compared_after_loading_nor_at_the_second_start(array_gpu, empty_cache, monkeypatch):
    array_gpu()
    said = []
    tensorrt.Backend(HEAD, threads=1, progress=said.append).close()
    assert [text.split()[0] for text in said] == ["building", "comparing", "building", "building"] + ["comparing"] * 2
    said.clear()
    backend = tensorrt.Backend(HEAD, threads=1, progress=said.append)
    monkeypatch.setattr(builder, "build_plan", None)
    letterbox_call(backend, SourceImage(frame()))()
    assert said == []


@pytest.mark.parametrize("size", [(1921, 1080), (1200, 1201), (640, 15), (8, 480)])
def test_an_image_beyond_the_profile_is_preprocessed_by_the_cpu_and_that_is_said_once(array_gpu, caplog, size):
    array_gpu()
    backend = tensorrt.Backend(HEAD, threads=1)
    source = SourceImage(frame(0, size))
    for _ in range(2):
        call = letterbox_call(backend, source)
        assert call.func == backend.run
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [f"images of {size[0]}x{size[1]} are preprocessed on the CPU, the GPU takes 16x16 to 1920x1200"]


@pytest.mark.parametrize("size", [(1920, 1200), (16, 16)])
def test_the_first_and_the_last_size_of_the_profile_run(array_gpu, size):
    array_gpu()
    backend = tensorrt.Backend(HEAD, threads=1)
    call = letterbox_call(backend, SourceImage(frame(0, size)))
    assert call.func == backend.run_on and np.isfinite(call()).all()


def test_a_sampler_that_differs_is_not_used_now_or_later_and_the_network_works(
    array_gpu, empty_cache, caplog, monkeypatch
):
    array_gpu()
    canvases = sampling.Sampling.canvases
    wrong = lambda self, *given: canvases(self, *given) ^ 1  # noqa: E731, every value is off by one
    monkeypatch.setattr(sampling.Sampling, "canvases", wrong)
    for _ in range(2):
        caplog.clear()
        backend = tensorrt.Backend(HEAD, threads=1)
        assert not backend.samples((480, 640, 3))
        assert "preprocessing for head6dof stays on the CPU" in caplog.text
        assert "a canvas differs by 1 grey levels in the mean, allowed 0.5" in caplog.text
        call = letterbox_call(backend, SourceImage(frame()))
        assert call.func == backend.run and np.isfinite(call()).all()
        monkeypatch.setattr(sampling.Sampling, "canvases", canvases)  # the verdict is in the cache


def test_a_network_that_differs_is_refused_now_and_later_and_its_memory_given_back(
    array_gpu, empty_cache, write_net, monkeypatch
):
    device = array_gpu()
    monkeypatch.setattr(parity, "measure", lambda *given: parity.Parity(40, 0.25, 1.0))
    told = r"^engine net-64x48-fp16-.* is refused: rotation differs by 0\.25 deg .*"
    told += r"; use another precision or backend \(`hpe engine prune --refused` forgets the verdict\)$"
    for _ in range(2):
        with pytest.raises(HpeError, match=told):
            tensorrt.Backend(write_net(), precision="fp16", threads=1)
        assert device.arrays == {}
        monkeypatch.setattr(parity, "measure", None)  # the verdict is in the cache


def test_without_the_sampler_the_cpu_goes_on(array_gpu, empty_cache, caplog, monkeypatch):
    array_gpu()

    def fail(*given):
        raise HpeError("tensorrt_rtx cannot read the network: GridSample")

    monkeypatch.setattr(make, "build_sampler", fail)
    backend = tensorrt.Backend(CROP, threads=1)
    assert "preprocessing for crop6dof stays on the CPU: tensorrt_rtx cannot read the network" in caplog.text
    assert not backend.samples((480, 640, 3)) and backend.sampler_entries == ()
    assert backend.run(np.zeros((2, 128, 128, 3), np.uint8)).shape[0] == 2


def test_too_little_memory_for_the_sampler_is_told_while_loading(array_gpu, empty_cache, caplog, monkeypatch):
    array_gpu()
    context = runner.Runner.context

    def limited(self, engine, shapes, addresses, scratch=None):
        if "nodes" in shapes:
            raise HpeError("TensorRT makes no execution context: too little GPU memory?")
        return context(self, engine, shapes, addresses, scratch)

    monkeypatch.setattr(runner.Runner, "context", limited)
    backend = tensorrt.Backend(HEAD, threads=1)
    assert "stays on the CPU: TensorRT makes no execution context" in caplog.text
    assert not backend.samples((480, 640, 3))


def test_when_memory_lacks_for_another_image_size_that_image_fails_and_the_cpu_goes_on(array_gpu, caplog, monkeypatch):
    array_gpu()
    backend = tensorrt.Backend(HEAD, threads=1)

    def fail(*given):
        raise HpeError("TensorRT makes no execution context: too little GPU memory?")

    monkeypatch.setattr(runner.Runner, "context", fail)
    source = SourceImage(frame(0, (1280, 720)))
    call = letterbox_call(backend, source)
    with pytest.raises(HpeError, match="too little GPU memory"):
        call()
    assert "preprocessing for head6dof goes on by the CPU: TensorRT makes no execution context" in caplog.text
    call = letterbox_call(backend, source)
    canvas, _ = preprocess.letterbox(source.array, 320, 256)
    np.testing.assert_array_equal(call(), backend.run(canvas[None]))


def test_the_comparison_of_a_sampler_is_kept_beside_it(array_gpu, empty_cache):
    array_gpu()
    backend = tensorrt.Backend(CROP, threads=1)
    kept = {entry.key.model: entry for entry, _ in EngineStore().entries()}
    assert set(kept) == {"crop6dof", "sampler_128x128_edge_1", "sampler_128x128_edge_16"}
    for entry in backend.sampler_entries:
        assert kept[entry.key.model].parity == entry.parity == {"rows": 28, "grey_levels": 0.0}


@pytest.mark.parametrize("count", [0, 9])
def test_the_sampler_refuses_another_number_of_canvases(array_gpu, count):
    array_gpu()
    backend = tensorrt.Backend(CROP, threads=1)
    with pytest.raises(HpeError, match=r"the sampler makes 1 to 8 canvases, got nodes of shape"):
        backend._sampling.run(SourceImage(frame()), np.zeros((count, 9, 9, 2)), np.zeros(count))


def test_an_engine_for_fewer_crops_samples_as_many_at_once(array_gpu, empty_cache):
    array_gpu()
    backend = tensorrt.Backend(CROP, threads=1, max_batch=2)
    nodes, spread = squares(5)
    rows = backend.run_on(SourceImage(frame()), nodes, spread)
    np.testing.assert_allclose(rows, backend.run(sampled(backend, frame(), nodes, spread)), atol=1e-3)
