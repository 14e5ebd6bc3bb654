"""Plain twins and hand calculations of the small functions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp
from scipy.stats import chi2

from hpe_core.evaluation.errors import attention, bootstrap, frame_offset, metrics, stability, uncertainty
from hpe_core.evaluation.errors.interpolation import interpolate
from hpe_core.evaluation.errors.time_offset import _cross_correlation
from hpe_core.evaluation.images import dataset as image_dataset
from hpe_core.evaluation.images import scores as image_scores
from hpe_core.evaluation.report import tables
from hpe_core.evaluation.streams import rows as bag_rows
from hpe_core.geometry import euler
from hpe_core.geometry.head import REFERENCE_POINTS_M


def rotations(count, seed=0):
    return Rotation.random(count, random_state=seed).as_matrix()


def test_interpolation_is_scipys_slerp():
    stamps, R = np.array([0, 100, 250, 300]), rotations(4)
    t = np.arange(12.0).reshape(4, 3)
    at = np.array([0, 10, 99, 100, 180, 299, 300])
    found, place, valid = interpolate(stamps, R, t, at, 150)
    assert valid.all()
    np.testing.assert_allclose(found, Slerp(stamps, Rotation.from_matrix(R))(at).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(place[:, 0], np.interp(at, stamps, t[:, 0]))


def test_nothing_is_extrapolated_nor_bridged_over_a_long_gap():
    stamps, R = np.array([0, 100, 250]), rotations(3)
    _, _, valid = interpolate(stamps, R, np.zeros((3, 3)), np.array([-1, 50, 100, 175, 250, 251]), 100)
    assert valid.tolist() == [False, True, True, False, True, False]
    assert not interpolate(stamps[:0], R[:0], np.zeros((0, 3)), np.array([5]), 100)[2].any()


def test_maev_and_add_agree_with_loops():
    R, R_true, rng = rotations(5, 1), rotations(5, 2), np.random.default_rng(0)
    t, t_true = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    for i in range(5):
        angles = [np.degrees(np.arccos(R[i, :, k] @ R_true[i, :, k])) for k in range(3)]
        assert metrics.maev_deg(R, R_true)[i] == pytest.approx(np.mean(angles))
        moved = [np.linalg.norm(R[i] @ p + t[i] - R_true[i] @ p - t_true[i]) for p in REFERENCE_POINTS_M]
        assert metrics.add_m(R, t, R_true, t_true)[i] == pytest.approx(np.mean(moved))


def test_an_error_of_200_degrees_of_roll_is_160_the_other_way_and_170_stays_170():
    def roll(*angles):
        zero = np.zeros(len(angles))
        return euler.aflw2000.to_matrix(euler.EulerDeg(zero, zero, np.array(angles, float)))

    error = metrics.euler_error_deg(roll(100, 85), roll(-100, -85))
    np.testing.assert_allclose(error[:, 2], [-160, 170], atol=1e-9)


def test_nees_agrees_with_a_loop_and_unknown_stays_unknown():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 6, 6))
    C, error = root @ np.swapaxes(root, 1, 2), rng.normal(size=(4, 6))
    C[2] = np.nan
    C[3, 0] = C[3, :, 0] = 0.0  # singular
    found = uncertainty.nees(error, C)
    for i in range(2):
        assert found[i] == pytest.approx(error[i] @ np.linalg.inv(C[i]) @ error[i])
    assert np.isnan(found[2:]).all()


def test_an_interval_over_people_ignores_how_often_each_was_photographed():
    rng = np.random.default_rng(2)
    errors, names = rng.normal(5.0, 2.0, 60), [f"p{i:02d}" for i in range(60)]
    once = bootstrap.group_interval(errors, names)
    assert once == pytest.approx(bootstrap.group_interval(np.repeat(errors, 5), np.repeat(names, 5)))
    assert once == pytest.approx(bootstrap.interval(np.mean, errors), abs=0.1)
    assert np.ptp(bootstrap.interval(np.mean, np.repeat(errors, 5))) < 0.6 * np.ptp(once)
    assert bootstrap.group_interval(errors, ["p"] * 60) is None


def test_coverage_level_is_the_chi_square_quantile():
    error = np.zeros((1, 6))
    error[0, 0] = np.sqrt(chi2.ppf(0.9, 3)) * 0.999
    found = uncertainty.consistency(error, np.eye(6)[None])["translation"]["coverage"]
    assert (found["0.9"], found["0.6827"]) == (1.0, 0.0)


def test_interval_of_the_mean_covers_it_in_about_95_of_100_draws():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        low, high = bootstrap.mean_interval(rng.normal(3.0, 1.0, 400), block=5)
        hits += low <= 3.0 <= high
    assert 85 <= hits <= 100


def test_interval_grows_with_correlation_and_is_none_for_few():
    rng = np.random.default_rng(3)
    slow = np.repeat(rng.normal(size=40), 30)
    wide = np.ptp(bootstrap.mean_interval(slow))
    narrow = np.ptp(bootstrap.mean_interval(rng.permutation(slow)))
    assert wide > 3 * narrow
    assert bootstrap.mean_interval([1.0]) is None


def test_frame_offset_is_not_pulled_by_outliers():
    R_true, offset = rotations(100), Rotation.from_euler("XYZ", [5, 10, 15], degrees=True).as_matrix()
    R, t_true = R_true @ offset, np.random.default_rng(0).normal(size=(100, 3))
    t = t_true + R_true @ [0.0, 0.1, 0.0]
    R[:20], t[:20] = rotations(20, 9), 5.0
    found = frame_offset.fit(R, t, R_true, t_true)
    assert metrics.geodesic_deg(found.R, offset) < 0.1
    np.testing.assert_allclose(found.t_m, [0, 0.1, 0], atol=1e-6)
    assert frame_offset.fit(R[:5], t[:5], R_true[:5], t_true[:5]) is None


def test_a_metric_with_a_title_stands_in_every_table_and_frames_csv():
    titled = [metric for metric in metrics.METRICS if metric.title]
    assert "MAEV (deg)" in [metric.title for metric in titled]
    for metric in titled:
        entry = (metric.title, f"{metric.part}.{metric.name}.mean")
        assert entry in tables.ROWS and entry in tables.COLUMNS
        for columns in (bag_rows.ROW_COLUMNS, image_scores.COLUMNS, image_dataset.COLUMNS):
            assert set(metric.columns) <= set(columns)


def test_f1_by_hand():
    looks, truth = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    found = attention.agreement(looks, truth, missed_looks=1)
    assert (found["precision"], found["recall"]) == (2 / 3, 2 / 4)
    assert found["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert attention.agreement(looks[:0], truth[:0])["f1"] is None


def test_rate_of_a_stream_with_one_hole():
    stamps = np.array([0, 10, 20, 60, 70]) * 1_000_000
    found = stability.rate(stamps)
    assert (found["dropouts"], found["dropped"]) == (1, 3)
    assert found["rate_hz"] == pytest.approx(100.0) and found["longest_gap_s"] == pytest.approx(0.04)
    assert stability.rate(stamps[:1])["rate_hz"] is None


def test_a_flip_of_the_head_is_a_jump_unless_time_has_passed():
    R = np.stack([np.eye(3), np.diag([-1.0, 1.0, -1.0]), np.eye(3)])
    assert stability.jumps(R, np.array([0, 1, 100]), max_gap_ns=10) == 1


def test_constant_turning_has_no_second_difference():
    R = euler.axis_turn(1, 0.1 * np.arange(10))
    np.testing.assert_allclose(stability.second_difference_deg(R), 0.0, atol=1e-9)


def test_cross_correlation_by_fft_agrees_with_a_loop():
    a, b = np.random.default_rng(4).normal(size=(2, 30))
    expected = [sum(a[i + s] * b[i] for i in range(30) if 0 <= i + s < 30) for s in range(-7, 8)]
    np.testing.assert_allclose(_cross_correlation(a, b, 7), expected, atol=1e-12)


def test_chi_square_quantile_is_scipys():
    assert uncertainty.chi_square_quantile(0.9, 3) == pytest.approx(chi2.ppf(0.9, 3))
