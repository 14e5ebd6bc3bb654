import struct
import zlib

import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.io.sources.images import IMAGE_SUFFIXES
from hpe_core.pixels.encodings import bgr_from_compressed, bgr_from_raw
from hpe_core.pixels.image_header import MAX_PIXELS, check_image

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
HUGE = "allowed: 1 to 134217728 pixels"


def encoded(suffix, *options):
    return cv2.imencode(suffix, NOISE, options)[1].tobytes()


def with_thumbnail(jpeg):
    """The JPEG with a small whole JPEG in an APP1 segment, as cameras write it into EXIF."""
    small = cv2.imencode(".jpg", NOISE[:16, :16])[1].tobytes()
    content = b"Exif\0\0" + small
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def png_of_size(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_kind_of_image_file_that_a_folder_may_hold_is_decoded(suffix):
    picture = NOISE if suffix != ".pgm" else NOISE[..., 0]
    image = bgr_from_compressed(cv2.imencode(suffix, picture)[1].tobytes())
    assert image.shape == (48, 64, 3)


@pytest.mark.parametrize("quality", [50, 101])  # lossy (VP8), lossless (VP8L)
def test_both_kinds_of_webp_are_decoded(quality):
    assert bgr_from_compressed(encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, quality)).shape == (48, 64, 3)


def test_a_jpeg_that_ends_within_its_main_image_is_cut_off_though_its_thumbnail_is_whole():
    whole = with_thumbnail(encoded(".jpg"))
    assert bgr_from_compressed(whole).shape == (48, 64, 3)
    for length in range(len(whole) - 1, len(whole) // 2, -97):
        with pytest.raises(HpeError, match=f"cut off after {length} bytes"):
            bgr_from_compressed(whole[:length])


def test_a_cut_progressive_jpeg_is_cut_off():
    whole = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert bgr_from_compressed(whole).shape == (48, 64, 3)
    with pytest.raises(HpeError, match="cut off"):
        bgr_from_compressed(whole[: len(whole) * 3 // 4])


def test_a_jpeg_with_restart_markers_is_whole_to_its_end_and_cut_before():
    whole = encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    assert b"\xff\xd0" in whole and bgr_from_compressed(whole).shape == (48, 64, 3)
    with pytest.raises(HpeError, match="cut off"):
        bgr_from_compressed(whole[:-2])


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 4096, b"\xff" * 7, b"trailer of a camera", encoded(".jpg")[:100]])
def test_what_follows_the_end_of_a_jpeg_does_not_matter(rest):
    assert np.array_equal(bgr_from_compressed(encoded(".jpg") + rest), bgr_from_compressed(encoded(".jpg")))


def test_the_start_of_the_next_frame_of_an_mjpeg_stream_does_not_hide_that_this_one_is_cut():
    frame = encoded(".jpg")
    with pytest.raises(HpeError, match="cut off"):
        bgr_from_compressed(frame[: len(frame) // 2] + frame)


def test_an_mjpeg_frame_without_huffman_tables_is_decoded():
    jpeg = encoded(".jpg")  # OpenCV writes the standard tables, which MJPEG leaves out
    kept, position = jpeg[:2], 2
    while jpeg[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        kept += jpeg[position:end] if jpeg[position + 1] != 0xC4 else b""
        position = end
    assert len(kept) < position
    assert np.array_equal(bgr_from_compressed(kept + jpeg[position:]), bgr_from_compressed(jpeg))


def test_the_name_of_the_last_chunk_in_a_text_does_not_make_a_cut_png_whole():
    whole = encoded(".png")
    text = b"tEXtIEND\0IEND"
    note = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    with pytest.raises(HpeError, match="cut off"):
        bgr_from_compressed(whole[:33] + note + whole[33 : len(whole) // 2])


def patched(data, position, content):
    return data[:position] + content + data[position + len(content) :]


def huge_files():
    jpeg, bmp, ppm, tiff = encoded(".jpg"), encoded(".bmp"), encoded(".ppm"), encoded(".tiff")
    start = jpeg.index(b"\xff\xc0") + 5
    yield "jpeg", patched(jpeg, start, struct.pack(">HH", 60_000, 60_000))
    yield "png", png_of_size(32_000, 32_000)
    yield "bmp", patched(bmp, 18, struct.pack("<ii", 32_000, -32_000))
    yield "ppm", ppm.replace(b"64 48", b"64000 #x\n 48000")
    order = "<" if tiff[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    for entry in range(first + 2, first + 2 + 2 * 12, 12):  # width and height come first
        tiff = patched(tiff, entry + 2, struct.pack(order + "HII", 4, 1, 40_000))
    yield "tiff", tiff
    small = 1 + (11_999 | 11_999 << 14)
    yield "vp8l", b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", small) + bytes(40)
    yield "vp8x", b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0" + bytes(40)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in huge_files()])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(data):
    with pytest.raises(HpeError, match=HUGE):
        check_image(data)


def test_the_largest_image_passes_and_one_row_more_does_not():
    check_image(png_of_size(1 << 14, MAX_PIXELS >> 14))
    with pytest.raises(HpeError, match=HUGE):
        check_image(png_of_size(1 << 14, (MAX_PIXELS >> 14) + 1))


def test_a_raw_image_of_too_many_pixels_is_refused():
    with pytest.raises(HpeError, match="at most 134217728 pixels, got 32768x32768"):
        bgr_from_raw(b"", 1 << 15, 1 << 15, "mono8", 1 << 15)


def test_a_small_tiff_of_huge_tiles_is_refused():
    def entry(tag, value):
        return struct.pack("<HHII", tag, 4, 1, value)

    entries = [entry(256, 64), entry(257, 48), entry(322, 60_000), entry(323, 60_000)]
    tiff = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    with pytest.raises(HpeError, match="60000x60000"):
        check_image(tiff)


@pytest.mark.parametrize("data", [b"GIF89a\x40\0\x30\0", b"\0\0\0\x20ftypavif", b"#?RADIANCE\n", b"P7\n"])
def test_formats_whose_size_is_not_known_before_decoding_are_refused(data):
    with pytest.raises(HpeError, match="is neither of JPEG, PNG, WebP, BMP, TIFF"):
        bgr_from_compressed(data)
