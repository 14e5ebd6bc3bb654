import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw

NOISE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
FILES = [cv2.imencode(s, NOISE)[1].tobytes() for s in (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm")]
STARTS = [b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8", b"BM", b"II*\0", b"MM\0+", b"P6 "]
SIZES = st.one_of(st.integers(-2, 40), st.integers(-(2**40), 2**40))


def image_or_error(decode, *arguments):
    """The decoded image, checked; None when the decoder refused with its own one-line error."""
    try:
        image = decode(*arguments)
    except HpeError as error:
        assert "\n" not in str(error)
        return None
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    return image


@given(st.binary(max_size=2000), SIZES, SIZES, st.sampled_from([*ENCODINGS, "", "32FC1"]), SIZES, st.booleans())
def test_any_image_message_decodes_or_is_refused(data, height, width, encoding, step, is_bigendian):
    image = image_or_error(bgr_from_raw, data, height, width, encoding, step, is_bigendian)
    assert image is None or image.shape == (height, width, 3)


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(ENCODINGS),
    st.integers(0, 5),
    st.sampled_from([1, 2, 3, 4, 6]),
    st.sampled_from([2, 3]),
    st.booleans(),
)
def test_nearly_right_image_messages_decode_or_are_refused(h, w, encoding, padding, pixel_bytes, half_rows, big):
    step = w * pixel_bytes + padding
    image = image_or_error(bgr_from_raw, bytes(step * (h * half_rows // 2)), h, w, encoding, step, big)
    assert image is None or image.shape == (h, w, 3)


@given(st.binary(max_size=500))
def test_any_bytes_as_compressed_image_decode_or_are_refused(data):
    image_or_error(bgr_from_compressed, data)


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_any_bytes_after_the_start_of_a_known_format_decode_or_are_refused(start, data):
    image_or_error(bgr_from_compressed, start + data)


@given(st.sampled_from(FILES), st.data())
def test_damaged_image_files_decode_or_are_refused(whole, data):
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        if position < len(damaged):
            damaged[position] ^= data.draw(st.integers(1, 255))
    image_or_error(bgr_from_compressed, bytes(damaged))
