"""Decompression with a limit: what small files may become is known before memory or disk is full."""

from hpe_core.errors import HpeError

MAX_UNPACKED_BYTES = 1 << 29  # of a chunk or message: a raw colour image of MAX_PIXELS fits
_PIECE_BYTES = 1 << 20
# a file of the recorder's compression mode "file": images of one colour are packed 1000 to 1 at most
MAX_FILE_RATIO, MIN_FILE_LIMIT_BYTES = 1000, 1 << 28


def decompressed(data: bytes, name: str, limit_bytes: int = MAX_UNPACKED_BYTES) -> bytes:
    """At most `limit_bytes` of what `data` was packed from, as far as it goes; name: "", zstd or lz4.

    Raises ValueError when the data is damaged, the compression unknown or the limit above MAX_UNPACKED_BYTES.
    """
    if limit_bytes > MAX_UNPACKED_BYTES:
        raise ValueError(f"{limit_bytes} bytes unpacked, at most {MAX_UNPACKED_BYTES} are allowed")
    if name == "":
        return data[:limit_bytes]
    decompressor, errors = _decompressor(name)
    try:
        return decompressor.decompress(data, max_length=limit_bytes)
    except errors as error:
        raise ValueError("cannot be decompressed") from error


def unpack_message(data: bytes) -> bytes:
    """A whole zstd frame unpacked. Raises ValueError when it is damaged or larger than MAX_UNPACKED_BYTES."""
    decompressor, errors = _decompressor("zstd")
    try:
        plain = decompressor.decompress(data, max_length=MAX_UNPACKED_BYTES)
    except errors as error:
        raise ValueError("cannot be decompressed") from error
    if not decompressor.eof:
        raise ValueError(f"cut off, or more than {MAX_UNPACKED_BYTES} bytes unpacked")
    return plain


def unpack_file(packed, plain) -> None:
    """Unpack a zstd file (Path) into another one. Raises HpeError when it is damaged or grows beyond measure."""
    limit_bytes = max(MIN_FILE_LIMIT_BYTES, MAX_FILE_RATIO * packed.stat().st_size)
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


def _decompressor(name):
    """A new decompressor and the errors that it raises."""
    if name == "zstd":
        try:
            from compression import zstd  # Python 3.14
        except ImportError:
            from backports import zstd
        return zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)
    if name == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor(), (RuntimeError, EOFError)
    raise ValueError(f"compression {name!r}")
