import tracemalloc
from contextlib import suppress

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.io import unpack
from hpe_core.io.unpack import MAX_UNPACKED_BYTES, MIN_LIMIT_BYTES, decompressed, unpack_file, unpack_message

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PACK = {"lz4": lz4.frame.compress, "zstd": zstd.compress}
PLAIN = bytes(range(256)) * 20_000  # several pieces


@pytest.mark.parametrize("name", PACK)
def test_what_was_packed_comes_back_up_to_the_limit(name):
    packed = PACK[name](PLAIN)
    assert decompressed(packed, name, len(PLAIN)) == PLAIN
    assert decompressed(packed, name, 1_500_000) == PLAIN[:1_500_000]
    assert decompressed(packed, name, 0) == b""


@pytest.mark.parametrize("name", PACK)
def test_a_cut_frame_gives_its_front(name):
    packed = PACK[name](PLAIN)
    front = decompressed(packed[: len(packed) - 4], name, len(PLAIN))
    assert PLAIN.startswith(front)


def test_memory_grows_with_the_data_not_with_the_limit():
    for name in PACK:
        packed = PACK[name](PLAIN)
        tracemalloc.start()
        decompressed(packed, name, MIN_LIMIT_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * len(PLAIN)


def test_more_than_is_allowed_and_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match="at most 536870912 are allowed"):
        decompressed(b"", "", MAX_UNPACKED_BYTES + 1)
    with pytest.raises(ValueError, match="at most 67108864 are allowed"):
        decompressed(b"", "zstd", MIN_LIMIT_BYTES + 1)
    with pytest.raises(ValueError, match="at most 100000000 are allowed"):
        decompressed(bytes(100_000), "zstd", 100_000_001)
    with pytest.raises(ValueError, match="compression 'gzip'"):
        decompressed(b"", "gzip", 10)


def test_a_packed_message_that_is_too_large_cut_or_damaged_is_refused(monkeypatch):
    monkeypatch.setattr(unpack, "MAX_UNPACKED_BYTES", len(PLAIN))
    assert unpack_message(zstd.compress(PLAIN)) == PLAIN
    for packed in (zstd.compress(PLAIN + b"1"), zstd.compress(PLAIN)[:-1], b"\x28\xb5\x2f\xfd damaged"):
        with pytest.raises(ValueError, match=r"more than 5120000 bytes|cannot be decompressed"):
            unpack_message(packed)


def test_a_packed_file_that_grows_beyond_measure_is_refused(tmp_path, monkeypatch):
    packed, plain = tmp_path / "a.mcap.zstd", tmp_path / "a.mcap"
    packed.write_bytes(zstd.compress(bytes(10_000_000)))
    unpack_file(packed, plain)
    assert plain.read_bytes() == bytes(10_000_000)
    monkeypatch.setattr(unpack, "MIN_LIMIT_BYTES", 1 << 20)
    with pytest.raises(HpeError, match=r"a\.mcap\.zstd unpacks to more than \d+ bytes, which is refused"):
        unpack_file(packed, plain)
    assert plain.stat().st_size < 3 << 20


def test_a_packed_file_that_is_cut_gives_its_front_and_a_damaged_one_is_named(tmp_path):
    packed, plain = tmp_path / "a.mcap.zstd", tmp_path / "a.mcap"
    whole = zstd.compress(PLAIN)
    packed.write_bytes(whole[:-5])
    unpack_file(packed, plain)
    assert PLAIN.startswith(plain.read_bytes())
    packed.write_bytes(b"hello world")
    with pytest.raises(HpeError, match="cannot be decompressed: it is damaged"):
        unpack_file(packed, plain)


@given(st.sampled_from(["lz4", "zstd", ""]), st.binary(max_size=200), st.booleans(), st.integers(0, 1000))
def test_any_bytes_are_unpacked_up_to_the_limit_or_refused(name, data, started, limit_bytes):
    start = {"lz4": b"\x04\x22\x4d\x18", "zstd": b"\x28\xb5\x2f\xfd"}.get(name, b"") if started else b""
    with suppress(ValueError):
        assert len(decompressed(start + data, name, limit_bytes)) <= limit_bytes
