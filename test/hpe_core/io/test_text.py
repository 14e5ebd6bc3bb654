import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import MAX_TEXT, HpeError
from hpe_core.io.text import MAX_LINE, csv_text, csv_value, one_line, printable

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # with surrogates and control characters


def test_ordinary_text_stays_as_it_is_in_any_script():
    for text in ("clip 1.mp4", "Zürich/鎌倉.jpg", "a'b\"c", "100 %", ""):
        assert printable(text) == one_line(text) == text


def test_characters_that_steer_a_terminal_are_written_out():
    assert printable("a\x1b[31mred\a\r\n") == "a\\x1b[31mred\\x07\\x0d\\x0a"
    assert printable("exe\u202egpj.\x9b2J") == "exe\\u202egpj.\\x9b2J"


def test_a_byte_that_is_not_utf8_is_shown_as_that_byte():
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"


def test_one_line_is_one_line_of_limited_length():
    assert one_line("a\nb\t c") == "a b c"
    assert len(one_line("x" * 10_000)) < MAX_LINE + 50 and "cut, 10000 characters" in one_line("x" * 10_000)


def test_an_error_message_is_of_limited_length():
    assert str(HpeError("x" * MAX_TEXT)) == "x" * MAX_TEXT
    assert len(str(HpeError("x" * 10**7))) < MAX_TEXT + 50


@pytest.mark.parametrize("name", ["=1+1.jpg", "+a", "-a", "@SUM(A1)", "'=a", "''-a"])
def test_a_name_that_would_be_a_formula_gets_an_apostrophe_and_comes_back(name):
    assert csv_text(name) == "'" + name and csv_value(csv_text(name)) == name


@pytest.mark.parametrize("name", ["a=b", "'quoted'", "'", "", "3-4.png"])
def test_other_names_are_written_as_they_are(name):
    assert csv_text(name) == csv_value(name) == name


@given(ANY_TEXT)
def test_any_text_becomes_printable_utf8_that_no_spreadsheet_takes_as_a_formula(text):
    cell = csv_text(text)
    assert cell.isprintable() and cell.encode() is not None
    assert cell[:1] not in ("=", "+", "-", "@")
    assert csv_value(cell) == printable(text)
    assert next(csv.reader([cell.replace('"', "")])) is not None
