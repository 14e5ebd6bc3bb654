"""Who comes back and who is somebody else, when a face has not been seen for a moment."""

import numpy as np
import pytest

from hpe_core.config import TrackerConfig
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import box_from_pose
from hpe_core.tracking.returning import may_return
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel(1280, 720, [[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]])  # at 1 m: 0.71 m to its left border
COVARIANCE = np.diag([0.005, 0.005, 0.05, 0.05, 0.05, 0.05]) ** 2
FRAME_S = 1 / 30


def face(x, z=1.0, yaw=0.0):
    R, t = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=0.0, roll=0.0)), np.array([x, 0.0, z])
    return Face(HeadPose(R, t, COVARIANCE), 0.9, box_from_pose(CAMERA, R, t))


def ids_of(*ways):
    """Ids per way, a dict frame -> Face, of a tracker that sees all of them in consecutive images; somebody else is
    always there."""
    tracker, ids = Tracker(TrackerConfig()), [set() for _ in ways]
    for frame in range(1 + max(max(way) for way in ways)):
        here = [(number, way[frame]) for number, way in enumerate(ways) if frame in way]
        stamp_ns = round(frame * FRAME_S * 1e9)
        tracked, _ = tracker.update([one for _, one in here] + [face(0.5, 3.0)], stamp_ns, camera=CAMERA)
        for number, one in here:
            ids[number] |= {now.face_id for now in tracked if now.box_px is one.box_px}
    return ids


def walking(frames, x, speed_mps=0.0):
    """Way (dict frame -> Face) of one who is at x m in frame 0."""
    return {frame: face(x + speed_mps * frame * FRAME_S) for frame in frames}


@pytest.mark.parametrize(
    "newcomer, same",
    [
        # 0.5 s after the last sight: within 0.25 m across, 28 % of distance, 75 degrees
        *[(face(0.2), True), (face(-0.2), True), (face(0.3), False), (face(-0.3), False), (face(0.6), False)],
        *[(face(0.0, 1.2), True), (face(0.0, 1.4), False), (face(0.0, 0.7), False)],
        *[(face(0.0, yaw=60.0), True), (face(0.0, yaw=85.0), False)],
    ],
)
def test_half_a_second_after_a_face_was_hidden_only_one_near_its_place_is_the_same(newcomer, same):
    (ids,) = ids_of(walking(range(30), 0.0) | {44: newcomer})
    assert len(ids) == (1 if same else 2)


@pytest.mark.parametrize("last, first, same", [(100.0, -100.0, True), (100.0, -50.0, False), (50.0, -100.0, False)])
def test_only_a_head_that_was_turning_away_comes_round_from_behind(last, first, same):
    (ids,) = ids_of({frame: face(0.0, yaw=last) for frame in range(30)} | {44: face(0.0, yaw=first)})
    assert len(ids) == (1 if same else 2)


@pytest.mark.parametrize("gap, same", [(3, True), (12, False)])
def test_who_walked_out_of_the_image_is_not_who_stands_there_then(gap, same):
    """0.6 m/s to the left, last seen 0.11 m from the border, which is reached after a sixth of a second."""
    way = walking(range(31), 0.0, -0.6) | {30 + gap: face(-0.66)}
    assert [len(ids) for ids in ids_of(way)] == [1 if same else 2]


def test_who_stands_at_the_border_or_is_hidden_within_the_image_has_not_left_it():
    assert [len(ids) for ids in ids_of(walking(range(31), -0.66) | {42: face(-0.66)})] == [1]
    assert [len(ids) for ids in ids_of(walking([*range(31), 42], 0.3, -0.6))] == [1]


def test_newcomers_beside_hidden_people_get_ids_of_their_own_and_those_get_theirs_back():
    """Sixty people are hidden for 0.3 to 0.9 s; meanwhile somebody appears half a metre or more from each."""
    old, back = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, speed_mps, gap = rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), round(30 * rng.uniform(0.3, 0.9))
        apart_m = rng.choice([-1, 1]) * rng.uniform(0.5, 0.6)
        hidden = walking([*range(30), *range(32 + gap, 40 + gap)], x, speed_mps)
        first, second = ids_of(hidden, walking(range(30 + gap - 3, 40 + gap), x + apart_m))
        old, back = old + bool(first & second), back + (len(first) == 1)
    assert (old, back) == (0, 60)


def test_the_mask_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    R = so3.matrix_from_rotvec(rng.normal(0, 0.4, (40, 3)))
    t = rng.normal([0, 0, 1.5], [0.4, 0.1, 0.15], (40, 3))
    R_last, t_last, expected = R[30:], t[30:], t[30:] + rng.normal(0, 0.3, (10, 3))
    hidden_s = rng.uniform(0.1, 1.0, 10)
    found = may_return(R[:30], t[:30], R_last, t_last, expected, hidden_s, CAMERA)
    assert 10 < found.sum() < 100
    for i in range(30):
        for j in range(10):
            ray, last, goal = (v / np.linalg.norm(v) for v in (t[i], t_last[j], expected[j]))
            way = last + np.linspace(0.0, 1.0, 4001)[:, None] * (goal - last)
            across_m = np.linalg.norm(ray - way, axis=1).min() * np.linalg.norm(t_last[j])
            relative = np.log(np.linalg.norm(t[i]) / np.linalg.norm(t_last[j]))
            turned_deg = np.degrees(np.arccos(np.clip((np.trace(R[i] @ R_last[j].T) - 1) / 2, -1, 1)))
            x, y = CAMERA.project(expected[j])
            s = hidden_s[j]
            near = across_m < 0.1 + 0.3 * s and abs(relative) < 0.15 + 0.2 * s and turned_deg < 45 + 60 * s
            assert found[i, j] == (near and -0.5 < x < 1279.5 and -0.5 < y < 719.5)
