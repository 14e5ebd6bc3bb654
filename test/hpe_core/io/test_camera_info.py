import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import CameraChoice, camera_from_message, camera_from_yaml, kept
from hpe_core.io.frame import Frame
from hpe_core.io.sources.bag import BagSource

CALIBRATED = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0, 319.5, 0, 501, 239.5, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 1e-3, 0, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [480, 0, 320, 0, 0, 480, 240, 0, 0, 0, 1, 0]
"""


def frame(width, height, camera=None):
    return Frame(np.zeros((height, width, 3), np.uint8), 0, "lens", 0, "a.png", camera)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "camera.yaml"
        path.write_text(text)
        return path

    return write


def test_calibration_file_gives_k_and_d_of_the_raw_image(write):
    camera = camera_from_yaml(write(CALIBRATED))
    assert (camera.width, camera.height, camera.model, camera.assumed) == (640, 480, "plumb_bob", False)
    assert camera.K.tolist() == [[500.5, 0, 319.5], [0, 501, 239.5], [0, 0, 1]]
    assert camera.D.tolist() == [0.1, -0.2, 1e-3, 0, 0]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("image_width: 640", "", "image_width must be a whole number above 0, got None"),
        ("image_width: 640", "image_width: 0", "image_width must be a whole number above 0, got 0"),
        ("image_height: 480", "image_height: 1048576", "image_height must be a whole number above 0, got 1048576"),
        ("image_width: 640", "image_width: wide", "image_width must be a whole number above 0, got 'wide'"),
        ("500.5, 0", "500.5", "k must have 9 numbers, got 8"),
        ("500.5", "[1]", "camera_matrix.data must be a list of numbers"),
        ("500.5", ".nan", "positive focal lengths"),
        ("500.5", "0", "uncalibrated"),
        ("plumb_bob", "fish", "'fish' is unknown, allowed: plumb_bob"),
        ("0.1, -0.2, 1e-3", "0.1", "has 3 coefficients"),
        ("rows: 3", "rows: : 3", "not valid YAML, line"),
    ],
)
def test_a_wrong_field_is_named(write, old, new, message):
    with pytest.raises(HpeError, match=message) as caught:
        camera_from_yaml(write(CALIBRATED.replace(old, new, 1)))
    assert "camera.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_binary_files_are_one_line(tmp_path):
    with pytest.raises(HpeError, match=r"camera_info file .*nix\.yaml cannot be read: No such file"):
        camera_from_yaml(tmp_path / "nix.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(HpeError, match="not a text file"):
        camera_from_yaml(tmp_path / "binary.yaml")


def test_message_with_binning_two_halves_the_focal_length(make):
    camera = camera_from_message(make.camera_info(0, width=32, height=24, focal=30.0, binning=2))
    assert (camera.width, camera.height, camera.K[0, 0]) == (16, 12, 15.0)


def test_rectified_images_take_p(make):
    p = [20.0, 0, 15, 0, 0, 20, 11, 0, 0, 0, 1, 0]
    assert camera_from_message(make.camera_info(0, p=p), rectified=True).K[0].tolist() == [20.0, 0, 15]


def test_given_camera_beats_the_streams_own_and_that_beats_the_guess():
    given = CameraModel(8, 6, np.diag([5.0, 5.0, 1.0]))
    own = CameraModel(8, 6, np.diag([7.0, 7.0, 1.0]))
    assert CameraChoice(given).of(frame(8, 6, own)) is given
    assert CameraChoice().of(frame(8, 6, own)) is own
    guessed = CameraChoice(hfov_deg=90.0).of(frame(8, 6))
    assert guessed.assumed and guessed.K[0, 0] == pytest.approx(4.0)
    assert CameraChoice().of(frame(8, 6)).K[0, 0] == pytest.approx(4.0 * np.sqrt(3.0))  # 60 degrees


@pytest.mark.parametrize("given", [True, False])
def test_a_resized_image_has_the_resized_camera_and_another_shape_an_assumed_one(given):
    camera = CameraModel(8, 6, np.diag([5.0, 5.0, 1.0]))
    choice, own = (CameraChoice(camera, 90.0), None) if given else (CameraChoice(None, 90.0), camera)
    focal_px = [choice.of(frame(*size, own)).K[0, 0] for size in [(8, 6), (4, 3), (16, 12), (10, 6), (8, 6), (4, 2)]]
    assert focal_px == pytest.approx([5.0, 2.5, 10.0, 5.0, 5.0, 2.5])  # 4 x 2 is 4 x 3 to within a pixel
    assert choice.last.assumed is False
    assert choice.images == {"exact": 2, "resized": 3, "assumed": 1}
    resized, assumed = choice.notices
    assert "is for 8x6 but the image is 4x3: it is resized" in resized
    assert "is for 8x6 but the image is 10x6; assuming 90 degrees field of view" in assumed


def test_a_change_of_camera_within_a_stream_is_reported():
    camera = CameraModel(8, 6, np.diag([5.0, 5.0, 1.0]))
    choice, changed = CameraChoice(camera), []
    for size in [(8, 6), (8, 6), (4, 3), (4, 3), (10, 6)]:
        choice.of(frame(*size))
        changed.append(choice.changed)
    assert changed == [False, False, True, False, True]
    choice = CameraChoice()
    for own, expected in [(None, False), (camera, True), (camera, False)]:
        choice.of(frame(8, 6, own))
        assert choice.changed is expected


def test_images_of_a_thousand_sizes_do_not_pile_up():
    choice = CameraChoice(CameraModel(8, 6, np.diag([5.0, 5.0, 1.0])))
    for width in range(1, 1001):
        choice.of(frame(width, 3))
    assert sum(choice.images.values()) == 1000 and len(choice.notices) == 2
    assert len(choice._fit._derived) <= 30


def test_cameras_of_thirty_sizes_are_made_once_and_the_next_one_empties_the_cache():
    made, cache = [], {}
    for key in [*range(30), *range(30)]:
        assert kept(cache, key, lambda key=key: made.append(key) or -key) == -key
    assert made == [*range(30)]
    kept(cache, 30, lambda: -30)
    assert cache == {30: -30}


def test_a_bag_whose_camera_info_is_of_another_size_than_some_images_is_read_to_its_end(make, write_bag, start_ns):
    entries = [("/cam/camera_info", start_ns, make.camera_info(start_ns, width=32, height=24))]
    for i, size in enumerate([(24, 32), (12, 16), (20, 32), (24, 32), (20, 32)]):
        stamp_ns = start_ns + 100_000_000 * i
        entries.append(("/cam/image_raw", stamp_ns + 1, make.image(stamp_ns, np.zeros((*size, 3), np.uint8))))
    choice = CameraChoice()
    with BagSource(write_bag(entries)) as source:
        sizes = [(camera.width, camera.height, camera.assumed) for camera in map(choice.of, source)]
    assert sizes == [(32, 24, False), (16, 12, False), (32, 20, True), (32, 24, False), (32, 20, True)]
    assert choice.images == {"exact": 2, "resized": 1, "assumed": 2} and len(choice.notices) == 2


@pytest.mark.parametrize("hfov", [0.0, 180.0, float("nan")])
def test_impossible_field_of_view_is_refused_before_any_image(hfov):
    with pytest.raises(HpeError, match="field of view"):
        CameraChoice(hfov_deg=hfov)
