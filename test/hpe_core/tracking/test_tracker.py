from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from hpe_core.config import TrackerConfig
from hpe_core.face_id import SLOTS, FaceIds
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import box_from_pose
from hpe_core.tracking.assignment import cheapest_pairs
from hpe_core.tracking.tracker import (
    FEW_PAIRS,
    MISSED_COST,
    UNPAIRED_COST,
    UNSURE_COST,
    Tracker,
    pair_costs,
    sure_pairs,
)
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel(1280, 720, [[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]])
COVARIANCE = np.diag([0.005, 0.005, 0.05, 0.05, 0.05, 0.05]) ** 2
FRAME_NS = 33_333_333
SEED = 7
_FROM_SEED = FaceIds(SEED)
IDS = [_FROM_SEED.take() for _ in range(100)]  # in the order in which a tracker gives them
A, B, C, *_ = IDS


def face(x, z, score=0.9, y=0.0, yaw=0.0):
    R, t = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=0.0, roll=0.0)), np.array([x, y, z])
    return Face(HeadPose(R, t, COVARIANCE), score, box_from_pose(CAMERA, R, t))


def ids(tracked):
    return [f.face_id for f in tracked]


def id_at(tracked, x, z):
    """Id of the tracked face nearest to (x, 0, z)."""
    return min(tracked, key=lambda f: np.linalg.norm(f.pose.t_camera_head_m - [x, 0, z])).face_id


def test_ids_are_given_in_the_order_of_the_faces():
    tracked, untracked = Tracker(TrackerConfig(id_seed=SEED)).update([face(0.5, 1), face(-0.5, 1), face(0.0, 1)], 0)
    assert ids(tracked) == [A, B, C]
    assert [f.pose.t_camera_head_m[0] for f in tracked] == [0.5, -0.5, 0.0]
    assert untracked == 0


def test_a_face_of_low_score_starts_a_track_only_when_its_crop_confirms_it():
    weak = face(0.0, 1, score=0.5)
    assert Tracker(TrackerConfig(id_seed=SEED)).update([weak], 0) == ((), 0)
    assert ids(Tracker(TrackerConfig(id_seed=SEED)).update([replace(weak, confirmed=True)], 0)[0]) == [A]


def test_faces_of_the_latest_image_are_expected_where_their_speed_takes_them():
    tracker = Tracker(TrackerConfig(id_seed=SEED, linear_acceleration_std=0.1))
    for i in range(60):  # 0.3 m/s to the right; the other face stays and is hidden in the end
        seen = [face(0.01 * i, 1)] + [face(-0.5, 1)] * (i < 59)
        tracker.update([replace(one, confirmed=True) for one in seen], i * FRAME_NS)
        assert tracker.misses_a_face == (i == 59)
    (expected,) = tracker.expected(59 * FRAME_NS + 100_000_000)
    np.testing.assert_allclose(expected.pose.t_camera_head_m, [0.59 + 0.03, 0, 1], atol=2e-3)
    for stamp_ns in (59 * FRAME_NS, 50 * FRAME_NS):  # a stamp that is a little late moves nothing back
        (again,) = tracker.expected(stamp_ns)
        np.testing.assert_allclose(again.pose.t_camera_head_m, [0.59, 0, 1], atol=2e-3)


def test_a_face_that_its_crop_does_not_confirm_is_looked_for_in_the_whole_image():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    sure, unsure = replace(face(-0.3, 1), confirmed=True), face(0.3, 1)
    tracker.update([sure, unsure], 0)
    assert [one.pose.t_camera_head_m[0] for one in tracker.expected(FRAME_NS)] == [-0.3]
    assert tracker.misses_a_face


def test_ids_follow_the_faces_and_not_their_order():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(-0.3, 1), face(0.3, 1)], 0)
    tracked, _ = tracker.update([face(0.31, 1), face(-0.29, 1)], FRAME_NS)
    assert id_at(tracked, -0.29, 1) == A
    assert id_at(tracked, 0.31, 1) == B


def test_two_faces_that_cross_at_different_depths_keep_their_ids():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    rng = np.random.default_rng(19)
    first = None
    for i, s in enumerate(np.linspace(-1, 1, 61)):
        seen = [face(0.3 * s, 1.0), face(-0.6 * s, 2.0)]
        rng.shuffle(seen)
        tracked, _ = tracker.update(seen, i * FRAME_NS)
        now = id_at(tracked, 0.3 * s, 1.0), id_at(tracked, -0.6 * s, 2.0)
        first = first or now
        assert now == first
    assert set(first) == {A, B}


