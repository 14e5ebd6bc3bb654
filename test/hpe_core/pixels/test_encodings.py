import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw
from hpe_core.pixels.image_header import MAX_PIXELS

BLUE_GREEN_RED = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)  # 1 x 2 pixels


def bgr_of_yuv(y, u, v):
    """BT.601 video range, by hand (ITU-R BT.601; the plain twin of OpenCV's conversion)."""
    c, d, e = 1.164 * (y - 16.0), u - 128.0, v - 128.0
    bgr = (c + 2.018 * d, c - 0.391 * d - 0.813 * e, c + 1.596 * e)
    return np.clip(np.round(bgr), 0, 255)


@pytest.mark.parametrize(
    "encoding, samples",
    [
        ("bgr8", (10, 20, 30)),
        ("8UC3", (10, 20, 30)),
        ("rgb8", (30, 20, 10)),
        ("bgra8", (10, 20, 30, 99)),
        ("rgba8", (30, 20, 10, 99)),
    ],
)
def test_colour_encodings_give_blue_green_red(encoding, samples):
    assert bgr_from_raw(bytes(samples), 1, 1, encoding, len(samples)).tolist() == [[[10, 20, 30]]]


def test_mono8_becomes_grey():
    assert bgr_from_raw(bytes([7, 9]), 1, 2, "mono8", 2).tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_names_by_number_type_mean_grey_and_blue_green_red():
    assert bgr_from_raw(bytes([7, 9]), 1, 2, "8UC1", 2).tolist() == [[[7, 7, 7], [9, 9, 9]]]
    assert bgr_from_raw(bytes([10, 20, 30, 99]), 1, 1, "8UC4", 4).tolist() == [[[10, 20, 30]]]


def test_row_padding_is_skipped():
    rows = bytes([1, 2, 3, 255, 255, 4, 5, 6, 255, 255])
    assert bgr_from_raw(rows, 2, 1, "bgr8", 5).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_uyvy_and_yuy2_hold_two_pixels_in_four_bytes():
    expected = np.array([[bgr_of_yuv(81, 90, 240), bgr_of_yuv(145, 90, 240)]])
    uyvy, yuy2 = bytes([90, 81, 240, 145]), bytes([81, 90, 145, 240])
    for encoding, data in (("yuv422", uyvy), ("uyvy", uyvy), ("yuv422_yuy2", yuy2), ("yuyv", yuy2)):
        assert np.abs(bgr_from_raw(data, 1, 2, encoding, 4) - expected).max() <= 1


def test_nv12_has_one_chroma_pair_per_four_pixels():
    luma, chroma = [50, 100, 150, 200], [90, 200]
    expected = np.array([bgr_of_yuv(y, *chroma) for y in luma]).reshape(2, 2, 3)
    assert np.abs(bgr_from_raw(bytes(luma + chroma), 2, 2, "nv12", 2) - expected).max() <= 1
    assert np.abs(bgr_from_raw(bytes(luma + chroma[::-1]), 2, 2, "nv21", 2) - expected).max() <= 1


def test_nv12_rows_may_be_padded():
    padded = bytes([50, 100, 0, 0, 150, 200, 0, 0, 90, 200, 0, 0])
    plain = bytes([50, 100, 150, 200, 90, 200])
    assert np.array_equal(bgr_from_raw(padded, 2, 2, "nv12", 4), bgr_from_raw(plain, 2, 2, "nv12", 2))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_image_of_one_colour_becomes_that_colour(pattern):
    value = {"r": 200, "g": 100, "b": 50}
    tile = np.array([value[c] for c in pattern], np.uint8).reshape(2, 2)
    data = np.tile(tile, (4, 4))
    assert (bgr_from_raw(data.tobytes(), 8, 8, f"bayer_{pattern}8", 8) == [50, 100, 200]).all()


def test_mono16_scales_to_eight_bits_in_both_byte_orders():
    values = np.array([0, 257 * 100 + 64, 257 * 200 - 64, 65535])  # both bytes differ, so their order matters
    for order, is_bigendian in (("<u2", False), (">u2", True)):
        image = bgr_from_raw(values.astype(order).tobytes(), 1, 4, "mono16", 8, is_bigendian)
        assert image[0, :, 0].tolist() == [0, 100, 200, 255]


def test_rgb16_is_reordered_in_both_byte_orders_and_bgr16_is_not():
    values = np.array([257 * 30 + 64, 257 * 20 - 64, 257 * 10 + 64])  # red, green, blue; no two bytes alike
    for order, is_bigendian in (("<u2", False), (">u2", True)):
        for encoding, samples in (("rgb16", values), ("bgr16", values[::-1])):
            image = bgr_from_raw(samples.astype(order).tobytes(), 1, 1, encoding, 6, is_bigendian)
            assert image.tolist() == [[[10, 20, 30]]]


