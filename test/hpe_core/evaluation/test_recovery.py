"""Bags with known injected errors: the evaluation finds each of them, within a stated tolerance."""

import numpy as np
import pytest

from hpe_core.evaluation.streams.matching import MatchOptions
from hpe_core.geometry import euler, so3


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    return euler.aflw2000.to_matrix(euler.EulerDeg(yaw, pitch, roll))


def test_a_perfect_estimate_has_no_error(pose_bag, synthetic, evaluated):
    truth = synthetic.motion(10)
    found = evaluated(pose_bag({"/truth": truth, "/est": truth}))
    assert found["rotation"]["geodesic_deg"]["max"] < 1e-5
    assert found["translation"]["error_mm"]["max"] < 1e-6
    assert found["detection"]["recall"] == found["detection"]["precision"] == 1.0
    assert found["looking_at"]["camera"]["f1"] == 1.0


def test_seven_degrees_about_one_axis_are_seven_degrees_of_geodesic_error(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(10)
    wrong = R @ so3.matrix_from_rotvec(np.radians([0.0, 7.0, 0.0]))
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps, wrong, t)}))["rotation"]
    assert found["geodesic_deg"]["mean"] == pytest.approx(7.0, abs=1e-6)
    assert found["geodesic_deg"]["ci95"] == pytest.approx([7.0, 7.0], abs=1e-6)
    # two of the three columns turn by 7 degrees, the axis stays
    assert found["maev_deg"]["mean"] == pytest.approx(14.0 / 3.0, abs=1e-6)


def test_yaw_error_of_an_upright_frontal_head_is_yaw_alone(pose_bag, synthetic, evaluated):
    stamps, _, t = synthetic.motion(5)
    still = np.broadcast_to(np.eye(3), (len(stamps), 3, 3))
    found = evaluated(pose_bag({"/truth": (stamps, still, t), "/est": (stamps, still @ turned(yaw=4.0), t)}))
    mae = found["rotation"]["euler_mae_deg"]
    assert [mae["yaw"], mae["pitch"], mae["roll"]] == pytest.approx([4.0, 0.0, 0.0], abs=1e-6)
    assert found["time"]["offset_s"] is None and "hardly turns" in found["time"]["reason"]


def test_thirty_millimetres_sideways_and_forty_in_depth_make_fifty(pose_bag, synthetic, evaluated):
    stamps, R, _ = synthetic.motion(5)
    t = np.tile([0.0, 0.0, 1.0], (len(stamps), 1))
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps, R, t + [0.03, 0.0, 0.04])}))["translation"]
    assert found["error_mm"]["mean"] == pytest.approx(50.0, abs=1e-6)
    assert found["depth_mm"]["mean"] == pytest.approx(40.0, abs=1e-6)
    assert found["lateral_mm"]["mean"] == pytest.approx(30.0, abs=1e-5)
    assert found["depth_percent"]["mean"] == pytest.approx(4.0, abs=1e-6)
    assert found["bias_xyz_mm"] == pytest.approx([30.0, 0.0, 40.0], abs=1e-6)
    assert found["add_mm"]["mean"] == pytest.approx(50.0, abs=1e-6)


@pytest.mark.parametrize("offset_s", [-0.37, 0.012, 0.25, 0.8])
def test_clock_offset_is_recovered_within_three_milliseconds(pose_bag, synthetic, evaluated, offset_s):
    stamps, R, t = synthetic.motion(20)
    late = stamps + round(offset_s * 1e9)  # the estimate's clock is ahead by the offset
    bag = pose_bag({"/truth": (stamps, R, t), "/est": (late, R, t)})
    reported = evaluated(bag)
    assert reported["time"]["offset_s"] == pytest.approx(offset_s, abs=0.003)
    assert not reported["time"]["applied"]
    assert reported["rotation"]["geodesic_deg"]["mean"] > 0.2  # never applied by itself
    applied = evaluated(bag, apply_offset=True)
    assert applied["rotation"]["geodesic_deg"]["mean"] < 0.1
    assert applied["time"]["lag_s"] == pytest.approx(0.0, abs=0.003)


