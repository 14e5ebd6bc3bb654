"""Decisions as tables: what a face does over time, and what is said about it.

One row per stretch of frames at 10 Hz: how long (s), what is seen, and the states during it as runs. Settings: enter
15 and exit 20 degrees, start and stop dwell 0.3 s, stale after 0.5 s, at least 48 px, at most 12 degrees of spread.
"""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.decision import Attention, Head, State, focus_of
from hpe_core.attention.targets import PlacedTarget
from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import HeadPose

CONFIG = AttentionConfig()
STEP_NS = 100_000_000
CAMERA = PlacedTarget("camera", np.zeros(3), 0.0)
BEFORE = {"camera": State.UNKNOWN}


def head(yaw, std_deg=2.0, px=120.0, face_id="face_a", covariance=True):
    """A head 1 m before the camera, turned by yaw degrees, with a rotation uncertain by std_deg."""
    spread = np.diag([1e-4] * 3 + [np.radians(std_deg) ** 2] * 3) if covariance else None
    return Head(face_id, HeadPose(aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0)), [0.0, 0.0, 1.0], spread), px)


def played(rows, attention=None, target=CAMERA):
    """(states per row as lists of words, one per frame, events as 'stamp kind [reason]') of rows (frames, heads)."""
    attention = attention or Attention(CONFIG)
    frame, states, events = 0, [], []
    for count, heads in rows:
        row = []
        for _ in range(count):
            judged, changes = attention.update(frame * STEP_NS, heads, [target])
            row += [j.state.value for j in judged] or ["-"]
            events += [f"{e.stamp_ns / 1e9:.1f} {e.kind} {e.reason}".strip() for e in changes]
            frame += 1
        states.append(row)
    return states, events


def runs(words):
    """'2 unknown, 3 looking' for a list of words."""
    return ", ".join(f"{len(list(group))} {word}" for word, group in itertools.groupby(words))


AT_ME, ASIDE, BETWEEN = [head(0)], [head(45)], [head(17.5)]
SMALL, VAGUE, BARE, NOBODY = [head(0, px=47.0)], [head(0, std_deg=13.0)], [head(0, covariance=False)], []

