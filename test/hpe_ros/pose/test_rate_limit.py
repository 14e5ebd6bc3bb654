"""Which stamps are taken. No ROS needed."""

import pytest

from hpe_ros.pose.rate_limit import RateLimit

MS = 10**6


def taken_ms(limit, stamps_ms):
    return [stamp for stamp in stamps_ms if limit.takes(stamp * MS)]


def test_without_a_limit_all_are_taken():
    assert taken_ms(RateLimit(0.0), [0, 0, 1, 1, 50]) == [0, 0, 1, 1, 50]


def test_every_third_of_thirty_per_second_is_ten_per_second():
    stamps = [round(i * 1000 / 30) for i in range(31)]
    assert taken_ms(RateLimit(10.0), stamps) == [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]


@pytest.mark.parametrize("max_hz", [4.0, 10.0, 20.0, 30.0])
def test_jitter_of_the_stamps_does_not_lower_the_rate(max_hz):
    stamps = [round(i * 1000 / 30) + (3 if i % 2 else 0) for i in range(301)]
    assert len(taken_ms(RateLimit(max_hz), stamps)) == pytest.approx(10 * max_hz, abs=2)


def test_a_bag_that_loops_starts_again():
    assert taken_ms(RateLimit(1.0), [5000, 5500, 0, 500, 1000]) == [5000, 0, 1000]


def test_after_a_gap_the_next_image_is_taken_and_no_burst_follows():
    assert taken_ms(RateLimit(10.0), [0, 5000, 5010, 5040, 5100, 5140, 5200]) == [0, 5000, 5100, 5200]


def test_a_changed_limit_counts_at_once():
    limit = RateLimit(0.1)
    assert taken_ms(limit, [0, 100, 200]) == [0]
    limit.max_hz = 10.0
    assert taken_ms(limit, [300, 320, 340, 400]) == [300, 400]