def test_offset_is_found_in_spite_of_one_degree_of_jitter_and_a_frame_offset(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(30)
    noise = so3.matrix_from_rotvec(np.radians(np.random.default_rng(1).normal(0, 1.0, (len(R), 3))))
    marker = turned(yaw=20, pitch=-10)
    bag = pose_bag({"/truth": (stamps, R, t), "/est": (stamps + 120_000_000, R @ marker @ noise, t)})
    assert evaluated(bag)["time"]["offset_s"] == pytest.approx(0.120, abs=0.010)


def test_lag_of_a_smoothing_filter_is_its_time_constant(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(30)
    smoothed, state, weight = [], R[0], 1.0 - np.exp(-1.0 / (30 * 0.1))  # first order, 0.1 s
    for R_true in R:
        state = state @ so3.matrix_from_rotvec(weight * so3.rotvec_from_matrix(state.T @ R_true))
        smoothed.append(state)
    # the discrete filter of weight w lags (1 - w) / w samples behind slow motion
    expected = (1.0 - weight) / weight / 30.0
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps, np.array(smoothed), t)}))
    assert found["time"]["lag_s"] == pytest.approx(expected, abs=0.01)


def test_jitter_is_recovered_within_ten_percent(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(40)
    rng = np.random.default_rng(3)
    noise = so3.matrix_from_rotvec(np.radians(rng.normal(0, 0.8, (len(R), 3))))
    shaken = t + rng.normal(0, 0.003, t.shape)
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps, R @ noise, shaken)}))["stability"]
    assert found["jitter"]["rotation_deg_per_axis"] == pytest.approx(0.8, rel=0.1)
    assert found["jitter"]["translation_mm_per_axis"] == pytest.approx(3.0, rel=0.1)
    differences = found["second_difference_deg"]
    # second differences of white noise have six times its variance, on three axes
    assert differences["estimate"]["rmse"] == pytest.approx(0.8 * np.sqrt(18), rel=0.1)
    assert differences["ground_truth"]["rmse"] < 0.2


def test_frame_offset_of_a_marker_is_found_on_one_part_and_removed_on_the_other(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(30)
    R_head_marker = turned(yaw=12, pitch=-7, roll=3)
    lever = np.array([0.02, -0.12, 0.05])
    marker = (stamps, R @ R_head_marker, t + R @ lever)  # the truth is the marker's pose
    found = evaluated(pose_bag({"/truth": marker, "/est": (stamps, R, t)}))["frame_alignment"]
    assert found["before"]["geodesic_deg"]["mean"] == pytest.approx(
        np.degrees(so3.geodesic_angle(R_head_marker, np.eye(3))), abs=1e-4
    )
    assert found["after"]["geodesic_deg"]["max"] < 0.01
    assert found["before"]["error_mm"]["mean"] == pytest.approx(1e3 * np.linalg.norm(lever), abs=1e-3)
    assert found["after"]["error_mm"]["max"] < 0.1
    assert (found["fitted_on"], found["held_out"]) == (180, 720)


def test_calibration_is_never_scored_on_its_own_frames(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(20)
    part = len(R) // 5
    early = R.copy()
    early[:part] = early[:part] @ turned(yaw=10)  # wrong only where the offset is fitted
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps, early, t)}))["frame_alignment"]
    assert found["before"]["geodesic_deg"]["mean"] < 1e-4
    assert found["after"]["geodesic_deg"]["mean"] == pytest.approx(10.0, abs=0.01)


def test_every_dropout_is_a_missed_head_and_a_missing_message(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(10)
    keep = np.ones(len(stamps), bool)
    keep[50:62] = keep[200] = False
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps[keep], R[keep], t[keep])}))
    assert (found["detection"]["missed"], found["detection"]["matched"]) == (13, 287)
    assert found["detection"]["recall"] == pytest.approx(287 / 300)
    low, high = found["detection"]["recall_ci95"]
    assert low < 287 / 300 < high <= 1.0
    assert (found["stream"]["dropouts"], found["stream"]["dropped"]) == (2, 13)
    assert found["rotation"]["geodesic_deg"]["mean_failures_as_mean_pose"] > 0.5