SCENARIOS = {
    "somebody looks and turns away": (
        [(5, AT_ME, "3 unknown, 2 looking"), (5, ASIDE, "3 looking, 2 away")],
        ["0.3 started", "0.8 stopped"],
    ),
    "a glance shorter than the dwell is no look": (
        [(5, ASIDE, "3 unknown, 2 away"), (3, AT_ME, "3 away"), (4, ASIDE, "4 away")],
        [],
    ),
    "a glance aside shorter than the dwell does not end the look": (
        [(5, AT_ME, "3 unknown, 2 looking"), (3, ASIDE, "3 looking"), (4, AT_ME, "4 looking")],
        ["0.3 started"],
    ),
    "between enter and exit angle a look goes on but does not start": (
        [
            (5, BETWEEN, "3 unknown, 2 away"),
            (5, AT_ME, "3 away, 2 looking"),
            (9, BETWEEN, "9 looking"),
            (5, ASIDE, "3 looking, 2 away"),
            (9, BETWEEN, "9 away"),
        ],
        ["0.8 started", "2.2 stopped"],
    ),
    "a face that is too small says nothing": (
        [(9, SMALL, "9 unknown")],
        [],
    ),
    "a face that becomes too small ends as unknown, counted from its last good frame": (
        [(5, AT_ME, "3 unknown, 2 looking"), (8, SMALL, "5 looking, 3 unknown")],
        ["0.3 started", "1.0 stopped face too small"],
    ),
    "a direction that is too uncertain says nothing": (
        [(5, AT_ME, "3 unknown, 2 looking"), (8, VAGUE, "5 looking, 3 unknown")],
        ["0.3 started", "1.0 stopped direction too uncertain"],
    ),
    "a pose without covariance says nothing": (
        [(9, BARE, "9 unknown")],
        [],
    ),
    "a missed detection is bridged": (
        [(5, AT_ME, "3 unknown, 2 looking"), (3, NOBODY, "3 looking"), (2, AT_ME, "2 looking")],
        ["0.3 started"],
    ),
    "a missed detection while the dwell runs is bridged too": (
        [(2, AT_ME, "2 unknown"), (1, NOBODY, "1 unknown"), (2, AT_ME, "2 looking")],
        ["0.3 started"],
    ),
    "who is gone is forgotten, and starts again on return": (
        [
            (5, AT_ME, "3 unknown, 2 looking"),
            (8, NOBODY, "5 looking, 3 -"),
            (5, AT_ME, "3 unknown, 2 looking"),
        ],
        ["0.3 started", "1.0 stopped not seen", "1.6 started"],
    ),
    "nobody is nothing": ([(3, NOBODY, "3 -")], []),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    rows, expected_events = SCENARIOS[name]
    states, events = played([row[:2] for row in rows])
    assert [runs(row) for row in states] == [row[2] for row in rows]
    assert events == expected_events


@pytest.mark.parametrize(
    ("yaw", "std_deg", "starts"),
    [
        (0, 2.0, True),
        (14, 2.0, True),
        (16, 2.0, False),
        (0, 11.9, True),  # straight at it, with the widest spread that is used
        (10, 2.0, True),
        (10, 11.9, False),  # the same angle, but now more likely outside than inside
    ],
)
def test_the_covariance_decides_together_with_the_angle(yaw, std_deg, starts):
    _, events = played([(6, [head(yaw, std_deg)])])
    assert bool(events) == starts


def test_a_large_target_is_looked_at_from_its_rim_on():
    wide, narrow = (PlacedTarget("screen", np.array([0.5, 0.0, 0.0]), radius) for radius in (0.5, 0.0))
    assert played([(5, AT_ME)], target=wide)[1] == ["0.3 started"]  # its middle is 27 degrees off, its rim is near 0
    assert played([(5, AT_ME)], target=narrow)[1] == []


def test_a_target_that_cannot_be_placed_is_unknown_and_says_so():
    judged, _ = Attention(CONFIG).update(0, AT_ME, [PlacedTarget("tablet", None, 0.1), CAMERA])
    assert [(j.target, j.view.problem) for j in judged] == [
        ("camera", ""),
        ("tablet", "no transform to the target"),
    ]


def test_every_face_and_target_is_judged_on_its_own():
    shelf = PlacedTarget("shelf", np.array([1.0, 0.0, 0.0]), 0.1)  # 45 degrees beside the camera
    attention = Attention(CONFIG)
    for frame in range(5):
        heads = [head(0, face_id="face_b"), head(-45, face_id="face_a")]
        judged, _ = attention.update(frame * STEP_NS, heads, [CAMERA, shelf])
    assert {(j.face_id, j.target): j.state.value for j in judged} == {
        ("face_a", "camera"): "away",
        ("face_a", "shelf"): "looking",
        ("face_b", "camera"): "looking",
        ("face_b", "shelf"): "away",
    }
    assert focus_of(judged) == {"face_a": "shelf", "face_b": "camera"}


def test_of_two_targets_in_line_the_more_probable_one_has_the_focus():
    near = PlacedTarget("near", np.array([0.1, 0.0, 0.0]), 0.0)
    attention = Attention(CONFIG)
    for frame in range(5):
        judged, _ = attention.update(frame * STEP_NS, AT_ME, [near, CAMERA])
    assert [j.state for j in judged] == [State.LOOKING, State.LOOKING]
    assert focus_of(judged) == {"face_a": "camera"}


def test_a_bag_that_starts_again_ends_the_looks_and_gives_the_same_answers_again():
    attention = Attention(CONFIG)
    first = played([(5, AT_ME), (5, ASIDE), (5, AT_ME)], attention)
    second = played([(5, AT_ME), (5, ASIDE), (5, AT_ME)], attention)
    assert second[0] == first[0]
    assert second[1] == ["1.4 stopped stamps jumped back", *first[1]]


def test_a_message_out_of_order_changes_nothing():
    attention = Attention(CONFIG)
    played([(5, AT_ME)], attention)
    judged, events = attention.update(2 * STEP_NS, ASIDE, [CAMERA])
    assert (judged[0].state, events) == (State.LOOKING, ())


def test_when_frames_stop_every_look_ends_at_its_last_good_stamp():
    attention = Attention(CONFIG)
    played([(5, AT_ME)], attention)
    (event,) = attention.forget("no input")
    assert (event.kind, event.since_ns, event.reason) == ("stopped", 4 * STEP_NS, "no input")
    assert attention.forget("no input") == ()


def test_a_look_that_ends_as_unknown_ended_with_its_last_good_frame():
    attention = Attention(CONFIG)
    played([(5, AT_ME), (5, SMALL)], attention)
    _, (event,) = attention.update(10 * STEP_NS, SMALL, [CAMERA])
    assert (event.stamp_ns, event.since_ns) == (10 * STEP_NS, 4 * STEP_NS)


def test_a_face_of_exactly_the_least_size_is_judged():
    assert played([(5, [head(0, px=48.0)])])[1] == ["0.3 started"]


def test_an_unknown_pixel_size_does_not_forbid_a_decision():
    assert played([(5, [head(0, px=None)])])[1] == ["0.3 started"]


def test_an_exit_angle_below_the_enter_angle_is_refused():
    with pytest.raises(HpeError, match="exit_deg must not be below enter_deg, got 10 and 15"):
        AttentionConfig(exit_deg=10.0)


def test_the_example_of_the_documentation_tells_that_looking_starts(capsys):
    page = (Path(__file__).parents[3] / "docs" / "attention.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out == "started face_a camera\n"


@pytest.mark.parametrize("seen, expected", [(None, "looking"), (0.5, "looking"), (0.49, "unknown")])
def test_a_head_whose_face_cannot_be_seen_does_not_look(seen, expected):
    ((*_, last),), events = played([(8, [replace(head(0.0), face_visibility=seen)])])
    assert last == expected and len(events) == (expected == "looking")


def test_a_head_turned_away_that_points_elsewhere_is_away():
    ((*_, last),), _ = played([(8, [replace(head(130.0), face_visibility=0.01)])])
    assert last == "away"


def test_looking_stops_when_the_face_can_no_longer_be_seen():
    turned = replace(head(0.0), face_visibility=0.1)
    _, events = played([(8, [head(0.0)]), (10, [turned])])
    assert events == ["0.3 started", "1.3 stopped face turned away"]