def test_result_is_writable_and_owns_its_pixels():
    data = bytearray([1, 2, 3])
    image = bgr_from_raw(data, 1, 1, "bgr8", 3)
    data[0] = 99
    image[0, 0, 1] = 5
    assert image.tolist() == [[[1, 5, 3]]]


def test_unknown_encoding_lists_the_allowed():
    with pytest.raises(HpeError, match=r"'32FC1' is unknown, allowed: .*bgr8.*nv12"):
        bgr_from_raw(b"", 1, 1, "32FC1", 4)


@pytest.mark.parametrize(
    "data, height, width, encoding, step, message",
    [
        (bytes(11), 2, 2, "bgr8", 6, "data is 11 bytes but 2 rows of step 6 make 12"),
        (bytes(13), 2, 2, "bgr8", 6, "data is 13 bytes"),
        (bytes(12), 2, 2, "bgr8", 5, "step is 5 bytes but a row of 2 pixels bgr8 takes 6"),
        (b"", 0, 2, "bgr8", 6, "got 2x0"),
        (b"", 2, 0, "bgr8", 0, r"must lie in .* got 0x2"),
        (b"", 32768, 32768, "mono8", 32768, f"at most {MAX_PIXELS} pixels, got 32768x32768"),
        (bytes(6), 1, 3, "yuv422", 6, "even size, got 3x1"),
        (bytes(9), 3, 2, "nv12", 2, "even size, got 2x3"),
        (bytes(4), 2, 2, "nv12", 2, "data is 4 bytes but 3 rows of step 2 make 6"),
        (bytes(24), 3, 8, "bayer_rggb8", 8, "at least 4x4, got 8x3"),
        (bytes(24), 8, 3, "bayer_rggb8", 3, "at least 4x4, got 3x8"),
        (bytes(32769), 1, 32769, "mono8", 32769, r"must lie in \[1, 32768\], got 32769x1"),
        (bytes(32769), 32769, 1, "mono8", 1, "got 1x32769"),
    ],
)
def test_fields_that_disagree_are_named_with_both_numbers(data, height, width, encoding, step, message):
    with pytest.raises(HpeError, match=message):
        bgr_from_raw(data, height, width, encoding, step)


def test_the_smallest_bayer_image_and_the_longest_row_are_read():
    assert bgr_from_raw(bytes(16), 4, 4, "bayer_rggb8", 4).shape == (4, 4, 3)
    assert bgr_from_raw(bytes(32768), 1, 32768, "mono8", 32768).shape == (1, 32768, 3)


def test_png_comes_back_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    assert np.array_equal(bgr_from_compressed(cv2.imencode(".png", pixels)[1].tobytes()), pixels)


def test_grey_jpeg_becomes_three_channels():
    data = cv2.imencode(".jpg", np.full((8, 8), 77, np.uint8))[1]
    assert (bgr_from_compressed(data) == 77).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_half_a_file_is_refused_not_filled_with_grey(suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    with pytest.raises(HpeError, match=f"cut off after {len(data) // 2} bytes"):
        bgr_from_compressed(data[: len(data) // 2])


def test_a_png_with_a_wrong_byte_is_refused():
    data = bytearray(cv2.imencode(".png", np.full((64, 64, 3), 77, np.uint8))[1].tobytes())
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(HpeError, match=f"compressed image of {len(data)} bytes is damaged"):
        bgr_from_compressed(bytes(data))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000)])
def test_bytes_that_are_no_image_are_refused(data):
    with pytest.raises(HpeError, match="compressed image"):
        bgr_from_compressed(data)


def test_every_encoding_decodes_a_plausible_buffer():
    for encoding in ENCODINGS:
        for bytes_per_pixel in (1.5, 1, 2, 3, 4, 6):
            step = int(8 * (1 if bytes_per_pixel == 1.5 else bytes_per_pixel))
            try:
                image = bgr_from_raw(bytes(int(64 * bytes_per_pixel)), 8, 8, encoding, step)
            except HpeError:
                continue
            assert image.shape == (8, 8, 3) and image.dtype == np.uint8
            break
        else:
            raise AssertionError(f"no buffer decodes as {encoding}")


def test_only_who_asks_for_it_gets_a_view_of_the_message():
    data = np.arange(12, dtype=np.uint8)
    assert np.shares_memory(bgr_from_raw(data, 2, 2, "bgr8", 6, shared=True), data)
    assert not np.shares_memory(bgr_from_raw(data, 2, 2, "bgr8", 6), data)
    assert bgr_from_raw(data, 2, 2, "rgb8", 6, shared=True).tolist() == [
        [[2, 1, 0], [5, 4, 3]],
        [[8, 7, 6], [11, 10, 9]],
    ]
