"""Targets as people write them."""

import pytest

from hpe_core.attention.targets import Target, parse_target, parse_targets
from hpe_core.errors import HpeError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("camera", Target("camera")),
        ("tablet frame=tablet_link radius=0.15", Target("tablet", "tablet_link", (0.0, 0.0, 0.0), 0.15)),
        ("door point=1,-2.5,0 frame=/map", Target("door", "map", (1.0, -2.5, 0.0), 0.0)),
    ],
)
def test_a_line_is_a_target(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "name"),
        (7, "name"),
        ("the-door", "letters"),
        ("door point=1,2", "3 finite numbers, got '1,2'"),
        ("door point=1,2,nan", "3 finite numbers"),
        ("door radius=-1", "radius must lie in"),
        ("door radius=wide", "1 finite number"),
        ("door size=1", "got 'size=1', allowed once each"),
        ("door radius=1 radius=2", "radius=2"),
        ("door frame=", "got 'frame='"),
    ],
)
def test_what_is_no_target_is_refused_with_the_reason(text, problem):
    with pytest.raises(HpeError, match="target") as refused:
        parse_target(text)
    assert problem in str(refused.value)


@pytest.mark.parametrize("texts", [[], ["door", "door radius=1"]])
def test_names_are_unique_and_there_is_at_least_one(texts):
    with pytest.raises(HpeError, match="at least one, each with a name of its own"):
        parse_targets(texts)
