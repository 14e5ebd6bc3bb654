import copy
import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core import backends, catalogue
from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.network_card import CROP, WHOLE_IMAGE, NetworkCard, card_of, parsed
from hpe_core.networks.crop import crop6dof
from hpe_core.networks.whole import head6dof

SHIPPED = catalogue.networks()
IMAGES, CROPS = (1, 48, 64, 3), ("batch", 32, 32, 3)


COLUMNS = {"head6dof": head6dof.COLUMNS, "crop6dof": crop6dof.COLUMNS}


def columns_of(estimator):
    found, first = {}, 0
    for name, width in COLUMNS[estimator].items():
        found[name] = [first, first + width]
        first += width
    return found


def valid(estimator):
    spec = {"columns": columns_of(estimator)} | ({"crop_m": 0.28} if estimator == "crop6dof" else {})
    return {"name": "net", "estimator": estimator, "spec": spec, "calibration": {"rotation_std": 1.2}}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_says_what_it_is(name):
    card = backends.create("onnxruntime", catalogue.path_of(name), 1).card
    crop = not name.startswith("head6dof")
    row = {"head6dof": 14, "crop6dof": 289, "crop_fast": 289, "dense": 182}[re.sub("(_open)?(_int8)?$", "", name)]
    assert (card.kind, card.free_batch, card.row) == (CROP if crop else WHOLE_IMAGE, crop, row)
    assert card.crop_m == (0.28 if crop else None) and card.quantised == name.endswith("_int8")
    assert card.calibration.rotation_std != 1.0 and card.raw["data"]


def changed(path, value, estimator="head6dof"):
    """A valid card with another value at a dotted path; `...` deletes it."""
    card = copy.deepcopy(valid(estimator))
    *way, last = path.split(".")
    group = card
    for key in way:
        group = group[key]
    if value is ...:
        del group[last]
    else:
        group[last] = value
    return card


WRONG = {
    "a number instead of a card": (7, "must be a JSON object, got 7"),
    "no name": (changed("name", ...), "name must be a text, got None"),
    "name of control characters": (changed("name", "a\x1b[2J"), "name must be a text"),
    "no estimator": (changed("estimator", ...), "estimator must be a text"),
    "estimator a list": (changed("estimator", ["head6dof"]), "estimator must be a text"),
    "no spec": (changed("spec", ...), "spec must be a JSON object, got None"),
    "spec a text": (changed("spec", "rows"), "spec must be a JSON object"),
    "columns a list": (changed("spec.columns", [[0, 1]]), "spec.columns must be a JSON object"),
    "no columns": (changed("spec.columns", {}), "spec.columns names no column"),
    "a column of one number": (changed("spec.columns.score", [0]), r"'score' must be \[first, end\]"),
    "a column of texts": (changed("spec.columns.score", ["0", "1"]), "whole numbers"),
    "a column of booleans": (changed("spec.columns.score", [False, True]), "whole numbers"),
    "a column backwards": (changed("spec.columns.score", [1, 0]), "first < end"),
    "a column before the first": (changed("spec.columns.score", [-1, 0]), "must lie in"),
    "a column beyond everything": (changed("spec.columns.far", [10**9, 10**9 + 1]), "must lie in"),
    "two columns in one place": (changed("spec.columns.score", [1, 2]), "'centre_px' overlap"),
    "calibration a list": (changed("calibration", [1.0]), "calibration must be a JSON object"),
    "calibration null": (changed("calibration", None), "calibration must be a JSON object"),
    "a factor of text": (changed("calibration.rotation_std", "1"), "calibration.rotation_std must be a number"),
    "a factor not finite": (changed("calibration.rotation_std", float("nan")), "must be a number in"),
    "a factor of infinity": (changed("calibration.size_std", float("inf")), "must be a number in"),
    "a negative factor": (changed("calibration.centre_std", -1.0), "must be a number in"),
    "a constant of zero": (changed("calibration.rotation_std_deg", 0), r"must be a number in \[0.1, 180\], got 0"),
    "a constant of nothing": (changed("calibration.rotation_std_deg", None), "must be a number in"),
    "a correlation of one": (changed("calibration.correlation", 1.0, "crop6dof"), "must be a number in"),
    "a factor misspelt": (changed("calibration.rotatoin_std", 1.0), "unknown 'rotatoin_std', known: centre_std"),
    "an unknown precision": (changed("precision", "int4"), "precision must be one of fp32, int8, got int4"),
    "a crop of no size": (changed("spec.crop_m", 0, "crop6dof"), "spec.crop_m must be a number"),
}


