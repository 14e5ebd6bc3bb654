"""Cameras whose stamps are of another time."""

import pytest

from hpe_core.people.clocks import CameraClocks, stamps_apart

S = 10**9


def test_the_camera_that_is_nearest_to_our_clock_is_right():
    assert stamps_apart({"left": -0.05 * S, "right": 3.0 * S}, 1.0) == {"right": pytest.approx(3.05)}
    assert stamps_apart({"left": -7.0 * S, "right": -0.1 * S}, 1.0) == {"left": -6.9}


def test_cameras_of_one_replayed_bag_are_far_from_our_clock_and_not_apart():
    assert stamps_apart({"left": -1e6 * S, "right": -1e6 * S + 0.2 * S}, 0.5) == {}


def test_one_camera_alone_is_never_apart():
    assert CameraClocks().apart_s("left", -50 * S, 0, 0.5) == 0.0
    assert stamps_apart({}, 0.5) == {}


def test_one_message_that_was_held_up_is_not_another_clock_but_many_are():
    clocks = CameraClocks()
    for n in range(10):
        clocks.apart_s("left", 0, n * S // 10, 0.5)
        clocks.apart_s("right", 0, n * S // 10, 0.5)
    assert clocks.apart_s("right", -2 * S, S, 0.5) == 0.0
    late = [clocks.apart_s("right", -2 * S, S + n * S // 10, 0.5) for n in range(12)]
    assert late[-1] == -2.0


def test_a_camera_that_is_gone_does_not_say_what_time_it_is():
    clocks = CameraClocks()
    clocks.apart_s("left", 0, 0, 0.5)
    assert clocks.apart_s("right", 9 * S, S, 0.5) == 9.0
    assert clocks.apart_s("right", 9 * S, 3 * S, 0.5) == 0.0
