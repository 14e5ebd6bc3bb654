"""Records of an MCAP file (mcap.dev/spec): their opcodes and heads, and what is in those of a summary."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"\x89MCAP0\r\n"
FOOTER = 0x02
SCHEMA = 0x03
CHANNEL = 0x04
MESSAGE = 0x05
CHUNK = 0x06
MESSAGE_INDEX = 0x07
CHUNK_INDEX = 0x08
STATISTICS = 0x0B
LAST_OPCODE = 0x0F
FIRST_PRIVATE_OPCODE = 0x80
RECORD = struct.Struct("<BQ")  # opcode, length
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
CHUNK_HEAD = struct.Struct("<QQQII")  # first and last time, unpacked size, checksum, length of the compression's name
FOOTER_BYTES = RECORD.size + 20
# a whole chunk record up to the name of its compression: where to go on behind damage
CHUNK_START = re.compile(rb"\x06.{6}\0\0.{28}(?:\0\0\0\0|\x03\0\0\0lz4|\x04\0\0\0zstd)", re.DOTALL)
HEAD_BYTES = CHUNK_HEAD.size + 4 + 8
DAMAGE = (struct.error, ValueError, OverflowError)  # what damaged records raise; UnicodeDecodeError is a ValueError


class ChunkHead(NamedTuple):
    """What a chunk record says of itself; data_at: where its data begins, from the end of the record's own head."""

    unpacked_bytes: int
    crc: int
    compression: str
    data_at: int


def chunk_head(head: bytes, length: int) -> ChunkHead | None:
    """ChunkHead of a chunk record of this length, None when its numbers do not fit together."""
    if len(head) < CHUNK_HEAD.size:
        return None
    _, _, size, crc, name_length = CHUNK_HEAD.unpack_from(head)
    name = head[CHUNK_HEAD.size : CHUNK_HEAD.size + name_length] if name_length <= 4 else b"?"
    begin = CHUNK_HEAD.size + name_length + 8
    if name not in (b"", b"lz4", b"zstd") or len(head) < begin:
        return None
    (packed,) = struct.unpack_from("<Q", head, begin - 8)
    return ChunkHead(size, crc, name.decode(), begin) if packed == length - begin else None


def records_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of the records in a summary. Raises ValueError when the last one is not whole."""
    position = 0
    while position < len(data):
        opcode, length = RECORD.unpack_from(data, position)
        end = position + RECORD.size + length
        if end > len(data):
            raise ValueError("record reaches past the summary")
        yield opcode, data[position + RECORD.size : end]
        position = end


def statistics(content: bytes) -> tuple[dict[int, int], int]:
    """dict channel -> number of messages, and number of chunks. Raises ValueError when the numbers do not add up."""
    total, _, _, _, _, chunks, _, _, size = struct.unpack_from("<QHIIIIQQI", content)
    counts = dict(struct.unpack_from("<HQ", content, 46 + at) for at in range(0, size, 10))
    if sum(counts.values()) != total:
        raise ValueError("numbers of messages do not add up")
    return counts, chunks


def define(opcode: int, content: bytes, schemas: dict[int, str], channels: dict[int, tuple[str, str]]) -> None:
    """Take in a schema (id -> message type) or a channel (id -> (topic, message type))."""
    if opcode == SCHEMA:
        schemas[struct.unpack_from("<H", content)[0]], _ = _string(content, 2)
    elif opcode == CHANNEL:
        channel, schema = struct.unpack_from("<HH", content)
        topic, _ = _string(content, 4)
        channels[channel] = (topic, schemas.get(schema, ""))


def _string(content: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", content, position)
    end = position + 4 + length
    if end > len(content):
        raise ValueError("string reaches past its record")
    return content[position + 4 : end].decode(), end