def test_a_face_hidden_while_another_passes_before_it_gets_its_id_back():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    for i, s in enumerate(np.linspace(-1, 1, 61)):
        seen = [face(0.4 * s, 1.0)]
        if abs(s) > 0.3:
            seen.append(face(0.0, 2.0))
        tracked, _ = tracker.update(seen, i * FRAME_NS)
        if i == 0:
            walker, seated = id_at(tracked, -0.4, 1.0), id_at(tracked, 0.0, 2.0)
        assert id_at(tracked, 0.4 * s, 1.0) == walker
    assert id_at(tracked, 0.0, 2.0) == seated


def test_a_face_keeps_its_id_up_to_the_timeout_and_loses_it_after():
    config = TrackerConfig(id_seed=SEED, timeout_s=1.0)
    for gap_s, expected in ((0.99, A), (1.0, A), (1.01, B)):
        tracker = Tracker(config)
        tracker.update([face(0, 1)], 0)
        tracked, _ = tracker.update([face(0, 1)], round(gap_s * 1e9))
        assert ids(tracked) == [expected]


@pytest.mark.parametrize("gap_s", [2, 5, 9])
def test_with_a_long_timeout_a_face_that_comes_back_to_its_place_keeps_its_id(gap_s):
    tracker = Tracker(TrackerConfig(id_seed=SEED, timeout_s=10.0))
    for i in range(30):
        tracker.update([face(0, 1)], i * FRAME_NS)
    tracked, _ = tracker.update([face(0.05, 1)], 30 * FRAME_NS + gap_s * 1_000_000_000)
    assert ids(tracked) == [A]


def test_no_id_is_given_twice_when_one_face_times_out_and_another_is_just_in_time():
    tracker = Tracker(TrackerConfig(id_seed=SEED, timeout_s=1.0))
    tracker.update([face(-0.6, 1), face(0.6, 1)], 0)
    tracker.update([face(0.6, 1)], 500_000_000)
    crowd = [face(x, 1) for x in np.linspace(-1.8, 0.6, 9)]
    tracked, untracked = tracker.update(crowd, 1_500_000_000, most=8)  # 1.5 s and 1.0 s later
    assert (ids(tracked), untracked) == (IDS[1:9], 1)
    assert id_at(tracked, 0.6, 1) == B


def test_every_track_has_an_id_of_its_own_and_a_slot_that_one_before_it_left():
    tracker = Tracker(TrackerConfig(id_seed=SEED, timeout_s=1.0))
    for i in range(0, 100, 2):
        tracked, _ = tracker.update([face(-0.5, 1), face(0.5, 1)], i * 2_000_000_000)
        assert ids(tracked) == IDS[i : i + 2]
        assert [one.slot for one in tracked] == [0, 1]


