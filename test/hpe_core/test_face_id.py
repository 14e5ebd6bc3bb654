"""Ids of faces and what follows from them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.face_id import _IDS, _STEP, SLOTS, FaceId, FaceIds, focus_frame

IDS = st.from_regex("face_[a-z]{1,6}", fullmatch=True).map(FaceId)


def test_an_id_is_its_text_and_names_the_frames_of_rep_155():
    face_id = FaceId("face_b")
    assert (face_id, str(face_id), face_id.letters) == ("face_b", "face_b", "b")
    assert (face_id.face_frame(), face_id.gaze_frame(), focus_frame(face_id)) == ("face_b", "gaze_b", "focus_b")


def test_an_id_of_five_letters_has_its_frames_too():
    face_id = FaceId("face_rkqsf")
    assert (face_id.gaze_frame(), focus_frame(face_id)) == ("gaze_rkqsf", "focus_rkqsf")


def test_a_prefix_stands_before_the_id_as_it_does_in_humans_faces():
    face_id = FaceId("face_rkqsf")
    assert face_id.face_frame("left_") == "face_left_rkqsf"
    assert (face_id.gaze_frame("left_"), focus_frame(face_id, "left_")) == ("gaze_left_rkqsf", "focus_left_rkqsf")


def test_the_head_of_another_detector_has_a_focus_frame_by_its_whole_id():
    assert focus_frame("person_7") == "focus_person_7"


@pytest.mark.parametrize("text", ["", "face_", "a", "gaze_a", "face_A", "face_1", "face_a b", "face_abcdefg", None])
def test_what_is_no_id_is_refused_and_quoted(text):
    with pytest.raises(HpeError, match=f"face id must be 'face_' and 1 to 6 letters a to z, got {text!r}"):
        FaceId(text)


@given(st.text())
def test_a_text_is_an_id_or_an_error_of_one_line(text):
    try:
        assert FaceId(text) == text
    except HpeError as error:
        assert "face id" in str(error) and "\n" not in str(error)


@given(st.lists(IDS, min_size=2, unique=True))
def test_no_two_ids_have_one_number_and_all_fit_a_marker(ids):
    numbers = {face_id.number for face_id in ids}
    assert len(numbers) == len(ids)
    assert min(numbers) >= 0 and max(numbers) < 2**31


def test_the_first_eight_slots_are_numbered_from_0_and_have_eight_colours():
    ids = [FaceId(f"face_{letter}") for letter in "abcdefgh"]
    assert [face_id.number for face_id in ids] == list(range(8))
    assert len({face_id.colour_rgb for face_id in ids}) == 8


def test_ids_sort_as_their_texts():
    texts = ["face_b", "face_aa", "face_a"]
    assert sorted(map(FaceId, texts)) == sorted(texts)


@given(st.integers(0, 2**31 - 1 - 26**5))
def test_a_number_and_its_name_lead_to_each_other(number):
    number %= 26**6
    assert FaceId.of_number(number).number == number


def test_slots_are_named_from_a_on_and_never_as_an_id_is():
    names = [FaceId.of_number(slot) for slot in range(SLOTS)]
    assert (names[0], names[25], names[26], names[63]) == ("face_a", "face_z", "face_aa", "face_bl")
    assert max(len(name.letters) for name in names) < 5


@given(st.integers(0, 2**31 - 1))
def test_thousands_of_ids_in_a_row_are_different_and_have_five_letters(seed):
    ids = FaceIds(seed)
    given_ids = [ids.take() for _ in range(2000)]
    assert len(set(given_ids)) == 2000 and {len(one.letters) for one in given_ids} == {5}
    assert len({one.colour_rgb for one in given_ids[:8]}) == 8  # people who come together are told apart


def test_all_ids_come_before_the_first_comes_again():
    assert math.gcd(_STEP, _IDS) == 1  # so that n steps end where they began for no n below _IDS
    ids = FaceIds(1)
    ids._next = _IDS - 1
    assert (ids.take().number - FaceId("face_aaaaa").number) == _STEP - 1


def test_the_same_seed_gives_the_same_ids_and_without_one_every_start_has_others():
    def first(seed):
        ids = FaceIds(seed)
        return [ids.take() for _ in range(50)]

    assert first(5) == first(5)
    assert not set(first(5)) & set(first(6))
    assert first(0) != first(0)
