"""The sampler's graph by ONNX Runtime, beside what OpenCV makes of the same images."""

import hashlib

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import parity, sampler
from hpe_core.backends.tensorrt.sampler import Sampler
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.network_card import card_of
from hpe_core.pixels.canvas import GRID, crop_nodes, face_centred_crop, letterbox, letterbox_nodes

SIDE, CROP_M = 128, 0.28
K = [[900.0, 0, 330], [0, 890.0, 230], [0, 0, 1]]
CAMERAS = {
    "pinhole": CameraModel(640, 480, K),
    "plumb_bob": CameraModel(640, 480, K, [-0.28, 0.09, 1e-3, -5e-4, -0.01]),
    "rational_polynomial": CameraModel(
        640, 480, K, [0.5, 0.1, 1e-3, -1e-3, 0.01, 0.8, 0.2, 0.05], "rational_polynomial"
    ),
}
SIZES = [(320, 240), (640, 480), (1280, 720), (1920, 1080), (641, 477), (333, 250), (480, 640), (720, 1280), (90, 71)]
_runs = {}


def run(wanted, image, nodes, spread):
    """Canvases (N, h, w, 3) uint8."""
    if wanted not in _runs:
        _runs[wanted] = sampler.reference(wanted, 1)
    return _runs[wanted](image, nodes, spread)


LETTERBOX, CROPS = Sampler(320, 256, "black", 1, 4), Sampler(SIDE, SIDE, "edge", 8, 4)
POINTS = {LETTERBOX: Sampler(320, 256, "black", 1, 1), CROPS: Sampler(SIDE, SIDE, "edge", 8, 1)}  # with one sample


def frame(i, size):
    return cv2.resize(cv2.imread(str(parity.FRAMES / f"{i}.jpg")), size, interpolation=cv2.INTER_CUBIC)