def test_a_slot_is_free_again_when_its_track_has_ended_and_the_lowest_is_taken_first():
    tracker = Tracker(TrackerConfig(id_seed=SEED, timeout_s=0.2))
    tracker.update([face(x, 1) for x in (-0.7, 0.0, 0.7)], 0)
    tracker.update([face(0.0, 1)], 150_000_000)
    tracked, _ = tracker.update([face(0.0, 1), face(0.7, 1), face(-0.7, 1), face(1.4, 1)], 250_000_000)
    assert [(one.face_id, one.slot) for one in tracked] == [(B, 1), (IDS[3], 0), (IDS[4], 2), (IDS[5], 3)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.03, 0.7, 1.5, -20.0]), st.integers(0, 70)), max_size=60), st.integers(0, 9)
)
def test_whatever_comes_and_goes_no_id_stands_for_two_tracks_and_no_slot_for_two_faces(steps, seed):
    tracker, stamp_ns, last_seen, reset = Tracker(TrackerConfig(id_seed=seed, timeout_s=1.0)), 10**13, {}, 0
    for step_s, count in steps:
        reset += step_s < 0  # the clock goes far back: whoever comes then is somebody else
        stamp_ns += round(step_s * 1e9)
        places = [face(0.6 * (i % 10), 1 + 2 * (i // 10)) for i in range(count)]
        tracked, untracked = tracker.update(places, stamp_ns)
        assert len({one.face_id for one in tracked}) == len({one.slot for one in tracked}) == len(tracked)
        assert len(tracked) + untracked == count and all(one.slot in range(SLOTS) for one in tracked)
        for one in tracked:
            when_ns, resets = last_seen.get(one.face_id, (stamp_ns, reset))
            assert resets == reset and stamp_ns - when_ns <= 1_000_000_000
            last_seen[one.face_id] = stamp_ns, reset


def test_twenty_thousand_tracks_have_as_many_ids():
    tracker, seen = Tracker(TrackerConfig(timeout_s=0.05, filter=False)), set()
    for i in range(400):
        tracked, _ = tracker.update([face(0.6 * (j % 10), 1 + 2 * (j // 10)) for j in range(50)], i * 100_000_000)
        if i % 100 == 99:
            tracker.reset()
        assert len(tracked) == 50
        seen.update(ids(tracked))
    assert len(seen) == 20_000


def test_only_faces_of_this_frame_are_reported():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(-0.5, 1), face(0.5, 1)], 0)
    tracked, _ = tracker.update([face(0.5, 1)], FRAME_NS)
    assert ids(tracked) == [B]
    assert tracker.update([], 2 * FRAME_NS) == ((), 0)


def test_a_ninth_of_eight_faces_is_counted_and_gets_no_id():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    crowd = [face(x, 2.0) for x in np.linspace(-1.2, 1.2, 9)]
    tracked, untracked = tracker.update(crowd, 0, most=8)
    assert ids(tracked) == IDS[:8]
    assert untracked == 1


def test_sixty_four_faces_are_tracked_and_the_next_one_is_counted():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    crowd = [face(0.5 * (i % 10), 1 + 2 * (i // 10)) for i in range(65)]
    for frame in range(3):
        tracked, untracked = tracker.update(crowd, frame * FRAME_NS)
        assert (ids(tracked), untracked) == (IDS[:64], 1)
        assert [one.slot for one in tracked] == list(range(SLOTS))


def test_a_hidden_face_keeps_its_place_for_a_third_of_a_second_and_its_id_until_the_timeout():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    crowd = [face(x, 2.0) for x in np.linspace(-2.4, 2.4, 9)]
    tracker.update(crowd[:8], 0, most=8)
    for stamp_ns in range(100_000_000, 400_000_000, 100_000_000):
        tracked, untracked = tracker.update(crowd[1:], stamp_ns, most=8)
        assert (ids(tracked), untracked) == (IDS[1:8], 1)
    tracked, untracked = tracker.update(crowd[1:], 400_000_000, most=8)
    assert (ids(tracked), untracked) == (IDS[1:9], 0)
    assert id_at(tracked, 2.4, 2.0) == IDS[8]
    tracked, _ = tracker.update(crowd[:8], 500_000_000, most=8)
    assert ids(tracked) == IDS[:8]


def test_a_weak_detection_never_starts_a_track_but_continues_one():
    tracker = Tracker(TrackerConfig(id_seed=SEED, new_face_score=0.5))
    assert tracker.update([face(0, 1, score=0.4)], 0) == ((), 0)
    assert ids(tracker.update([face(0, 1, score=0.6)], FRAME_NS)[0]) == [A]
    assert ids(tracker.update([face(0, 1, score=0.4)], 2 * FRAME_NS)[0]) == [A]


def test_a_stamp_far_back_starts_again():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(-0.5, 1)], 10_000_000_000)
    tracker.update([face(-0.5, 1), face(0.5, 1)], 10_033_000_000)
    tracked, _ = tracker.update([face(0.5, 1)], 1_000_000_000)
    assert ids(tracked) == [C]
    np.testing.assert_allclose(tracked[0].pose.covariance, COVARIANCE)  # no memory in the filter


def test_a_stamp_slightly_back_keeps_the_faces():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(-0.5, 1), face(0.5, 1)], 10_000_000_000)
    tracked, _ = tracker.update([face(0.5, 1)], 9_900_000_000)
    assert ids(tracked) == [B]


def test_a_repeated_stamp_is_harmless():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(0, 1)], 5)
    tracked, _ = tracker.update([face(0, 1)], 5)
    assert ids(tracked) == [A]
    assert np.all(np.isfinite(tracked[0].pose.covariance))


def test_reset_forgets_every_face():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(0, 1), face(0.5, 1)], 0)
    tracker.reset()
    assert ids(tracker.update([face(0.5, 1)], FRAME_NS)[0]) == [C]


