"""MCAP read through its index where that is whole, else from front to back: a damaged part costs that part alone.

A chunk is left out as a whole when its checksum is wrong; one that is cut off by the end of the
file is decompressed as far as it goes. Schemas and channels also come from the copies behind the data.
"""

import heapq
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hpe_core.errors import HpeError
from hpe_core.io.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    CHUNK_INDEX,
    CHUNK_START,
    DAMAGE,
    FIRST_PRIVATE_OPCODE,
    FOOTER,
    FOOTER_BYTES,
    HEAD_BYTES,
    LAST_OPCODE,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    MESSAGE_INDEX,
    RECORD,
    SCHEMA,
    STATISTICS,
    chunk_head,
    define,
    records_of,
    statistics,
)
from hpe_core.io.unpack import MAX_UNPACKED_BYTES, decompressed

MAX_OPEN_BYTES = 2 * MAX_UNPACKED_BYTES  # of chunks that overlap in time
_SEARCH_BYTES = 1 << 20


@dataclass(frozen=True)
class _Part:
    """A chunk, or a run of messages outside chunks (`end` is not None); channels: ids in it, None when not known."""

    start_ns: int
    offset: int
    end: int | None = None
    channels: frozenset[int] | None = None


class McapScan:
    """Everything readable in one MCAP file; messages in order of their log time, each part's first.

    topics: dict topic -> message type; counts: Counter of messages per topic, as the index states or as counted;
    lost_bytes: bytes that could not be read so far; complete: True when the file has its end; problem: what is wrong
    with the file as a whole ("" when nothing is). Raises HpeError when the file is no MCAP file.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.topics: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._forget_definitions()
        self._parts: list[_Part] = []
        self._lost: dict[int, int] = {}  # offset -> bytes
        self._open_bytes = 0  # of chunks that are being read
        self._size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise HpeError(f"{path} is not an MCAP file, or was cut off before its first record")
            self.complete = True
            self.problem = ""
            try:
                indexed = self._take_index(file)
            except DAMAGE:
                indexed = False
                self.problem = "has a damaged index"
            if not indexed:
                self._scan(file)

    def _forget_definitions(self) -> None:
        self._schemas: dict[int, str] = {}  # id -> message type
        self._channels: dict[int, tuple[str, str]] = {}  # id -> topic, message type
        self._definitions_checked = False

    @property
    def lost_bytes(self) -> int:
        return sum(self._lost.values())

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        """Iterator of (topic, message type, log time in ns, CDR bytes) of the named topics."""
        with self.path.open("rb") as file:
            wanted = {channel for channel, (topic, _) in self._channels.items() if topic in topics}
            parts = [part for part in self._parts if part.channels is None or part.channels & wanted]
            # each stream first says where it begins, so that no more chunks are open than overlap in time
            streams = [self._timed(file, part) for part in parts]
            for log_time, _, message in heapq.merge(*streams, key=lambda item: item[:2]):
                if message is not None and message[0] in topics:
                    yield (*message[:2], log_time, message[2])

    def _timed(self, file: IO[bytes], part: _Part) -> Iterator[tuple[int, int, tuple[str, str, bytes] | None]]:
        yield part.start_ns, part.offset, None
        for topic, msgtype, log_time, data in self._read(file, part):
            yield log_time, part.offset, (topic, msgtype, data)

    # ---- through the index

    def _take_index(self, file: IO[bytes]) -> bool:
        """True when the index can be relied on. Raises one of DAMAGE when it cannot; False when there is none."""
        tail = self._at(file, self._size - FOOTER_BYTES - len(MAGIC), FOOTER_BYTES + len(MAGIC))
        opcode, length = RECORD.unpack_from(tail)
        if (opcode, length, tail[FOOTER_BYTES:]) != (FOOTER, 20, MAGIC):
            raise ValueError("no footer")
        start, _, crc = struct.unpack_from("<QQI", tail, RECORD.size)
        if start == 0:
            return False
        end = self._size - FOOTER_BYTES - len(MAGIC)
        if not len(MAGIC) <= start <= end:
            raise ValueError("summary outside the file")
        summary = self._at(file, start, end - start)
        if crc and zlib.crc32(summary + tail[: FOOTER_BYTES - 4]) != crc:
            raise ValueError("checksum of the summary")
        schemas: dict[int, str] = {}
        channels: dict[int, tuple[str, str]] = {}
        parts = []
        counts = None
        chunks = 0
        for opcode, content in records_of(summary):
            if opcode == CHUNK_INDEX:
                parts.append(self._indexed_chunk(file, content))
            elif opcode == STATISTICS:
                counts, chunks = statistics(content)
            else:
                define(opcode, content, schemas, channels)
        if counts is None or not parts:
            return False
        if chunks != len(parts) or counts.keys() - channels.keys():
            raise ValueError("statistics do not fit the index")
        self._parts = sorted(parts, key=lambda part: (part.start_ns, part.offset))
        self._schemas = dict(schemas)
        self._channels = dict(channels)
        self._definitions_checked = crc != 0
        if not self._definitions_checked:  # no checksum: the first chunk's own channels must be the same
            for _ in self._read(file, self._parts[0]):
                pass
            if any(self._channels[number] != channel for number, channel in channels.items()):
                raise ValueError("channels of the index differ from those of the data")
        for number, (topic, msgtype) in channels.items():
            self.topics[topic] = msgtype
            self.counts[topic] += counts.get(number, 0)
        return True

    def _indexed_chunk(self, file: IO[bytes], content: bytes) -> _Part:
        start_ns, _, offset, length, size = struct.unpack_from("<QQQQI", content)
        channels = frozenset(struct.unpack_from("<H", content, 36 + at)[0] for at in range(0, size, 10))
        head = self._at(file, offset, RECORD.size + HEAD_BYTES)
        if RECORD.unpack_from(head)[1] + RECORD.size != length or offset + length > self._size:
            raise ValueError("index and chunk differ")
        return _Part(start_ns, offset, None, channels)

    # ---- from front to back

    def _scan(self, file: IO[bytes]) -> None:
        """Find all parts, and read each once: what is in them, and what is lost."""
        self._lost.clear()
        self._forget_definitions()
        parts = list(self._walk(file))
        chunks = [part for part in parts if part.end is None]
        if chunks:  # recorders write messages in chunks or without: one between them is another, damaged record
            self._lost.update({part.offset: part.end - part.offset for part in parts if part.end is not None})
        self._parts = chunks or parts
        for part in self._parts:
            for topic, msgtype, _, _ in self._read(file, part):
                self.topics[topic] = msgtype
                self.counts[topic] += 1
        if not self.complete:
            self.problem = "is cut off"
        elif self._lost and not self.problem:
            self.problem = "is damaged"

    def _walk(self, file: IO[bytes]) -> Iterator[_Part]:
        """Parts in file order, by the length of each record; behind damage on from the next chunk."""
        position = len(MAGIC)
        skipped: int | None = None
        run: tuple[int, int] | None = None  # start time, offset
        while True:
            head = self._at(file, position, RECORD.size + HEAD_BYTES)
            kind, length = self._kind(head, position)
            if run is not None and kind != MESSAGE:
                yield _Part(*run, position)
                run = None
            if kind is None:  # damage; it may be the length of the record before that led here
                at = position if skipped is None else skipped
                found = self._next_chunk(file, at + 1)
                begin = position if found is None or found > position else at
                end = self._size if found is None else found
                if end > begin:
                    self._lost[begin] = end - begin
                if found is None:
                    self.complete = False
                    return
                position = found
                skipped = None
                continue
            if kind == FOOTER:
                return
            end = position + RECORD.size + length
            if kind == CHUNK:
                yield _Part(CHUNK_HEAD.unpack_from(head, RECORD.size)[0], position)
            elif kind == MESSAGE:
                run = run or (MESSAGE_HEAD.unpack_from(head, RECORD.size)[2], position)
            elif kind in (SCHEMA, CHANNEL):
                try:
                    content = self._at(file, position + RECORD.size, length)
                    define(kind, content, self._schemas, self._channels)
                except DAMAGE:
                    self._lost[position] = end - position
            skipped = None if kind in (CHUNK, MESSAGE_INDEX) else position  # their lengths have been checked
            position = min(end, self._size)

    def _kind(self, head: bytes, position: int) -> tuple[int | None, int]:
        """Opcode and length of the record at `position`; (None, 0) when there is none that can be read."""
        if len(head) < RECORD.size:
            return None, 0
        opcode, length = RECORD.unpack_from(head)
        if chunk_head(head[RECORD.size :], length) is not None:  # also when it is the opcode that is damaged
            return CHUNK, length
        known = 0 < opcode <= LAST_OPCODE or opcode >= FIRST_PRIVATE_OPCODE
        if not known or opcode == CHUNK or position + RECORD.size + length > self._size:
            return None, 0
        if opcode == FOOTER and length != 20:
            return None, 0
        if opcode == MESSAGE and length < MESSAGE_HEAD.size:
            return None, 0
        if opcode == MESSAGE_INDEX and (length < 6 or struct.unpack_from("<I", head, 11)[0] != length - 6):
            return None, 0
        return opcode, length

    def _next_chunk(self, file: IO[bytes], position: int) -> int | None:
        """Where the next whole chunk record begins, at `position` or later; None when there is none."""
        while position < self._size:
            data = self._at(file, position, _SEARCH_BYTES + RECORD.size + HEAD_BYTES)
            found = CHUNK_START.search(data)
            while found:
                head = data[found.start() : found.start() + RECORD.size + HEAD_BYTES]
                length = RECORD.unpack_from(head)[1]
                if chunk_head(head[RECORD.size :], length) is not None:
                    return position + found.start()
                found = CHUNK_START.search(data, found.start() + 1)
            position += _SEARCH_BYTES
        return None

    # ---- parts

    def _read(self, file: IO[bytes], part: _Part) -> Iterator[tuple[str, str, int, bytes]]:
        """Messages (topic, type, log time, data) of a part; none of a damaged chunk, which is counted."""
        try:
            if part.end is None:
                yield from self._chunk(file, part.offset)
            else:
                yield from self._run(file, part.offset, part.end)
        except DAMAGE:
            head = self._at(file, part.offset, RECORD.size)
            length = RECORD.unpack_from(head)[1] + RECORD.size
            self._lost[part.offset] = min(length, self._size - part.offset)

    def _chunk(self, file: IO[bytes], offset: int) -> Iterator[tuple[str, str, int, bytes]]:
        head = self._at(file, offset, RECORD.size + HEAD_BYTES)
        length = RECORD.unpack_from(head)[1]
        fields = chunk_head(head[RECORD.size :], length)
        if fields is None:
            raise ValueError("head of the chunk")
        size, crc, name, begin = fields
        whole = offset + RECORD.size + length <= self._size
        if self._open_bytes + size > MAX_OPEN_BYTES:
            raise ValueError("too many large chunks of the same time")
        records = decompressed(self._at(file, offset + RECORD.size + begin, length - begin), name, size)
        if whole and ((crc and zlib.crc32(records) != crc) or len(records) != size):
            raise ValueError("checksum or size of the chunk is wrong")
        spans = []  # log time, channel, begin, end
        lost = position = 0
        while position + RECORD.size <= len(records):
            opcode, length = RECORD.unpack_from(records, position)
            begin, end = position + RECORD.size, position + RECORD.size + length
            if end > len(records):
                break
            try:
                if opcode == MESSAGE:
                    channel, _, log_time, _ = MESSAGE_HEAD.unpack_from(records[begin : begin + MESSAGE_HEAD.size])
                    spans.append((log_time, channel, begin + MESSAGE_HEAD.size, end))
                elif opcode not in (SCHEMA, CHANNEL):
                    lost += end - position
                elif not self._definitions_checked:
                    define(opcode, records[begin:end], self._schemas, self._channels)
            except DAMAGE:
                lost += end - position
            position = end
        lost += len(records) - position + (not whole)
        known = [span for span in spans if span[1] in self._channels]
        lost += sum(end - begin for _, channel, begin, end in spans if channel not in self._channels)
        if lost:
            self._lost[offset] = lost
        self._open_bytes += size
        try:
            for log_time, channel, begin, end in sorted(known, key=lambda span: span[0]):
                yield (*self._channels[channel], log_time, records[begin:end])
        finally:
            self._open_bytes -= size

    def _run(self, file: IO[bytes], position: int, end: int) -> Iterator[tuple[str, str, int, bytes]]:
        while position < end:
            _, length = RECORD.unpack(self._at(file, position, RECORD.size))
            content = self._at(file, position + RECORD.size, length)
            channel, _, log_time, _ = MESSAGE_HEAD.unpack_from(content)
            if channel in self._channels:
                yield (*self._channels[channel], log_time, content[MESSAGE_HEAD.size :])
            else:
                self._lost[position] = RECORD.size + length
            position += RECORD.size + length

    def _at(self, file: IO[bytes], position: int, count: int) -> bytes:
        """Up to `count` bytes at `position`; file: shared by several readers."""
        if not 0 <= position <= self._size:
            raise ValueError("outside the file")
        file.seek(position)
        return file.read(min(count, max(0, self._size - position)))
