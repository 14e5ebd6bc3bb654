"""MCAP read through its index where that is whole, else from front to back: a damaged part costs that part alone.

Format: mcap.dev/spec. A chunk is left out as a whole when its checksum is wrong; one that is cut off by the end of the
file is decompressed as far as it goes. Schemas and channels also come from the copies behind the data.
"""

import heapq
import re
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.io.unpack import MAX_UNPACKED_BYTES, decompressed

MAX_OPEN_BYTES = 2 * MAX_UNPACKED_BYTES  # of chunks that overlap in time
MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
_CHUNK_INDEX, _STATISTICS, _LAST_OPCODE, _FIRST_PRIVATE_OPCODE = 0x08, 0x0B, 0x0F, 0x80
_RECORD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK_HEAD = struct.Struct("<QQQII")
_FOOTER_BYTES = _RECORD.size + 20
# a whole chunk record up to the name of its compression: where to go on behind damage
_CHUNK_START = re.compile(rb"\x06.{6}\0\0.{28}(?:\0\0\0\0|\x03\0\0\0lz4|\x04\0\0\0zstd)", re.DOTALL)
_HEAD_BYTES = _CHUNK_HEAD.size + 4 + 8
_SEARCH_BYTES = 1 << 20
_DAMAGE = (struct.error, ValueError, OverflowError)  # UnicodeDecodeError is a ValueError


@dataclass(frozen=True)
class _Part:
    """A chunk, or a run of messages outside chunks (`end` is not None); channels: ids in it, None when not known."""

    start_ns: int
    offset: int
    end: int | None = None
    channels: frozenset | None = None