def test_without_the_filter_poses_are_the_measured_ones():
    tracker = Tracker(TrackerConfig(id_seed=SEED, filter=False))
    for i, x in enumerate([0.0, 0.02, 0.05]):
        seen = face(x, 1.0, yaw=10 * i)
        tracked, _ = tracker.update([seen], i * FRAME_NS)
        assert tracked[0].pose is seen.pose


def test_the_filter_lies_between_prediction_and_measurement():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    for i in range(10):
        tracker.update([face(0, 1.0)], i * FRAME_NS)
    tracked, _ = tracker.update([face(0.05, 1.0, yaw=10)], 10 * FRAME_NS)
    assert 0.0 < tracked[0].pose.t_camera_head_m[0] < 0.05
    assert 0.0 < np.degrees(so3.geodesic_angle(tracked[0].pose.R_camera_head, np.eye(3))) < 10.0


def test_a_face_that_jumps_across_the_image_is_another_face():
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(-0.5, 1)], 0)
    assert ids(tracker.update([face(0.5, 1)], FRAME_NS)[0]) == [B]


@pytest.mark.parametrize("speed_mps", [0.5, 1.5])
def test_a_walking_person_keeps_the_id(speed_mps):
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    for i in range(30):
        x = -0.9 + speed_mps * i / 30
        tracked, _ = tracker.update([face(x, 2.0)], i * FRAME_NS)
        assert ids(tracked) == [A]


@pytest.mark.parametrize(
    "moved, same",
    [
        # 1/30 s after the first sight a face is expected within 35 mm across, 93 mm along the ray, 18 degrees (1 sigma)
        *[({"x": 0.19}, True), ({"x": 0.23}, False), ({"y": -0.19}, True), ({"y": -0.23}, False)],
        *[({"z": 1.53}, True), ({"z": 1.59}, False), ({"yaw": 104.0}, True), ({"yaw": 112.0}, False)],
    ],
)
def test_a_face_six_sigmas_from_where_it_is_expected_is_another_one(moved, same):
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    tracker.update([face(0.0, 1.0)], 0)
    tracked, _ = tracker.update([face(**({"x": 0.0, "z": 1.0} | moved))], FRAME_NS)
    assert ids(tracked) == [A if same else B]


def test_a_walker_is_expected_where_the_way_leads_also_when_not_seen_for_a_while():
    for reappears, same in ((1.5, True), (0.5, False)):  # 1 m/s for a second, then half a second behind a pillar
        tracker = Tracker(TrackerConfig(id_seed=SEED))
        for i in range(31):
            tracker.update([face(i / 30 - 0.5, 2.0)], i * FRAME_NS)
        tracked, _ = tracker.update([face(reappears - 0.5, 2.0)], 45 * FRAME_NS)
        assert ids(tracked) == [A if same else B]


def test_pairs_by_hand():
    inf = np.inf
    assert sure_pairs(np.array([[0.0, 9.0], [9.0, 0.0]])) == {0: 0, 1: 1}
    assert sure_pairs(np.array([[0.0, 9.0]])) == {0: 0}
    assert sure_pairs(np.array([[9.0], [0.0]])) == {1: 0}
    assert sure_pairs(np.array([[inf, 3.0], [inf, inf]])) == {0: 1}
    # the first face leaves its own track to nobody, though both faces would have one
    assert sure_pairs(np.array([[-20.0, 10.0], [15.0, inf]])) == {0: 0}


def test_a_pair_dearer_than_a_new_face_beside_a_track_that_is_not_seen_is_none():
    assert sure_pairs(np.array([[19.0]])) == {0: 0} and sure_pairs(np.array([[21.0]])) == {}


@pytest.mark.parametrize("more, sure", [(0.9 * UNSURE_COST, False), (1.1 * UNSURE_COST, True)])
def test_a_pair_that_might_as_well_be_another_is_none(more, sure):
    assert sure_pairs(np.array([[5.0, 5.0 + more]])) == ({0: 0} if sure else {})  # one face, two tracks
    exchanged = np.array([[5.0, 6.0], [4.0 + more, 5.0]])  # 10 as it is, 10 + more with the tracks exchanged
    assert sure_pairs(exchanged) == ({0: 0, 1: 1} if sure else {})


