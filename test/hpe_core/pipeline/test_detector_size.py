"""The size of what full-frame detection sees (detector_size): the same weights, other faces within reach."""

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import onnx_graph, parity
from hpe_core.cli.main import main
from hpe_core.config import DETECTOR_SIZES, EstimatorConfig, PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.network_card import sides_of
from hpe_core.networks.network import whole_image_network
from hpe_core.pipeline import Pipeline
from hpe_core.pipeline.detect import Detector
from hpe_core.pipeline.stopwatch import Stopwatch
from hpe_core.pixels.canvas import SourceImage

CAMERA = CameraModel.from_hfov(640, 480, 60.0)


def photo():
    return cv2.resize(parity.frames(240, 320)[0][0], (640, 480))


def pipeline(size, model="fusion_int8"):
    return Pipeline(PipelineConfig(EstimatorConfig(model=model, backend="onnxruntime", detector_size=size)))


@pytest.mark.parametrize("name", ["head6dof", "head6dof_int8"])
@pytest.mark.parametrize("width, rows", [(0, 1280 + 320 + 80), (160, 320 + 80 + 20), (640, 4800 + 1200 + 300)])
def test_a_row_for_every_8th_16th_and_32nd_pixel_of_a_canvas_of_any_size(name, width, rows):
    backend = backends.create("onnxruntime", catalogue.path_of(name), 1, width=width)
    assert backend.input_shape == (1, *sides_of(width or 320), 3)
    assert backend.run(np.zeros(backend.input_shape, np.uint8)).shape == (1, rows, 14)


def test_a_face_is_where_it_is_whatever_the_size_of_the_canvas():
    found = []
    for width in (224, 320, 640):
        network = whole_image_network(backends.create("onnxruntime", catalogue.path_of("head6dof"), 1, width=width))
        found.append(Detector(network).detect(SourceImage(photo()), 0.6, Stopwatch()).found.where(np.array([0])))
    usual = found[1]
    for one in found:
        assert np.linalg.norm(one.centre_px - usual.centre_px) < 0.05 * usual.size_px[0]
        assert abs(np.log(one.size_px[0] / usual.size_px[0])) < 0.1
        assert np.degrees(so3.geodesic_angle(one.R_local[0], usual.R_local[0])) < 10.0


def test_a_face_of_7_px_is_found_when_nothing_of_the_image_is_reduced():
    whole = photo()
    (face,) = pipeline(0).process(whole, CAMERA, 0).faces
    x0, y0, x1, y1 = face.box_px.astype(int)
    cut = whole[max(y0 - 40, 0) : y1 + 40, max(x0 - 40, 0) : x1 + 40]
    factor = 7.0 / (x1 - x0)
    small = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    image = np.full_like(whole, 110)
    image[200 : 200 + len(small), 400 : 400 + small.shape[1]] = small
    assert not pipeline(0).process(image, CAMERA, 0).faces
    (found,) = pipeline(640).process(image, CAMERA, 0).faces
    assert np.linalg.norm(found.box_px.reshape(2, 2).mean(0) - [400 + small.shape[1] / 2, 200 + len(small) / 2]) < 4


def test_rows_of_a_graph_with_its_sides_fixed_are_those_of_the_free_one():
    path, frame = catalogue.path_of("head6dof"), parity.frames(384, 512)[0]
    model = onnx_graph.read(path, 512)
    assert onnx_graph.input_shape(model) == [1, 384, 512, 3]
    assert not {"Shape", "Range", "Expand", "ConstantOfShape"} & {node.op_type for node in model.graph.node}
    fixed = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    free = backends.create("onnxruntime", path, 1, width=512).run(frame)
    np.testing.assert_array_equal(fixed.run(None, {"image": frame})[0], free)


def test_a_size_that_is_not_offered_is_named_with_those_that_are(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), photo())
    assert main(["run", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), "--detector-size", "300"]) == 2
    allowed = ", ".join(map(str, DETECTOR_SIZES))
    assert f"detector_size must be one of {allowed}, got 300" in capsys.readouterr().err


def test_hpe_run_takes_a_size(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), photo())
    out = ["--out", str(tmp_path / "out"), "--no-overlay"]
    assert main(["run", str(tmp_path / "photo.png"), "--detector-size", "512", *out]) == 0
    assert len((tmp_path / "out" / "poses.csv").read_text().splitlines()) == 2


def test_it_cannot_change_while_the_model_is_loaded():
    loaded = pipeline(0)
    with pytest.raises(HpeError, match="detector_size cannot change while the model is loaded"):
        loaded.reconfigure(
            PipelineConfig(EstimatorConfig(model="fusion_int8", backend="onnxruntime", detector_size=640))
        )
