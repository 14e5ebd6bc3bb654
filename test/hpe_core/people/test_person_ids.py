"""Ids of people."""

import re

from hpe_core.people.person_ids import PersonIds


def test_an_id_has_five_letters_and_never_comes_again():
    ids = PersonIds(3)
    made = [ids.new() for _ in range(20_000)]
    assert len(set(made)) == 20_000  # at random, 17 of them would have come twice
    assert all(re.fullmatch("[a-z]{5}", one) for one in made)


def test_a_seed_gives_the_same_ids_and_none_gives_others():
    assert [PersonIds(7).new() for _ in range(3)] == [PersonIds(7).new() for _ in range(3)]
    assert PersonIds().new() != PersonIds().new()
