"""Where ground truth is exact: slopes of estimated on true angles, bins over the full circle, and what is wrong."""

import numpy as np
import pytest

from hpe_core.evaluation.errors.bootstrap import slope_interval
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import score
from hpe_core.evaluation.report.tables import bin_tables, method_table
from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, pan_tilt

AT_M = np.array([0.0, 0.0, 1.0])
PAN, TILT = (angles.ravel() for angles in np.meshgrid(np.arange(-80.0, 81, 20), np.arange(-40.0, 41, 10)))


def turned(pan, tilt, roll=0.0):
    return pan_tilt.to_matrix(EulerDeg(yaw=pan, pitch=tilt, roll=roll))


def answer(true, estimated, exact=True, **more):
    label = Sample("a", None, "", 0, turned(*true), not exact, np.zeros(4), t_m=AT_M if exact else None)
    return Answer(label, turned(*estimated), AT_M if exact else None, **more)


def test_estimates_that_shrink_turns_have_the_slope_that_they_shrink_by():
    found = score(
        [
            answer((p, t, 10 * s), (0.9 * p + 3, 0.8 * t - 2, 10 * s))
            for p, t in zip(PAN, TILT, strict=True)
            for s in (-1, 1)
        ]
    )
    slope = found.summary["rotation"]["slope"]
    assert slope["pan"]["slope"] == pytest.approx(0.9) and slope["pan"]["ci95"] == pytest.approx([0.9, 0.9])
    assert slope["tilt"]["slope"] == pytest.approx(0.8) and slope["roll"]["slope"] == pytest.approx(1.0)
    assert slope["tilt"]["poses"] == 2 * len(PAN)


def test_slopes_leave_out_heads_that_are_turned_further():
    near = [answer((p, t), (p, t)) for p, t in zip(PAN, TILT, strict=True)]
    far = [answer((170, 0), (0, 0)), answer((0, 70), (0, 0))]
    slope = score(near + far).summary["rotation"]["slope"]
    assert slope["pan"] | {"ci95": None} == {"slope": pytest.approx(1.0), "ci95": None, "poses": len(PAN)}


def test_labels_that_are_not_exact_have_no_slope_and_still_heads_neither():
    loose = score([answer((p, t), (p, t), exact=False) for p, t in zip(PAN, TILT, strict=True)]).summary
    assert loose["rotation"]["slope"] is None
    still = score([answer((p, 0), (p, 0)) for p in PAN]).summary["rotation"]["slope"]
    assert still["tilt"] is None and still["pan"]["slope"] == pytest.approx(1)


def test_the_back_of_a_head_is_in_its_own_bin_and_tilt_is_defined_in_profile():
    found = score([answer((170, 0), (170, 10)), answer((90, 40), (90, 35))]).summary["by"]
    pans = {(b["from"], b["ground_truth_heads"]): b["geodesic_deg"]["mean"] for b in found["pan_deg"]}
    assert pans == {(90, 1): pytest.approx(5), (150, 1): pytest.approx(10)}
    tilts = {(b["from"], b["ground_truth_heads"]): b["geodesic_deg"]["mean"] for b in found["tilt_deg"]}
    assert tilts == {(-15, 1): pytest.approx(10), (30, 1): pytest.approx(5)}


def test_an_error_of_four_standard_deviations_is_wrong_and_one_of_two_is_not():
    covariance = np.diag([1.0] * 3 + [np.radians(2.0) ** 2] * 3)
    answers = [answer((0, 0), (0, tilt), covariance=covariance) for tilt in (8, -4, 4, 0)]
    result = score(answers)
    assert result.summary["uncertainty"]["rotation"]["beyond_3_std"] == 0.25
    result.summary["faces_from"] = "x"
    header, (row,) = method_table({"m": result})
    assert row[header.index("beyond 3 std")] == "25 %"
    assert set(bin_tables({"m": result})) == {"|yaw|", "tilt"}


def test_the_interval_of_a_slope_holds_it_and_narrows_with_the_noise():
    rng = np.random.default_rng(0)
    x = rng.uniform(-50, 50, 400)
    for noise in (10.0, 1.0):
        low, high = slope_interval(x, 0.9 * x + rng.normal(0, noise, 400), block=1)
        assert low < 0.9 < high and high - low < 0.015 * noise


def test_pan_and_tilt_are_wrapped_at_the_back():
    result = score([answer((179, 0), (-179, 0))])
    assert result.scores.errors["facing_mae_deg"][0] == pytest.approx([2, 0, 0], abs=1e-9)
    assert np.degrees(so3.geodesic_angle(turned(179, 0), turned(-179, 0))) == pytest.approx(2)