class McapScan:
    """Everything readable in one MCAP file; messages in order of their log time, each part's first.

    topics: dict topic -> message type; counts: Counter of messages per topic, as the index tells or as counted;
    lost_bytes: bytes that could not be read so far; complete: True when the file has its end; problem: what is wrong
    with the file as a whole ("" when nothing is). Raises HpeError when the file is no MCAP file.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.topics, self.counts = {}, Counter()
        self._schemas, self._channels, self._sure = {}, {}, False
        self._lost = {}  # offset -> bytes
        self._open_bytes = 0  # of chunks that are being read
        self._size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise HpeError(f"{path} is not an MCAP file, or was cut off before its first record")
            self.complete, self.problem = True, ""
            try:
                indexed = self._take_index(file)
            except _DAMAGE:
                indexed, self.problem = False, "has a damaged index"
            if not indexed:
                self._scan(file)

    @property
    def lost_bytes(self):
        return sum(self._lost.values())

    def messages(self, topics):
        """Iterator of (topic, message type, log time in ns, CDR bytes) of the named topics."""
        with self.path.open("rb") as file:
            wanted = {channel for channel, (topic, _) in self._channels.items() if topic in topics}
            parts = [part for part in self._parts if part.channels is None or part.channels & wanted]
            # each stream first says where it begins, so that no more chunks are open than overlap in time
            streams = [self._timed(file, part) for part in parts]
            for log_time, _, message in heapq.merge(*streams, key=lambda item: item[:2]):
                if message is not None and message[0] in topics:
                    yield (*message[:2], log_time, message[2])

    def _timed(self, file, part):
        yield part.start_ns, part.offset, None
        for topic, msgtype, log_time, data in self._read(file, part):
            yield log_time, part.offset, (topic, msgtype, data)

    # ---- through the index

    def _take_index(self, file):
        """True when the index can be relied on. Raises one of _DAMAGE when it cannot; False when there is none."""
        tail = self._at(file, self._size - _FOOTER_BYTES - len(MAGIC), _FOOTER_BYTES + len(MAGIC))
        opcode, length = _RECORD.unpack_from(tail)
        if (opcode, length, tail[_FOOTER_BYTES:]) != (_FOOTER, 20, MAGIC):
            raise ValueError("no footer")
        start, _, crc = struct.unpack_from("<QQI", tail, _RECORD.size)
        if start == 0:
            return False
        end = self._size - _FOOTER_BYTES - len(MAGIC)
        if not len(MAGIC) <= start <= end:
            raise ValueError("summary outside the file")
        summary = self._at(file, start, end - start)
        if crc and zlib.crc32(summary + tail[: _FOOTER_BYTES - 4]) != crc:
            raise ValueError("checksum of the summary")
        schemas, channels, parts, counts = {}, {}, [], None
        for opcode, content in _records(summary):
            if opcode == _CHUNK_INDEX:
                parts.append(self._indexed_chunk(file, content))
            elif opcode == _STATISTICS:
                counts, chunks = _statistics(content)
            else:
                _define(opcode, content, schemas, channels)
        if counts is None or not parts:
            return False
        if chunks != len(parts) or counts.keys() - channels.keys():
            raise ValueError("statistics do not fit the index")
        self._parts = sorted(parts, key=lambda part: (part.start_ns, part.offset))
        self._schemas, self._channels, self._sure = dict(schemas), dict(channels), crc != 0
        if not self._sure:  # no checksum: the first chunk's own channels must be the same
            for _ in self._read(file, self._parts[0]):
                pass
            if any(self._channels[number] != channel for number, channel in channels.items()):
                raise ValueError("channels of the index differ from those of the data")
        for number, (topic, msgtype) in channels.items():
            self.topics[topic] = msgtype
            self.counts[topic] += counts.get(number, 0)
        return True

    def _indexed_chunk(self, file, content):
        start_ns, _, offset, length, size = struct.unpack_from("<QQQQI", content)
        channels = frozenset(struct.unpack_from("<H", content, 36 + at)[0] for at in range(0, size, 10))
        head = self._at(file, offset, _RECORD.size + _HEAD_BYTES)
        if _RECORD.unpack_from(head)[1] + _RECORD.size != length or offset + length > self._size:
            raise ValueError("index and chunk differ")
        return _Part(start_ns, offset, None, channels)

    # ---- from front to back

    def _scan(self, file):
        """Find all parts, and read each once: what is in them, and what is lost."""
        self._lost.clear()
        self._schemas, self._channels, self._sure = {}, {}, False
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

    def _walk(self, file):
        """Parts in file order, by the length of each record; behind damage on from the next chunk."""
        position, skipped, run = len(MAGIC), None, None
        while True:
            head = self._at(file, position, _RECORD.size + _HEAD_BYTES)
            kind, length = self._kind(head, position)
            if run is not None and kind != _MESSAGE:
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
                position, skipped = found, None
                continue
            if kind == _FOOTER:
                return
            end = position + _RECORD.size + length
            if kind == _CHUNK:
                yield _Part(_CHUNK_HEAD.unpack_from(head, _RECORD.size)[0], position)
            elif kind == _MESSAGE:
                run = run or (_MESSAGE_HEAD.unpack_from(head, _RECORD.size)[2], position)
            elif kind in (_SCHEMA, _CHANNEL):
                try:
                    content = self._at(file, position + _RECORD.size, length)
                    _define(kind, content, self._schemas, self._channels)
                except _DAMAGE:
                    self._lost[position] = end - position
            skipped = None if kind in (_CHUNK, _MESSAGE_INDEX) else position  # their lengths have been checked
            position = min(end, self._size)

    def _kind(self, head, position):
        """Opcode and length of the record at `position`; (None, 0) when there is none that can be read."""
        if len(head) < _RECORD.size:
            return None, 0
        opcode, length = _RECORD.unpack_from(head)
        if _chunk_head(head[_RECORD.size :], length) is not None:  # also when it is the opcode that is damaged
            return _CHUNK, length
        known = 0 < opcode <= _LAST_OPCODE or opcode >= _FIRST_PRIVATE_OPCODE
        if not known or opcode == _CHUNK or position + _RECORD.size + length > self._size:
            return None, 0
        if opcode == _FOOTER and length != 20:
            return None, 0
        if opcode == _MESSAGE and length < _MESSAGE_HEAD.size:
            return None, 0
        if opcode == _MESSAGE_INDEX and (length < 6 or struct.unpack_from("<I", head, 11)[0] != length - 6):
            return None, 0
        return opcode, length

    def _next_chunk(self, file, position):
        """Where the next whole chunk record begins, at `position` or later; None when there is none."""
        while position < self._size:
            data = self._at(file, position, _SEARCH_BYTES + _RECORD.size + _HEAD_BYTES)
            found = _CHUNK_START.search(data)
            while found:
                head = data[found.start() : found.start() + _RECORD.size + _HEAD_BYTES]
                length = _RECORD.unpack_from(head)[1]
                if _chunk_head(head[_RECORD.size :], length) is not None:
                    return position + found.start()
                found = _CHUNK_START.search(data, found.start() + 1)
            position += _SEARCH_BYTES
        return None

    # ---- parts

    def _read(self, file, part):
        """Messages (topic, type, log time, data) of a part; none of a damaged chunk, which is counted."""
        try:
            if part.end is None:
                yield from self._chunk(file, part.offset)
            else:
                yield from self._run(file, part.offset, part.end)
        except _DAMAGE:
            head = self._at(file, part.offset, _RECORD.size)
            length = _RECORD.unpack_from(head)[1] + _RECORD.size
            self._lost[part.offset] = min(length, self._size - part.offset)

    def _chunk(self, file, offset):
        head = self._at(file, offset, _RECORD.size + _HEAD_BYTES)
        length = _RECORD.unpack_from(head)[1]
        fields = _chunk_head(head[_RECORD.size :], length)
        if fields is None:
            raise ValueError("head of the chunk")
        size, crc, name, begin = fields
        whole = offset + _RECORD.size + length <= self._size
        if self._open_bytes + size > MAX_OPEN_BYTES:
            raise ValueError("too many large chunks of the same time")
        records = decompressed(self._at(file, offset + _RECORD.size + begin, length - begin), name, size)
        if whole and ((crc and zlib.crc32(records) != crc) or len(records) != size):
            raise ValueError("checksum or size of the chunk is wrong")
        spans, lost, position = [], 0, 0
        while position + _RECORD.size <= len(records):
            opcode, length = _RECORD.unpack_from(records, position)
            begin, end = position + _RECORD.size, position + _RECORD.size + length
            if end > len(records):
                break
            try:
                if opcode == _MESSAGE:
                    channel, _, log_time, _ = _MESSAGE_HEAD.unpack_from(records[begin : begin + _MESSAGE_HEAD.size])
                    spans.append((log_time, channel, begin + _MESSAGE_HEAD.size, end))
                elif opcode not in (_SCHEMA, _CHANNEL):
                    lost += end - position
                elif not self._sure:
                    _define(opcode, records[begin:end], self._schemas, self._channels)
            except _DAMAGE:
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

    def _run(self, file, position, end):
        while position < end:
            _, length = _RECORD.unpack(self._at(file, position, _RECORD.size))
            content = self._at(file, position + _RECORD.size, length)
            channel, _, log_time, _ = _MESSAGE_HEAD.unpack_from(content)
            if channel in self._channels:
                yield (*self._channels[channel], log_time, content[_MESSAGE_HEAD.size :])
            else:
                self._lost[position] = _RECORD.size + length
            position += _RECORD.size + length

    def _at(self, file, position, count):
        """Up to `count` bytes at `position`; file: shared by several readers."""
        if not 0 <= position <= self._size:
            raise ValueError("outside the file")
        file.seek(position)
        return file.read(min(count, max(0, self._size - position)))


def _chunk_head(head, length):
    """(unpacked size, checksum, compression, where its data begins) of a chunk record of this length, None when its
    numbers do not fit together."""
    if len(head) < _CHUNK_HEAD.size:
        return None
    _, _, size, crc, name_length = _CHUNK_HEAD.unpack_from(head)
    name = head[_CHUNK_HEAD.size : _CHUNK_HEAD.size + name_length] if name_length <= 4 else b"?"
    begin = _CHUNK_HEAD.size + name_length + 8
    if name not in (b"", b"lz4", b"zstd") or len(head) < begin:
        return None
    (packed,) = struct.unpack_from("<Q", head, begin - 8)
    return (size, crc, name.decode(), begin) if packed == length - begin else None


def _records(data):
    """(opcode, content) of the records in a summary. Raises ValueError when the last one is not whole."""
    position = 0
    while position < len(data):
        opcode, length = _RECORD.unpack_from(data, position)
        end = position + _RECORD.size + length
        if end > len(data):
            raise ValueError("record reaches past the summary")
        yield opcode, data[position + _RECORD.size : end]
        position = end


def _statistics(content):
    """dict channel -> number of messages, and number of chunks. Raises ValueError when the numbers do not add up."""
    total, _, _, _, _, chunks, _, _, size = struct.unpack_from("<QHIIIIQQI", content)
    counts = dict(struct.unpack_from("<HQ", content, 46 + at) for at in range(0, size, 10))
    if sum(counts.values()) != total:
        raise ValueError("numbers of messages do not add up")
    return counts, chunks


def _define(opcode, content, schemas, channels):
    """Take in a schema (id -> message type) or a channel (id -> (topic, message type))."""
    if opcode == _SCHEMA:
        schemas[struct.unpack_from("<H", content)[0]], _ = _string(content, 2)
    elif opcode == _CHANNEL:
        channel, schema = struct.unpack_from("<HH", content)
        topic, _ = _string(content, 4)
        channels[channel] = (topic, schemas.get(schema, ""))


def _string(content, position):
    (length,) = struct.unpack_from("<I", content, position)
    end = position + 4 + length
    if end > len(content):
        raise ValueError("string reaches past its record")
    return content[position + 4 : end].decode(), end