def ramp(width, height):
    """Image whose channels are x, y and x + y of each pixel (height + width <= 256)."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y, x + y], -1).astype(np.uint8)


def square(left, top, right, bottom):
    """Nodes (1, GRID, GRID, 2) of a canvas whose first and last pixels lie there."""
    return np.stack(np.meshgrid(np.linspace(left, right, GRID), np.linspace(top, bottom, GRID)), -1)[None]


def test_a_canvas_of_the_image_itself_is_the_image():
    image = np.random.default_rng(1).integers(0, 256, (40, 64, 3)).astype(np.uint8)
    wanted = Sampler(64, 40, "edge", 1, 4)
    np.testing.assert_array_equal(run(wanted, image, square(0, 0, 63, 39), [0.0])[0], image)


def test_pixels_lie_where_the_nodes_say():
    canvas = run(Sampler(9, 5, "edge", 1, 4), ramp(100, 60), square(10, 20, 50, 40), [0.0])[0]
    np.testing.assert_array_equal(canvas[..., 0], np.tile(np.arange(10, 51, 5), (5, 1)))
    np.testing.assert_array_equal(canvas[..., 1], np.tile(np.arange(20, 41, 5)[:, None], (1, 9)))


def test_halves_are_rounded_upwards():
    canvas = run(Sampler(9, 9, "edge", 1, 4), ramp(60, 60), square(10.5, 20.5, 18.5, 28.5), [0.0])[0]
    np.testing.assert_array_equal(canvas[0, :, 0], np.arange(11, 20))


def test_spread_is_the_mean_over_the_area_of_a_pixel():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::4] = 200  # every fourth column: a mean of 50 over any four, but points see 0 or 200
    nodes = square(1.5, 1.5, 61.5, 61.5)  # 16 x 16 canvas pixels of 4 x 4 image pixels
    mean = run(Sampler(16, 16, "edge", 1, 4), image, nodes, [1.0])[0]
    np.testing.assert_allclose(mean, 50, atol=1)
    points = run(Sampler(16, 16, "edge", 1, 4), image, nodes - [1.5, 0.0], [0.0])[0]
    np.testing.assert_array_equal(points, 200)


def test_each_canvas_has_its_own_spread_and_place():
    image = np.random.default_rng(2).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    nodes = np.concatenate([square(2, 3, 70, 60), square(10, 10, 20, 20), square(30, 5, 75, 75)])
    spread = np.array([0.0, 1.0, 1.7])
    together = run(Sampler(16, 16, "edge", 8, 4), image, nodes, spread)
    for i in range(3):
        alone = run(Sampler(16, 16, "edge", 8, 4), image, nodes[i : i + 1], spread[i : i + 1])
        np.testing.assert_array_equal(together[i], alone[0])


def test_beyond_the_image_lies_its_edge_or_nothing():
    image = np.full((20, 20, 3), 90, np.uint8)
    image[:, 0] = 30
    nodes = square(-8, 0, 8, 16)
    edge = run(Sampler(17, 17, "edge", 1, 4), image, nodes, [0.0])[0]
    assert (edge[:, :9] == 30).all() and (edge[:, 9:] == 90).all()
    black = run(Sampler(17, 17, "black", 1, 4), image, nodes, [0.0])[0]
    assert (black[:, :8] == 0).all() and (black[:, 8] == 30).all() and (black[:, 9:] == 90).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_white_image_is_white_up_to_its_last_pixel_and_black_beyond(size):
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    nodes, spread, _ = letterbox_nodes(*size, 320, 256)
    for wanted in (LETTERBOX, POINTS[LETTERBOX]):
        canvas = run(wanted, image, nodes[None], [spread])[0]
        np.testing.assert_array_equal(canvas, letterbox(image, 320, 256)[0])


@pytest.mark.parametrize("size", SIZES)
def test_a_letterbox_is_that_of_opencv(size):
    for i in (0, 5):
        image = frame(i, size)
        nodes, spread, scales = letterbox_nodes(*size, 320, 256)
        canvas, expected_scales = letterbox(image, 320, 256)
        assert scales == expected_scales
        for wanted in (LETTERBOX, POINTS[LETTERBOX])[: 1 if spread else 2]:
            difference = np.abs(run(wanted, image, nodes[None], [spread])[0].astype(int) - canvas)
            assert difference.mean() < 0.2 and difference.max() <= 5


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("range_m", [0.3, 0.6, 1.2, 3.0])
def test_crops_are_those_of_opencv_also_beyond_the_border(camera, range_m):
    image = frame(2, (640, 480))
    rays = camera.rays(np.array([[320.0, 240.0], [100.0, 90.0], [2.0, 300.0], [630.0, 475.0]]))
    nodes, factor, spread = crop_nodes(camera, rays, np.full(4, range_m), SIDE, CROP_M)
    assert (spread[factor > 1] > 1).all() and (spread[factor <= 1] == 0).all()
    found = run(CROPS, image, nodes, spread).astype(int)
    on_image = run(Sampler(SIDE, SIDE, "black", 8, 4), np.full_like(image, 255), nodes, spread)[..., 0] == 255
    for k in range(4):
        difference = np.abs(found[k] - face_centred_crop(image, camera, rays[k], range_m, SIDE, CROP_M))
        assert on_image[k].mean() > 0.1 and (k < 2 or not on_image[k].all())  # the last two lie at the border
        assert difference[on_image[k]].mean() < (0.2 if factor[k] <= 1 else 1.0 if on_image[k].all() else 2.5)
        assert difference.mean() < (0.2 if factor[k] <= 1 else 7.0)  # OpenCV's border is a mean of `factor` pixels


@pytest.mark.parametrize("count", range(1, 9))
def test_any_number_of_faces_is_cut_as_each_alone(count):
    camera, image = CAMERAS["plumb_bob"], frame(1, (640, 480))
    rng = np.random.default_rng(count)
    rays, range_m = camera.rays(rng.uniform([0, 0], [639, 479], (count, 2))), rng.uniform(0.3, 3.0, count)
    nodes, _, spread = crop_nodes(camera, rays, range_m, SIDE, CROP_M)
    assert nodes.shape == (count, GRID, GRID, 2)
    together = run(CROPS, image, nodes, spread)
    for i in range(count):
        np.testing.assert_array_equal(together[i], run(CROPS, image, nodes[i : i + 1], spread[i : i + 1])[0])


@pytest.mark.parametrize("wanted", [LETTERBOX, CROPS], ids=lambda s: s.rule)
def test_without_spread_one_sample_is_as_good_as_sixteen(wanted):
    for image, nodes, _ in parity.sampler_questions(wanted):
        none = np.zeros(len(nodes))
        difference = np.abs(run(wanted, image, nodes, none).astype(int) - run(POINTS[wanted], image, nodes, none))
        assert difference.max() <= 1 and difference.mean() < 0.01  # halves may be rounded to either side


def test_mirrored_nodes_make_the_mirrored_crop():
    camera, image = CAMERAS["plumb_bob"], frame(1, (640, 480))
    nodes, _, spread = crop_nodes(camera, camera.rays([[300.0, 200.0]]), np.array([0.5]), SIDE, CROP_M)
    plain, mirrored = (run(CROPS, image, n, spread)[0].astype(int) for n in (nodes, nodes[:, :, ::-1]))
    assert np.abs(plain[:, ::-1] - mirrored).max() <= 1


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (1920, 1080), (480, 640)])
def test_poses_of_the_shipped_networks_hardly_change(size):
    head, crop = (backends.create("onnxruntime", catalogue.path_of(name), 1) for name in ("head6dof", "crop6dof"))
    columns, camera = head.card.columns, CameraModel.from_hfov(*size, 60.0)
    sixd = slice(*crop.card.columns["sixd"])
    pairs, turns = [], []
    for i in range(8):
        image = frame(i, size)
        nodes, spread, scales = letterbox_nodes(*size, 320, 256)
        canvases = letterbox(image, 320, 256)[0][None], run(LETTERBOX, image, nodes[None], [spread])
        pairs.append([head.run(canvas)[0] for canvas in canvases])
        best = pairs[-1][0][np.argmax(pairs[-1][0][:, columns["score"][0]])]
        centre = (best[slice(*columns["centre_px"])] + 0.5) / scales - 0.5
        rays = camera.rays(centre[None])
        range_m = np.array([camera.K[0, 0] * 0.2 * np.sqrt(scales[0] * scales[1]) / best[columns["size_px"][0]]])
        nodes, _, spread = crop_nodes(camera, rays, range_m, SIDE, CROP_M)
        crops = (
            face_centred_crop(image, camera, rays[0], range_m[0], SIDE, CROP_M)[None],
            run(CROPS, image, nodes, spread),
        )
        R, R_sampled = (so3.matrix_from_sixd(crop.run(one)[:, sixd].astype(float)) for one in crops)
        turns.append(np.degrees(so3.geodesic_angle(R, R_sampled))[0])
    found = parity.compare(*(np.concatenate(rows) for rows in zip(*pairs, strict=True)), columns)
    print(
        f"{size}: whole image {found.rotation_deg_median:.3f} deg, crops {np.median(turns):.3f}, {max(turns):.3f} deg"
    )
    assert found.rotation_deg_median < 0.2 and np.median(turns) < 0.2


def test_the_comparison_covers_sizes_groups_and_the_border():
    for wanted in (LETTERBOX, CROPS, *POINTS.values(), Sampler(64, 64, "edge", 2, 4)):
        questions = parity.sampler_questions(wanted)
        assert len({image.shape for image, _, _ in questions}) == 8
        assert all(sampler.takes(image.shape) for image, _, _ in questions)
        assert {len(nodes) for _, nodes, _ in questions} == {min(n, wanted.max_batch) for n in (1, 3, 8)}
        assert all(nodes.shape[1:] == (GRID, GRID, 2) and len(nodes) == len(spread) for _, nodes, spread in questions)
        assert any(spread.any() for _, _, spread in questions) == (wanted.sub_pixels > 1)
    beyond = [nodes.min() < 0 for _, nodes, _ in parity.sampler_questions(CROPS)]
    assert any(beyond) and not all(beyond)


def test_half_a_grey_level_on_one_canvas_is_too_much():
    def shifted(by):
        def other(image, nodes, spread):
            canvases = run(CROPS, image, nodes, spread).astype(int)
            canvases[-1, ::2] += by  # every second row of the last canvas
            return canvases

        return parity.measure_sampler(lambda *given: run(CROPS, *given), other, CROPS)

    same, half, whole = shifted(0), shifted(1), shifted(2)
    assert parity.refusal(same, "fp32") is None and same == {"rows": 28, "grey_levels": 0.0}
    assert half["grey_levels"] == 0.5 and parity.refusal(half, "fp32") is None
    assert parity.refusal(whole, "fp32") == "a canvas differs by 1 grey levels in the mean, allowed 0.5"


def test_canvases_of_another_shape_are_told():
    with pytest.raises(HpeError, match=r"canvases of shape \(1, 128, 127, 3\), the reference \(1, 128, 128, 3\)"):
        parity.measure_sampler(lambda *given: run(CROPS, *given), lambda *given: run(CROPS, *given)[:, :, 1:], CROPS)


@pytest.mark.parametrize(
    "changes", [{"width": 64}, {"height": 64}, {"rule": "black"}, {"max_batch": 4}, {"sub_pixels": 1}]
)
def test_another_sampler_is_another_checksum(changes):
    values = {"width": SIDE, "height": SIDE, "rule": "edge", "max_batch": 8, "sub_pixels": 4}
    assert Sampler(**values | changes).sha256 != CROPS.sha256 == Sampler(**values).sha256
    assert sampler.is_current(values, CROPS.sha256) and not sampler.is_current(values | changes, CROPS.sha256)


def test_a_sampler_of_another_version_is_not_current(monkeypatch):
    values = {"width": SIDE, "height": SIDE, "rule": "edge", "max_batch": 8, "sub_pixels": 4}
    sha256 = CROPS.sha256
    assert not sampler.is_current(values | {"colour": 1}, sha256)
    assert not sampler.is_current(values | {"rule": "mirror"}, sha256)
    monkeypatch.setattr(sampler, "VERSION", sampler.VERSION + 1)
    assert not sampler.is_current(values, sha256)


def test_whole_images_are_boxed_in_black_and_crops_of_up_to_eight_faces_repeat_the_edge(model_card):
    crop = model_card(estimator="crop_net", spec={"columns": {"sixd": [0, 6]}, "crop_m": 0.28})
    whole, crops = card_of(model_card(), (1, 256, 320, 3), ""), card_of(crop, ("batch", 128, 128, 3), "")
    assert sampler.samplers_of(whole, 4) == (POINTS[LETTERBOX], LETTERBOX)
    assert sampler.samplers_of(crops, 16) == (POINTS[CROPS], CROPS)
    assert [one.max_batch for one in sampler.samplers_of(crops, 2)] == [2, 2]


@pytest.mark.parametrize(
    "changes", [{"rule": "mirror"}, {"width": 1}, {"max_batch": 9}, {"max_batch": 0}, {"sub_pixels": 2}]
)
def test_what_cannot_be_sampled_is_refused(changes):
    with pytest.raises(HpeError, match="no such sampler"):
        Sampler(**{"width": 64, "height": 64, "rule": "edge", "max_batch": 8, "sub_pixels": 1} | changes)


def test_without_onnx_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(HpeError, match="needs the package onnx: pip install onnx"):
        sampler.graph(CROPS)


def test_the_graph_is_the_one_of_its_version():
    """If this changes, raise VERSION: robots keep the engines of graphs that they have."""
    import onnx

    digest = hashlib.sha256()
    for wanted in (LETTERBOX, CROPS, *POINTS.values()):
        graph = sampler.graph(wanted).graph
        for node in graph.node:
            digest.update(f"{node.op_type} {list(node.input)} {list(node.output)}".encode())
            digest.update(repr([(a.name, a.i, list(a.ints), a.s) for a in node.attribute]).encode())
        for tensor in graph.initializer:
            digest.update(tensor.name.encode() + (onnx.numpy_helper.to_array(tensor).round(4) + 0).tobytes())
    assert (sampler.VERSION, digest.hexdigest()[:16]) == (2, "1c527d59563af978")


@pytest.mark.trt
@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "12.0"])
@pytest.mark.parametrize(
    "wanted", [LETTERBOX, CROPS, *POINTS.values(), Sampler(SIDE, SIDE, "edge", 1, 4)], ids=lambda s: s.name
)
def test_tensorrt_builds_every_sampler_and_the_cache_keeps_it(wanted, capability, tmp_path):
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed, so no sampler is built")
    from hpe_core.backends.tensorrt import make
    from hpe_core.backends.tensorrt.store import EngineStore

    store, said = EngineStore(tmp_path / "engines"), []
    key = make.sampler_key(trt, wanted, None, capability)
    for _ in range(2):
        entry = store.obtain(
            key, lambda: make.build_sampler(trt, wanted, key, True, said.append), lambda entry: entry, said.append
        )
    assert sum(text.startswith("building engine") for text in said) == 1
    size, where = f"{wanted.width}x{wanted.height}", f"sm{capability.replace('.', '')}"
    assert key.stem.startswith(f"{wanted.name}-{size}-fp32-b{wanted.max_batch}-{where}-")
    assert entry.facts["sampler"] == vars(wanted) and len(entry.plan) > 100_000
    assert [found.key for found, _ in store.entries()] == [key]


@pytest.mark.trt
def test_every_axis_that_is_free_has_a_profile():
    for wanted in (LETTERBOX, CROPS, *POINTS.values()):
        for value in sampler.graph(wanted).graph.input:
            shape = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for least, usual, largest, axis in zip(*wanted.profiles[value.name], shape, strict=True):
                assert least <= usual <= largest
                assert isinstance(axis, str) or least == largest == axis


@pytest.mark.trt
def test_positions_are_computed_in_all_bits_and_no_memory_is_allotted_at_run_time(monkeypatch):
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed, so no sampler is built")
    from hpe_core.backends.tensorrt import builder, make

    flags, aim = [], builder._aim

    def look(trt, config, capabilities):
        flags.extend(config.get_flag(flag) for flag in (trt.BuilderFlag.TF32, trt.BuilderFlag.REQUIRE_USER_ALLOCATION))
        aim(trt, config, capabilities)

    monkeypatch.setattr(builder, "_aim", look)
    make.build_sampler(trt, CROPS, make.sampler_key(trt, CROPS, None, "8.6"), True, None)
    assert flags == [False, True]
