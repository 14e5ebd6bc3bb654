"""What the file of a network says about itself, read without `onnx`: a robot that has its engine does not need that.

Source: onnx.proto of ONNX (field numbers below) and the wire format of Protocol Buffers. Weights are passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.network_card import CARD_KEY, NetworkCard, card_of, parsed

MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_INPUT = 11
VALUE_TYPE, TYPE_TENSOR, TENSOR_SHAPE, SHAPE_DIMENSION = 2, 1, 2, 1
DIMENSION_VALUE, DIMENSION_NAME = 1, 2
ENTRY_KEY, ENTRY_VALUE = 1, 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
MOST_VARINT_BYTES = 10


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """An ONNX file. sha256: of its bytes; card: what kind of network it holds."""

    path: Path
    sha256: str
    card: NetworkCard

    @property
    def name(self) -> str:
        """The file's name without suffix."""
        return self.path.stem

    @property
    def width(self) -> int:
        """Pixels across its input, chosen or fixed."""
        return self.card.input_shape[2]


def read(path: str | Path, width: int = 0) -> NetworkFile:
    """The NetworkFile at a path; width as of `card_of`.

    Raises HpeError when it cannot be read or is a shipped model that was changed.
    """
    data = catalogue.read(path)
    sha256 = catalogue.sha256_of(data)
    catalogue.verify(path, sha256)
    return NetworkFile(path=Path(path), sha256=sha256, card=card_in(data, str(path), width))


def card_in(onnx_bytes: bytes, where: str, width: int = 0) -> NetworkCard:
    """The NetworkCard of an ONNX file; width as of `card_of`. `where` it is from is named in the HpeError."""
    try:
        text, shape = _card_text(onnx_bytes), _input_shape(onnx_bytes)
    except (ValueError, IndexError) as error:
        raise HpeError(f"cannot load model {where}: it is no ONNX file ({error})") from error
    if text is None:
        raise HpeError(f"{where} carries no '{CARD_KEY}' metadata: it is no network of this project")
    return card_of(parsed(text, f"the model card in {where}"), shape, where, width)


def _card_text(model: bytes) -> str | None:
    for entry in _messages(memoryview(model), MODEL_METADATA):
        if _text(entry, ENTRY_KEY) == CARD_KEY:
            return _text(entry, ENTRY_VALUE)
    return None


def _input_shape(model: bytes) -> list[int | str]:
    """Of the first input: numbers, and names where an axis is free."""
    message = memoryview(model)
    for number in (MODEL_GRAPH, GRAPH_INPUT, VALUE_TYPE, TYPE_TENSOR, TENSOR_SHAPE):
        message = next(_messages(message, number), None)
        if message is None:
            raise ValueError("it has no input of a known shape")
    return [_dimension(dimension) for dimension in _messages(message, SHAPE_DIMENSION)]


def _dimension(message: memoryview) -> int | str:
    sizes = (value for number, value in _fields(message) if number == DIMENSION_VALUE and isinstance(value, int))
    return _text(message, DIMENSION_NAME) or next(sizes, 0)


def _text(message: memoryview, number: int) -> str:
    return bytes(next(_messages(message, number), b"")).decode()


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Contents of the fields with one number that hold bytes: texts and messages."""
    return (value for number, value in _fields(message) if number == wanted and isinstance(value, memoryview))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Pairs of a field's number and its value. Raises ValueError or IndexError when the bytes end within one."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire, size = key & 7, 0
        if wire == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"a field of wire type {wire}")
        if at + size > len(message):
            raise ValueError(f"it ends {at + size - len(message)} bytes too early")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(value, where it ends) of a number of 7 bits a byte, the lowest first."""
    value = 0
    for i in range(MOST_VARINT_BYTES):
        byte = message[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number of more than 64 bits")
