"""MCAP from front to back without its index: for files whose recorder died, where nothing after the cut is needed.

Format: mcap.dev/spec. A chunk that is cut is decompressed as far as it goes, so its whole messages are kept too.
"""

import struct
import zlib
from collections import Counter
from pathlib import Path

from hpe_core.errors import HpeError

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
_RECORD = struct.Struct("<BQ")


class McapScan:
    """Everything readable in one MCAP file, in file order.

    topics: dict topic -> message type; counts: Counter of messages per topic; lost_bytes: bytes that could not be read;
    complete: True when the file has its end. Raises HpeError when the file is no MCAP file.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.topics, self.counts = {}, Counter()
        with self.path.open("rb") as file:
            magic = file.read(len(MAGIC))
        if magic != MAGIC:
            raise HpeError(f"{path} is not an MCAP file, or was cut off before its first record")
        found = Counter()
        for topic, msgtype, _, _ in self._scan(found):
            self.topics[topic] = msgtype
            self.counts[topic] += 1
        self.lost_bytes, self.complete = found["lost_bytes"], bool(found["footers"])

    def messages(self, topics):
        """Iterator of (topic, message type, log time in ns, CDR bytes) of the named topics."""
        return (message for message in self._scan(Counter()) if message[0] in topics)

    def _scan(self, found):
        """All messages; counts `lost_bytes` and `footers` in the Counter `found`."""
        size = self.path.stat().st_size
        schemas, channels = {}, {}
        with self.path.open("rb") as file:
            file.seek(len(MAGIC))
            while True:
                start = file.tell()
                head = file.read(_RECORD.size)
                if len(head) < _RECORD.size:
                    found["lost_bytes"] += len(head)
                    return
                opcode, length = _RECORD.unpack(head)
                if opcode == _FOOTER:
                    found["footers"] += 1
                    return
                if opcode == 0:  # not a record: the file was filled with zeros or overwritten
                    found["lost_bytes"] += size - start
                    return
                left = size - file.tell()
                if opcode not in (_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK):
                    file.seek(min(length, left), 1)
                    found["lost_bytes"] += left if length > left else 0
                    continue
                content = file.read(min(length, left))
                try:
                    if opcode == _CHUNK:
                        yield from self._chunk(content, length <= left, schemas, channels, found)
                    elif length > left:
                        found["lost_bytes"] += left
                    else:
                        yield from _record(opcode, content, schemas, channels)
                except _DAMAGE:
                    found["lost_bytes"] += len(content)

    def _chunk(self, content, whole, schemas, channels, found):
        """Messages of one chunk; of the readable front of it when it is not whole."""
        _, _, size, crc, name_length = struct.unpack_from("<QQQII", content)
        name = content[32 : 32 + name_length].decode()
        begin = 32 + name_length + 8
        if begin > len(content):
            raise ValueError("cut inside the chunk header")
        records = _decompressed(content[begin:], name, size)
        if whole and ((crc and zlib.crc32(records) != crc) or len(records) != size):
            raise ValueError("checksum or size of the chunk is wrong")
        position = 0
        while position + _RECORD.size <= len(records):
            opcode, length = _RECORD.unpack_from(records, position)
            end = position + _RECORD.size + length
            if end > len(records):
                break
            yield from _record(opcode, records[position + _RECORD.size : end], schemas, channels)
            position = end
        if not whole or position < len(records):
            found["lost_bytes"] += max(1, len(records) - position)


def _record(opcode, content, schemas, channels):
    """Yields the message, if the record is one; keeps schemas and channels."""
    if opcode == _MESSAGE:
        channel, _, log_time, _ = struct.unpack_from("<HIQQ", content)
        if channel in channels:
            yield (*channels[channel], log_time, content[22:])
    elif opcode == _SCHEMA:
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


def _decompressed(data, name, size):
    """At most `size` bytes of the chunk's records, as far as `data` goes."""
    if name == "":
        return data[:size]
    if name == "zstd":
        try:
            from compression import zstd  # Python 3.14
        except ImportError:
            from backports import zstd
        decompressor, errors = zstd.ZstdDecompressor(), zstd.ZstdError
    elif name == "lz4":
        import lz4.frame

        decompressor, errors = lz4.frame.LZ4FrameDecompressor(), RuntimeError
    else:
        raise ValueError(f"chunk compression {name!r}")
    try:
        return decompressor.decompress(data, max_length=size)
    except errors as error:
        raise ValueError("chunk cannot be decompressed") from error


_DAMAGE = (struct.error, ValueError, EOFError, OverflowError)  # UnicodeDecodeError is a ValueError