@pytest.mark.parametrize("card, message", WRONG.values(), ids=WRONG)
def test_a_wrong_card_is_one_line_that_names_what_is_wrong(card, message):
    crop = isinstance(card, dict) and card.get("estimator") == "crop6dof"
    with pytest.raises(HpeError, match=rf"^net\.onnx: .*{message}") as error:
        card_of(card, CROPS if crop else IMAGES, "net.onnx")
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


@pytest.mark.parametrize(
    "shape",
    [None, 3, [], [1, 48, 64], [2, 48, 64, 3], [1, 48, 64, 4], [1, "h", "w", 3], [1, 0, 64, 3], [1, 10**6, 9, 3]],
)
def test_an_input_that_is_no_image_is_refused(shape):
    with pytest.raises(HpeError, match="input must be images"):
        card_of(valid("head6dof"), shape, "net.onnx")


FREE = (1, "height", "width", 3)
OWN_SIDES = {"config": {"height": 192, "width": 288}}


@pytest.mark.parametrize("width, sides", [(0, (192, 288)), (288, (192, 288)), (320, (256, 320)), (640, (480, 640))])
def test_free_sides_are_the_cards_own_or_3_to_4_in_steps_of_32(width, sides):
    assert card_of(valid("head6dof") | OWN_SIDES, FREE, "net.onnx", width).input_shape == (1, *sides, 3)


@pytest.mark.parametrize(
    "values, shape, width, message",
    [
        (OWN_SIDES, FREE, 300, "must be multiples of 32, got 300x256"),
        (OWN_SIDES, FREE, 8192, "2 to 4096 pixels a side"),
        ({}, FREE, 0, "config, which says the sides of a free input, must be a JSON object, got None"),
        ({"config": {"height": 192}}, FREE, 0, "config.width must be a number in .32, 4096., got None"),
        ({}, IMAGES, 320, "the input is 64 pixels wide and nothing else, got detector_size 320"),
    ],
)
def test_a_size_that_a_network_does_not_take_is_one_line(values, shape, width, message):
    with pytest.raises(HpeError, match=rf"^net\.onnx: .*{message}") as error:
        card_of(valid("head6dof") | values, shape, "net.onnx", width)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [IMAGES, (1, 32, 32, 3), ("batch", 32, 48, 3)])
def test_crops_are_square_and_of_any_number(shape):
    with pytest.raises(HpeError, match="crops must be square"):
        card_of(valid("crop6dof"), shape, "net.onnx")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["name", "estimator", "spec", "spec.columns", "spec.columns.score", "spec.columns.new", "spec.crop_m"]
PLACES += [
    "calibration.rotation_std_deg",
    "calibration",
    "calibration.rotation_std",
    "calibration.correlation",
    "precision",
    "spec.columns.sixd",
]


def holds(card):
    """What every valid card keeps."""
    assert isinstance(card, NetworkCard) and card.kind in (WHOLE_IMAGE, CROP)
    taken = sorted(card.columns.values())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(taken)) and taken[-1][1] == card.row
    assert all(np.isfinite(value) for value in vars(card.calibration).values() if value is not None)


@given(JSON, JSON)
def test_any_json_is_a_valid_card_or_one_line(values, shape):
    try:
        holds(card_of(values, shape, "net.onnx"))
    except HpeError as error:
        assert "\n" not in str(error)


@given(st.sampled_from(PLACES), JSON, st.sampled_from(sorted(COLUMNS)))
def test_any_json_in_any_place_of_a_card_is_a_valid_card_or_one_line(place, value, estimator):
    try:
        holds(card_of(changed(place, value, estimator), CROPS if estimator == "crop6dof" else IMAGES, "net.onnx"))
    except HpeError as error:
        assert "\n" not in str(error)