def test_of_two_tracks_at_one_place_the_one_that_was_seen_a_moment_ago_goes_on():
    assert MISSED_COST > UNSURE_COST  # so that it does even where both fit alike
    tracker = Tracker(TrackerConfig(id_seed=SEED))
    for i in range(20):
        tracker.update([face(0.0, 1.0), face(0.16, 1.0)], i * FRAME_NS)
    tracker.update([face(0.0, 1.0)], 20 * FRAME_NS)
    tracked, _ = tracker.update([face(0.08, 1.0)], 21 * FRAME_NS)
    assert ids(tracked) == [A]


def test_costs_of_all_pairs_are_those_of_each():
    rng = np.random.default_rng(0)
    made = [face(x, z, yaw=yaw).pose for x, z, yaw in rng.uniform([-0.4, 0.6, -40], [0.4, 1.4, 40], (11, 3))]
    R, t = np.array([pose.R_camera_head for pose in made]), np.array([pose.t_camera_head_m for pose in made])
    A = rng.normal(size=(11, 6, 6)) * 0.02
    P = A @ np.swapaxes(A, 1, 2) + COVARIANCE
    found = pair_costs((R[:4], t[:4], P[:4]), (R[4:], t[4:], P[4:]))
    assert found.shape == (4, 7) and np.isfinite(found).any() and np.isinf(found).any()
    for i in range(4):
        for j in range(4, 11):
            apart = np.concatenate([t[i] - t[j], so3.rotvec_from_matrix(R[i] @ R[j].T)])
            S = P[i] + P[j] + np.diag([0.03**2] * 3 + [0.3**2] * 3)
            S[:3, :3] += 0.05**2 * np.outer(t[j], t[j])
            expected = -2.0 * multivariate_normal(cov=S).logpdf(apart) - 6.0 * np.log(2.0 * np.pi)
            near = apart @ np.linalg.solve(S, apart) < 36.0
            np.testing.assert_allclose(found[i, j - 4], expected if near else np.inf)


def test_sure_pairs_are_those_of_a_plain_loop_over_all_others():
    rng = np.random.default_rng(1)
    for number in range(300):
        n, m = rng.integers(1, 9, 2)
        cost = rng.uniform(-5.0, 30.0, (n, m))
        cost[rng.random((n, m)) < 0.1 * (number % 8)] = np.inf
        cheapest = cheapest_pairs(np.minimum(cost, UNPAIRED_COST))
        row_of = {column: row for row, column in cheapest if cost[row, column] < UNPAIRED_COST}
        expected = {}
        for column, row in row_of.items():
            rivals = [
                cost[row, k] + (cost[row_of[k], column] - cost[row_of[k], k] if k in row_of else 0.0)
                for k in range(m)
                if k != column
            ]
            if min(rivals, default=np.inf) - cost[row, column] > UNSURE_COST:
                expected[row] = column
        assert sure_pairs(cost) == expected


def test_the_pairs_of_a_crowd_cost_what_they_cost_in_small_groups():
    rng = np.random.default_rng(2)
    made = [face(*one).pose for one in rng.uniform([-1.5, 0.8], [1.5, 3.0], (128, 2))]
    R, t = np.array([pose.R_camera_head for pose in made]), np.array([pose.t_camera_head_m for pose in made])
    A = rng.normal(size=(128, 6, 6)) * 0.03
    P = A @ np.swapaxes(A, 1, 2) + COVARIANCE
    together = pair_costs((R[:64], t[:64], P[:64]), (R[64:], t[64:], P[64:]))
    assert 64 < np.isfinite(together).sum() < 0.5 * together.size
    for i in range(64):
        for j in range(64, 128, FEW_PAIRS):
            some = slice(j, j + FEW_PAIRS)
            alone = pair_costs((R[i : i + 1], t[i : i + 1], P[i : i + 1]), (R[some], t[some], P[some]))
            np.testing.assert_allclose(together[i : i + 1, j - 64 : j - 64 + FEW_PAIRS], alone, rtol=1e-9)
