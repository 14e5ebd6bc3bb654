import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.cli.many.inputs import MOST_NAME, distinct, expanded, named
from hpe_core.errors import HpeError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two bag folders and a bag file, two videos of the same name, images."""
    monkeypatch.chdir(tmp_path)
    for path in ("bags/one/one.mcap", "bags/deep/two/two.mcap", "a/talk.mp4", "b/talk.mp4", "b/talk.mcap"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for name in ("bags/one", "bags/deep/two"):
        (tmp_path / name / "metadata.yaml").touch()
    (tmp_path / "photos").mkdir()
    for name in ("1.png", "2.jpg"):
        (tmp_path / "photos" / name).touch()


@pytest.mark.parametrize(
    "words, sources",
    [
        (["bags"], ["bags/deep/two", "bags/one"]),  # a folder of bags
        (["bags/one"], ["bags/one"]),  # a bag
        (["*/talk.mp4"], ["a/talk.mp4", "b/talk.mp4"]),
        (["photos"], ["photos"]),
        (["photos/*.png"], ["photos/*.png"]),  # images are one source
        (["bags/**"], ["bags/deep/two", "bags/one"]),  # and not their files again
        (["0", "gone.mp4", "none*.mp4"], ["0", "gone.mp4", "none*.mp4"]),  # their own run says what is wrong
    ],
)
def test_words_lead_to_sources(words, sources, tree):
    found = expanded(words)
    assert [os.path.normpath(one) for one in dict.fromkeys(found)] == sources


def test_a_list_on_stdin_has_a_source_a_line_whatever_its_bytes(tree, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a/talk.mp4\r\n\n  \nodd\xe4 name.mp4\n")))
    assert expanded(["-"]) == ["a/talk.mp4", "odd\udce4 name.mp4"]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"-\n", b"a\0b\n"])
def test_a_list_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(HpeError, match="stdin"):
        expanded(["-"])


def test_a_source_that_is_named_twice_is_run_once(tree, tmp_path):
    os.symlink("a/talk.mp4", "link.mp4")
    assert distinct(["a/talk.mp4", "./a//talk.mp4", "link.mp4"]) == (
        [str(tmp_path / "a/talk.mp4")],
        ["./a//talk.mp4", "link.mp4"],
    )


def test_folders_above_tell_apart_what_has_the_same_name():
    paths = ["/x/a/talk.mp4", "/x/b/talk.mp4", "/x/b/other.mp4", "/x/c/one.mp4", "/x/c/one.mcap"]
    assert list(named(paths)) == ["a_talk", "b_talk", "other", "one.mp4", "one.mcap"]
    assert list(named(["/x/summary.json.mp4", "/x/.hidden.mp4"])) == ["_summary.json", "_.hidden"]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "a_b", ".", "A", "x" * 300]), min_size=1, max_size=6), max_size=12))
def test_names_are_unique_and_names(parts):
    paths = list(dict.fromkeys("/" + "/".join(path) for path in parts))
    names = named(paths)
    assert list(names.values()) == paths
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert 0 < len(os.fsencode(name)) <= MOST_NAME + 14 and "/" not in name and not name.startswith(".")
