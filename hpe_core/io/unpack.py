"""Decompression with a limit: what small files may become is known before memory or disk is full."""

from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError

MAX_UNPACKED_BYTES = 1 << 29  # of a chunk or message: a raw colour image of MAX_PIXELS fits
# what is small may become this large in any case, else so many times larger: recordings are packed 2 to 20 to 1
MIN_LIMIT_BYTES = 1 << 26
MAX_RATIO = 1000
_PIECE_BYTES = 1 << 20


def decompressed(data: bytes, name: str, limit_bytes: int = MAX_UNPACKED_BYTES) -> bytes:
    """At most `limit_bytes` of what `data` was packed from, as far as it goes; name: "", zstd or lz4.

    Raises ValueError when the data is damaged, the compression unknown or the limit above what is allowed.
    """
    allowed = MAX_UNPACKED_BYTES if name == "" else _allowed_bytes(len(data))
    if limit_bytes > allowed:
        raise ValueError(f"{limit_bytes} bytes unpacked, at most {allowed} are allowed")
    if name == "":
        return data[:limit_bytes]
    return _in_pieces(data, name, limit_bytes)[0]


def unpack_message(data: bytes) -> bytes:
    """A whole zstd frame unpacked. Raises ValueError when it is damaged or larger than what is allowed."""
    allowed = _allowed_bytes(len(data))
    plain, complete = _in_pieces(data, "zstd", allowed)
    if not complete:
        raise ValueError(f"cut off, or more than {allowed} bytes unpacked")
    return plain


def unpack_file(packed: Path, plain: Path) -> None:
    """Unpack a zstd file into another one. Raises HpeError when it is damaged or grows beyond measure."""
    limit_bytes = max(MIN_LIMIT_BYTES, MAX_RATIO * packed.stat().st_size)
    decompressor, errors = _decompressor("zstd")
    written = 0
    with packed.open("rb") as source, plain.open("wb") as target:
        while not decompressor.eof:
            data = source.read(_PIECE_BYTES) if decompressor.needs_input else b""
            if decompressor.needs_input and not data:
                return  # cut off: what there is, is read like any cut file
            try:
                piece = decompressor.decompress(data, max_length=_PIECE_BYTES)
            except errors as error:
                raise HpeError(f"{packed} cannot be decompressed: it is damaged") from error
            written += target.write(piece)
            if written > limit_bytes:
                raise HpeError(f"{packed} unpacks to more than {limit_bytes} bytes, which is refused")


def _allowed_bytes(packed_bytes: int) -> int:
    return min(MAX_UNPACKED_BYTES, max(MIN_LIMIT_BYTES, MAX_RATIO * packed_bytes))


def _in_pieces(data: bytes, name: str, limit_bytes: int) -> tuple[bytes, bool]:
    """At most `limit_bytes` unpacked, and whether that is all; memory grows with what there is, not with the limit."""
    decompressor, errors = _decompressor(name)
    plain = bytearray()
    try:
        while len(plain) < limit_bytes and not decompressor.eof:
            piece = decompressor.decompress(data, max_length=min(_PIECE_BYTES, limit_bytes - len(plain)))
            data = b""
            if not piece and decompressor.needs_input:
                break
            plain += piece
    except errors as error:
        raise ValueError("cannot be decompressed") from error
    return bytes(plain), decompressor.eof


def _decompressor(name: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """A new decompressor and the errors that it raises."""
    if name == "zstd":
        try:
            from compression import zstd  # pyright: ignore[reportMissingImports] -- Python 3.14
        except ImportError:
            from backports import zstd
        return zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)
    if name == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor(), (RuntimeError, EOFError)
    raise ValueError(f"compression {name!r}")
