"""Size of an image, and whether its file is whole, from headers alone: known before any pixel is decoded."""

import re
import struct

from hpe_core.errors import HpeError

# a photo of 108 megapixels passes; three bytes each make 403 MB
MAX_PIXELS = 1 << 27
MAX_FILE_BYTES = 8 * MAX_PIXELS  # four samples of 16 bits each, not compressed
FORMATS = "JPEG, PNG, WebP, BMP, TIFF, PBM, PGM, PPM"

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a segment: TEM, RST0 to RST7
_JPEG_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG, DAC
_SOI = 0xD8
_EOI = 0xD9
_TIFF_TAGS = {256: "width", 257: "height", 322: "tile width", 323: "tile height"}
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+([0-9]{1,9})(?:\s|#[^\n]*\n)+([0-9]{1,9})[\s#]")


def check_image(data: bytes) -> None:
    """Raises HpeError unless `data` is of one of FORMATS, has at most MAX_PIXELS, and (JPEG, PNG) is not cut off."""
    try:
        size = _size(data)
    except (struct.error, IndexError, OverflowError):  # headers that point past the end
        size = None
    if size is None:
        raise HpeError(f"compressed image of {len(data)} bytes is neither of {FORMATS}")
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise HpeError(f"compressed image is {width}x{height}, allowed: 1 to {MAX_PIXELS} pixels")


def _size(data: bytes) -> tuple[int, int] | None:
    """(width, height), None when unknown."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:2] == b"BM":
        core = struct.unpack_from("<I", data, 14)[0] == 12
        width, height = struct.unpack_from("<HH" if core else "<ii", data, 18)
        return abs(width), abs(height)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    found = _PNM.match(data[:10_000])
    return (int(found[1]), int(found[2])) if found else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Walks the segments of the main image: one inside a segment (a thumbnail) does not count, nor what follows."""
    position = 2
    size = None
    while found := _JPEG_MARKER.search(data, position):
        code = found[1][0]
        position = found.end()
        if code == _EOI:
            return size
        if code == _SOI:  # another image begins before this one has ended
            break
        if code in _JPEG_ALONE:
            continue
        if code in _JPEG_FRAME and size is None:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = (width, height)
        position += struct.unpack_from(">H", data, position)[0]
    raise HpeError(f"compressed image is cut off after {len(data)} bytes")


def _png(data: bytes) -> tuple[int, int] | None:
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" else None
        position += 12 + length
    raise HpeError(f"compressed image is cut off after {len(data)} bytes")


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        if len(data) < 30:
            return None
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> tuple[int, int]:
    """Size of the first picture; of its tiles where these are larger, because one is decoded as a whole."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (position,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, position)
    position += 8 if big else 2
    step = 20 if big else 12  # bytes of an entry
    value_at = 12 if big else 8
    sides = dict.fromkeys(_TIFF_TAGS.values(), 0)
    for entry in range(position, min(position + min(count, 1 << 16) * step, len(data)), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in _TIFF_TAGS and kind in _TIFF_TYPES:
            (sides[_TIFF_TAGS[tag]],) = struct.unpack_from(order + _TIFF_TYPES[kind], data, entry + value_at)
    if sides["tile width"] * sides["tile height"] > max(MAX_PIXELS, sides["width"] * sides["height"]):
        return sides["tile width"], sides["tile height"]
    return sides["width"], sides["height"]