@given(st.text() | st.just("[" * 100_000) | st.just('{"name": "\\ud800"}') | st.just("9" * 5000) | st.just("NaN"))
def test_any_text_is_json_or_one_line(text):
    try:
        json.dumps(parsed(text, "the card"), ensure_ascii=False).encode()
    except HpeError as error:
        assert "\n" not in str(error) and str(error).startswith("the card ")


ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]


def refused(path):
    """The one line for a model file that cannot be used."""
    with pytest.raises(HpeError, match=path.name) as error:
        backends.create("onnxruntime", path, 1)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "null", '{"name": "\\ud800"}'])
def test_a_card_in_a_file_that_is_no_card_is_one_line(write_onnx, model_card, text):
    onnx = pytest.importorskip("onnx")
    path = write_onnx([ROW], model_card())
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"hpe_model_card": text})
    onnx.save(model, path)
    refused(path)


@pytest.fixture
def write_model(tmp_path, model_card):
    """write_model(inputs, rows) -> path of an ONNX with inputs (name, type, shape) that gives `rows` to every image."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(inputs, rows):
        values = [
            helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape) for name, kind, shape in inputs
        ]
        kind = helper.np_dtype_to_tensor_dtype(rows.dtype)
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node("Identity", ["constant"], ["rows"])],
                "net",
                values,
                [helper.make_tensor_value_info("rows", kind, list(rows.shape))],
                [numpy_helper.from_array(rows, "constant")],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        helper.set_model_props(model, {"hpe_model_card": json.dumps(model_card())})
        onnx.save(model, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return write


IMAGE = ("image", "UINT8", [1, 48, 64, 3])
ROWS_14 = np.array([[ROW]], np.float32)


@pytest.mark.parametrize(
    "inputs, rows, message",
    [
        ([("image", "FLOAT", [1, 48, 64, 3])], ROWS_14, "must take one input of type tensor.uint8., it takes image"),
        ([IMAGE, ("more", "UINT8", [1])], ROWS_14, "must take one input"),
        ([], ROWS_14, "it has no input of a known shape"),
        ([("image", "UINT8", [1, 3, 48, 64])], ROWS_14, "input must be images"),
        ([("image", "UINT8", [48, 64, 3])], ROWS_14, "input must be images"),
        ([IMAGE], ROWS_14[..., :13], r"must give \(1, 1, 14\) numbers as its card says, it gives \(1, 1, 13\)"),
        ([IMAGE], np.zeros((1, 3, 15), np.float32), r"it gives \(1, 3, 15\)"),
        ([IMAGE], ROWS_14[0], r"it gives \(1, 14\)"),
        ([IMAGE], np.zeros((0, 14), np.float32), "as its card says"),
        ([IMAGE], np.array([[["a"] * 14]], object), "does not run"),
        ([IMAGE], ROWS_14 * np.nan, "not finite for a black image: it is damaged"),
    ],
)
def test_a_network_of_other_inputs_or_outputs_is_refused(write_model, inputs, rows, message):
    path = write_model(inputs, rows)
    with pytest.raises(HpeError, match=rf"net\.onnx.*{message}"):
        backends.create("onnxruntime", path, 1)


def test_the_name_of_the_input_is_the_networks_own(write_model):
    assert backends.create("onnxruntime", write_model([("camera", "UINT8", [1, 48, 64, 3])], ROWS_14), 1).card.row == 14


@pytest.mark.parametrize("content", [b"", b"just text\n" * 50, bytes(1000), b"\x89PNG\r\n\x1a\n" * 20])
def test_hpe_run_with_a_file_that_is_no_network_is_one_line(tmp_path, capfd, content):
    (tmp_path / "net.onnx").write_bytes(content)
    (tmp_path / "black.ppm").write_bytes(b"P6 64 48 255\n" + bytes(64 * 48 * 3))
    arguments = [
        "run",
        str(tmp_path / "black.ppm"),
        "--model",
        str(tmp_path / "net.onnx"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert said.startswith("hpe: error: cannot load model") and said.count("\n") == 1 and "net.onnx" in said
    assert not (tmp_path / "o").exists()
