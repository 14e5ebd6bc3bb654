import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.output.histogram import LARGEST, MOST_BINS, RELATIVE_ERROR, SMALLEST, LogHistogram


def filled(values):
    histogram = LogHistogram()
    for value in values:
        histogram.add(value)
    return histogram


@pytest.mark.parametrize("count", [1, 2, 5, 10_000])
@pytest.mark.parametrize("spread", [0.01, 0.3, 2.0])
def test_percentiles_of_random_latencies_are_those_of_numpy_to_half_a_percent(count, spread):
    seconds = 0.01 * np.exp(spread * np.random.default_rng(count).normal(size=count))
    histogram = filled(seconds.tolist())
    for q in (0, 5, 50, 95, 99, 100):
        assert histogram.percentile(q) == pytest.approx(np.percentile(seconds, q), rel=0.005)


@given(st.lists(st.floats(SMALLEST, LARGEST) | st.just(0.0), min_size=1), st.integers(0, 20), st.integers(0, 100))
def test_percentiles_of_any_numbers_and_zeros_are_those_of_numpy(values, zeros, q):
    expected = np.percentile(values + [0.0] * zeros, q)
    assert filled(values).percentile(q, zeros) == pytest.approx(expected, rel=RELATIVE_ERROR + 1e-9, abs=1e-12)


def test_more_numbers_of_the_same_range_take_no_more_bins():
    histogram = filled(np.geomspace(1e-9, 1e9, 50_000).tolist())
    bins = len(histogram._counts)
    for value in np.geomspace(1e-9, 1e9, 1_000).tolist() * 10:
        histogram.add(value)
    assert len(histogram._counts) == bins <= MOST_BINS
    assert histogram.count == 60_000


def test_what_lies_outside_the_range_counts_as_nothing_or_as_the_largest():
    assert filled([1e-9]).percentile(50) == 0.0
    assert filled([1e12]).percentile(50) == pytest.approx(LARGEST, rel=RELATIVE_ERROR)
