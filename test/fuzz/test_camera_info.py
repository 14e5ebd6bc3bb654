from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import camera_from_mapping
from hpe_core.io.yaml_file import parse_mapping

KEYS = ("image_width", "image_height", "camera_matrix", "distortion_model", "distortion_coefficients")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
NUMBERS = st.lists(st.one_of(st.floats(), st.integers(), SCALARS), max_size=14)
VALUES = st.one_of(SCALARS, NUMBERS, st.builds(lambda data: {"data": data}, st.one_of(NUMBERS, SCALARS)))
GOOD = """\
image_width: 640
image_height: 480
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 500, 240, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
"""


def camera_or_error(make):
    try:
        camera = make()
    except HpeError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(camera, CameraModel)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_values_make_a_camera_or_are_refused(values):
    camera_or_error(lambda: camera_from_mapping(values, "camera.yaml"))


@given(st.fixed_dictionaries({"camera_matrix": NUMBERS, "distortion_coefficients": NUMBERS}))
def test_any_numbers_make_a_camera_or_are_refused(values):
    sized = {"image_width": 640, "image_height": 480} | values
    camera_or_error(lambda: camera_from_mapping(sized, "camera.yaml"))


@given(st.text(max_size=200))
def test_any_text_is_a_camera_file_or_is_refused(text):
    camera_or_error(lambda: camera_from_mapping(parse_mapping(text, "camera.yaml"), "camera.yaml"))


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=6), st.integers(0, 6))
def test_a_damaged_calibration_is_a_camera_or_is_refused(position, inserted, removed):
    text = GOOD[:position] + inserted + GOOD[position + removed :]
    camera_or_error(lambda: camera_from_mapping(parse_mapping(text, "camera.yaml"), "camera.yaml"))
