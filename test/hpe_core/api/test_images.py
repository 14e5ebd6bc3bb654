import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpe_core.api.images import bgr_of
from hpe_core.errors import HpeError

Image = pytest.importorskip("PIL.Image", reason="NOT TESTED: PIL images (pip install pillow)")
BGR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_colour_arrays_are_bgr_unless_rgb_is_said():
    np.testing.assert_array_equal(bgr_of(BGR, rgb=False), BGR)
    np.testing.assert_array_equal(bgr_of(BGR[:, :, ::-1], rgb=True), BGR)


def test_a_view_of_an_array_is_read_as_it_looks():
    np.testing.assert_array_equal(bgr_of(BGR[::2, ::-1], rgb=False), BGR[::2, ::-1])
    assert bgr_of(BGR[::2, ::-1], rgb=False).flags.c_contiguous


@pytest.mark.parametrize("rgb", [False, True])
def test_alpha_is_left_out(rgb):
    alpha = np.dstack([BGR[:, :, ::-1] if rgb else BGR, np.full((4, 6), 7, np.uint8)])
    np.testing.assert_array_equal(bgr_of(alpha, rgb), BGR)
    np.testing.assert_array_equal(bgr_of(alpha.astype(np.uint16) * 257, rgb), BGR)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_grey_becomes_three_equal_channels(shape):
    grey = np.arange(24, dtype=np.uint8).reshape(shape)
    expected = np.repeat(grey.reshape(4, 6, 1), 3, axis=2)
    np.testing.assert_array_equal(bgr_of(grey, rgb=False), expected)
    np.testing.assert_array_equal(bgr_of(grey.astype(np.uint16) * 257, rgb=True), expected)


def test_sixteen_bits_are_scaled_to_eight_in_either_byte_order():
    wide = BGR.astype(np.uint16) * 257
    np.testing.assert_array_equal(bgr_of(wide, rgb=False), BGR)
    np.testing.assert_array_equal(bgr_of(wide.astype(">u2"), rgb=False), BGR)
    np.testing.assert_array_equal(bgr_of(wide[:, :, ::-1], rgb=True), BGR)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros((4, 6, 3)), r"float64; convert it, for 0 \.\.\. 1 with"),
        (np.zeros((3, 4, 6), np.uint8), "the channels come last"),
        (np.zeros((0, 6, 3), np.uint8), r"got shape \(0, 6, 3\)"),
        (np.zeros((4, 6, 2), np.uint8), r"got shape \(4, 6, 2\)"),
        (np.zeros(5, np.uint8), r"got shape \(5,\)"),
        (np.zeros((4, 6), bool), "bool"),
        (np.full((4, 6), None), "object"),
        ([[1, 2]], "got list"),
        (None, "got NoneType"),
        (b"\xff\xd8", "got bytes"),
    ],
)
def test_what_is_no_image_is_named_in_one_line(array, words):
    with pytest.raises(HpeError, match=words) as raised:
        bgr_of(array, rgb=False)
    assert "\n" not in str(raised.value)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int8, np.float32, np.bool_, np.complex64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.booleans(),
)
def test_any_array_is_an_image_or_refused(array, rgb):
    try:
        image = bgr_of(array, rgb)
    except HpeError:
        return
    assert image.dtype == np.uint8 and image.shape == (*array.shape[:2], 3) and image.flags.c_contiguous


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV"])
def test_pil_images_of_every_mode_are_read(mode):
    grey = Image.fromarray(np.full((4, 6, 3), 255, np.uint8)).convert(mode)
    np.testing.assert_array_equal(bgr_of(grey, rgb=False), 255)


def test_a_pil_image_is_rgb_whatever_is_said_of_arrays():
    for rgb in (False, True):
        np.testing.assert_array_equal(bgr_of(Image.fromarray(np.ascontiguousarray(BGR[:, :, ::-1])), rgb), BGR)


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_a_pil_image_of_sixteen_bits_is_scaled_and_not_cut_off(mode):
    wide = Image.fromarray(np.full((4, 6), 128 * 257, np.uint16)).convert(mode)
    assert wide.mode == mode
    np.testing.assert_array_equal(bgr_of(wide, rgb=False), 128)


def test_a_pil_image_of_floats_is_refused():
    with pytest.raises(HpeError, match="mode F"):
        bgr_of(Image.fromarray(np.zeros((4, 6), np.float32)), rgb=False)


def test_a_pil_image_that_is_cut_off_is_refused():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
    with pytest.raises(HpeError, match="PIL image cannot be read"):
        bgr_of(Image.open(io.BytesIO(file.getvalue()[:4000])), rgb=False)


def test_the_exif_orientation_is_applied_to_files_and_to_pil_images(tmp_path):
    lying = np.zeros((16, 32, 3), np.uint8)
    lying[:, 16:] = 255  # the right half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what is right comes down
    Image.fromarray(lying).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    for image in (tmp_path / "turned.jpg", str(tmp_path / "turned.jpg"), Image.open(tmp_path / "turned.jpg")):
        upright = bgr_of(image, rgb=False)
        assert upright.shape == (32, 16, 3)
        assert upright[:12].max() < 20 and upright[20:].min() > 235


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("missing.jpg", None, "missing.jpg does not exist"),
        ("text.jpg", b"hello", "text.jpg: compressed image of 5 bytes is neither of"),
        ("empty.png", b"", "empty.png: "),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR"), "cut.png: compressed image is cut off"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, name, data, words):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(HpeError, match=words) as raised:
        bgr_of(tmp_path / name, rgb=False)
    assert str(raised.value).count(name) == 1


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(HpeError, match="a folder, not a file"):
        bgr_of(tmp_path, rgb=False)


def test_a_photo_in_a_file_of_sixteen_bits_with_alpha_is_read(tmp_path):
    deep = np.dstack([BGR, np.full((4, 6), 255, np.uint8)]).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(bgr_of(tmp_path / "deep.png", rgb=False), BGR)