def test_dropouts_count_too_when_truth_has_other_stamps(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(10)
    keep = np.ones(len(stamps), bool)
    keep[50:62] = False
    fine, R_fine, t_fine = synthetic.motion(10, rate_hz=120)  # motion capture, other clock phase
    fine = fine + 1_234_567
    R_fine, t_fine = synthetic.head_at(fine)
    bag = pose_bag({"/truth": (fine, R_fine, t_fine), "/est": (stamps[keep], R[keep], t[keep])})
    found = evaluated(bag)
    assert found["detection"]["missed"] in (12, 13)  # the frame before the first truth may be one more
    assert found["rotation"]["geodesic_deg"]["max"] < 0.01  # slerp between samples 8 ms apart


def test_latency_from_stamp_to_log(pose_bag, synthetic, evaluated):
    truth = synthetic.motion(3)
    found = evaluated(pose_bag({"/truth": truth, "/est": truth}, delay_s=0.042))
    assert found["latency_ms"]["median"] == pytest.approx(42.0, abs=1e-3)


def two_people(synthetic, seconds=10):
    first = synthetic.motion(seconds, centre=(-0.4, 0.0, 1.0))
    second = synthetic.motion(seconds, centre=(0.4, 0.0, 1.2), phase=5.0)
    return first, second


def test_one_swap_of_ids_is_two_switches_and_no_error(write_bag, synthetic, evaluated):
    (stamps, *a), (_, *b) = two_people(synthetic)
    entries = []
    for i, stamp in enumerate(stamps):
        first, second = (a[0][i], a[1][i]), (b[0][i], b[1][i])
        names = ("face_a", "face_b") if i < 150 else ("face_b", "face_a")
        entries.append(("/truth", stamp, synthetic.detections(stamp, [("anna", *first), ("ben", *second)])))
        entries.append(("/est", stamp, synthetic.detections(stamp, [(names[0], *first), (names[1], *second)])))
    found = evaluated(write_bag(entries))
    assert found["detection"]["id_switches"] == 2
    assert found["detection"]["matched"] == 600
    assert found["rotation"]["geodesic_deg"]["max"] < 1e-5


def test_faces_are_matched_by_position_whatever_their_order(write_bag, synthetic, evaluated):
    (stamps, *a), (_, *b) = two_people(synthetic)
    entries = []
    for i, stamp in enumerate(stamps):
        people = [(a[0][i], a[1][i]), (b[0][i], b[1][i])]
        entries.append(("/truth", stamp, synthetic.pose_array(stamp, people[:: 1 if i % 3 else -1])))
        entries.append(("/est", stamp, synthetic.pose_array(stamp, people[:: 1 if i % 2 else -1])))
    found = evaluated(write_bag(entries))
    assert found["detection"]["matched"] == 600 and found["detection"]["ground_truth_tracks"] == 2
    assert found["rotation"]["geodesic_deg"]["max"] < 1e-5
    assert found["detection"]["id_switches"] is None  # a PoseArray has no ids


def test_a_ghost_is_false_poses_and_a_false_track(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(5)
    entries = []
    for i, stamp in enumerate(stamps):
        entries.append(("/truth", stamp, synthetic.detections(stamp, [("anna", R[i], t[i])])))
        ghost = [("face_b", R[i], t[i] + [0.8, 0, 0])] if i >= 100 else []
        entries.append(("/est", stamp, synthetic.detections(stamp, [("face_a", R[i], t[i]), *ghost])))
    found = evaluated(write_bag(entries))["detection"]
    assert (found["false_positives"], found["false_positive_tracks"], found["matched"]) == (50, 1, 150)


def test_honest_covariance_has_nees_of_one_and_its_coverage(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(60)
    rng = np.random.default_rng(5)
    spread = np.diag([0.01, 0.01, 0.03, 0.03, 0.05, 0.04])
    tilt = np.eye(6) + 0.4 * np.tril(rng.normal(size=(6, 6)), -1)
    root = tilt @ spread
    error = rng.normal(size=(len(R), 6)) @ root.T  # true = estimate + error
    wrong = so3.matrix_from_rotvec(-error[:, 3:]) @ R
    entries = []
    for i, stamp in enumerate(stamps):
        entries.append(("/truth", stamp, synthetic.pose_stamped(stamp, R[i], t[i])))
        covariance = root @ root.T
        estimate = synthetic.pose_with_covariance(stamp, wrong[i], t[i] - error[i, :3], covariance)
        entries.append(("/est", stamp, estimate))
    found = evaluated(write_bag(entries))["uncertainty"]
    for part in ("pose", "translation", "rotation"):
        assert found[part]["nees_over_dof"] == pytest.approx(1.0, abs=0.08)
        assert found[part]["coverage"]["0.95"] == pytest.approx(0.95, abs=0.02)
        assert found[part]["coverage"]["0.5"] == pytest.approx(0.5, abs=0.04)


def test_flicker_of_looking_at_is_counted_per_minute(pose_bag, synthetic, evaluated):
    stamps, _, _ = synthetic.motion(20)
    t = np.tile([0.0, 0.0, 1.0], (len(stamps), 1))
    still = np.broadcast_to(np.eye(3), (len(stamps), 3, 3)).copy()
    flickering = still.copy()
    away = (np.arange(len(stamps)) // 60) % 2 == 1  # 2 s to, 2 s from the camera: 9 changes in 20 s
    flickering[away] = turned(yaw=40)
    found = evaluated(pose_bag({"/truth": (stamps, still, t), "/est": (stamps, flickering, t)}))["looking_at"]["camera"]
    assert found["changes_per_minute"]["ground_truth"] == 0.0
    assert found["changes_per_minute"]["estimate"] == pytest.approx(27.0, rel=0.01)
    assert found["recall"] == pytest.approx(0.5) and found["precision"] == 1.0


def test_without_truth_a_resting_head_shows_its_jitter(pose_bag, synthetic, evaluated):
    stamps, _, _ = synthetic.motion(30)
    rng = np.random.default_rng(7)
    R = so3.matrix_from_rotvec(np.radians(rng.normal(0, 0.3, (len(stamps), 3))))
    t = [0.0, 0.0, 1.0] + rng.normal(0, 0.002, (len(stamps), 3))
    keep = np.ones(len(stamps), bool)
    keep[300:310] = False
    bag = pose_bag({"/est": (stamps[keep], R[keep], t[keep])}, delay_s=0.03)
    found = evaluated(bag, truth=None)
    assert found["stability"]["static_jitter"]["rotation_deg_per_axis"] == pytest.approx(0.3, rel=0.15)
    assert found["stability"]["static_jitter"]["translation_mm_per_axis"] == pytest.approx(2.0, rel=0.15)
    assert found["stability"]["static_jitter"]["share"] > 0.5
    assert (found["stream"]["dropouts"], found["stream"]["dropped"]) == (1, 10)
    assert found["stream"]["rate_hz"] == pytest.approx(30.0, rel=1e-3)
    assert found["latency_ms"]["median"] == pytest.approx(30.0, abs=1e-3)


def test_without_truth_motion_is_not_taken_for_jitter(pose_bag, synthetic, evaluated):
    found = evaluated(pose_bag({"/est": synthetic.motion(20)}), truth=None)["stability"]["static_jitter"]
    assert found["samples"] == 0 or found["rotation_deg_per_axis"] < 0.3


def test_bins_hold_every_true_head_once(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(20)
    keep = np.arange(len(stamps)) % 10 != 0
    found = evaluated(pose_bag({"/truth": (stamps, R, t), "/est": (stamps[keep], R[keep], t[keep])}))
    for name in ("yaw_deg", "distance_m", "time_s"):
        assert sum(part["ground_truth_heads"] for part in found["by"][name]) == 600
    assert found["by"]["face_size_px"] == []  # no camera, no size


def test_every_frame_and_every_pose_is_accounted_for(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(10)
    entries = []
    for i, stamp in enumerate(stamps):
        if not 100 <= i < 150:  # the truth has a hole
            entries.append(("/truth", stamp, synthetic.pose_stamped(stamp, R[i], t[i])))
        if i % 7:
            place = t[i] + ([1.0, 0, 0] if i % 11 == 0 else [0, 0, 0])
            entries.append(("/est", stamp, synthetic.pose_stamped(stamp, R[i], place)))
    found = evaluated(write_bag(entries), match=MatchOptions())
    counts, status = found["detection"], found["rows"]["status"]
    # in the hole, the 7 moments without an estimate are no frames: nothing says that there was one
    assert counts["frames"] == 293 and counts["frames_without_ground_truth"] == 43
    assert counts["matched"] + counts["missed"] == counts["ground_truth_heads"] == 250
    assert counts["matched"] + counts["false_positives"] + counts["skipped_poses"] == counts["poses"]
    assert sum(counts["skipped"].values()) == counts["skipped_poses"]
    for name, count in (("matched", "matched"), ("missed", "missed"), ("false positive", "false_positives")):
        assert np.sum(status == name) == counts[count]
    assert len(np.unique(found["rows"]["frame"])) == 293
