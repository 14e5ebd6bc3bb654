import os
import socket

import pytest

from hpe_core.errors import HpeError
from hpe_core.io.files import check_regular, plain_path, read_regular


@pytest.fixture
def special(tmp_path):
    """dict of paths that are no regular files -> what the error calls them."""
    os.mkfifo(tmp_path / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    before = os.getcwd()
    os.chdir(tmp_path)  # a socket's path may have 107 characters only
    try:
        bound.bind("socket")
    finally:
        os.chdir(before)
    yield {
        tmp_path / "pipe": "a named pipe, not a file",
        tmp_path / "socket": "a socket, not a file",
        tmp_path: "a folder, not a file",
        "/dev/zero": "a device, not a file",
        tmp_path / "nix": "No such file or directory",
        "a\0b": "embedded null",
    }
    bound.close()


def test_what_is_no_regular_file_is_named_and_never_waited_for(special):
    for path, kind in special.items():
        for use in (check_regular, lambda path: read_regular(path, 10)):
            with pytest.raises(HpeError, match=f"cannot be read: {kind}"):
                use(path)


def test_a_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(HpeError, match="too large: at most 4 bytes are read"):
        read_regular(tmp_path / "a", 4)


def test_a_plain_name_is_its_own_path(tmp_path):
    with plain_path("clips/a b-1.mp4") as name:
        assert name == "clips/a b-1.mp4"


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", "café.mp4".encode(), b"clip%03d.mp4", b"rtsp:x.mp4", b"a?b.mp4"])
def test_any_other_name_becomes_a_link_of_plain_ascii_with_its_suffix(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with open(name, "wb") as file:
        file.write(b"content")
    with plain_path(os.fsdecode(name)) as link:
        assert link.isascii() and link.endswith("/source.mp4")
        with open(link, "rb") as file:
            assert file.read() == b"content"
    assert not os.path.lexists(os.path.dirname(link))
