"""People who pass each other: simulated ways, faces measured with noise, the real tracker."""

import numpy as np
import pytest

from hpe_core.config import TrackerConfig
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, box_from_pose
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.pipeline.poses import pose_covariance
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel(1280, 720, [[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]])
LATERAL_STD_M, SIZE_REL_STD, TURN_STD_RAD = 0.004, 0.03, np.radians(4.0)
HEAD_M = 0.1  # a head is hidden when its centre is so near to that of one before it
MEET_S, LAST_S = 0.8, 1.6
CROSSINGS = 60


def measured(rng, way, t_s):
    """The Face that a network sees of a person whose way is a function of time -> x, y, z (m), yaw (degrees)."""
    *t, yaw = way(t_s)
    R = so3.matrix_from_rotvec(rng.normal(0, TURN_STD_RAD, 3)) @ aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0))
    centre = t + R @ FACE_CENTRE_M
    range_m = np.linalg.norm(centre)
    noise = np.append(rng.normal(0, LATERAL_STD_M, 2), range_m * rng.normal(0, SIZE_REL_STD))
    R_lookat_camera = lookat_rotation(centre / range_m)
    t = t + noise @ R_lookat_camera
    spread = LATERAL_STD_M, range_m * SIZE_REL_STD, TURN_STD_RAD**2 * np.eye(3)
    covariance = pose_covariance(R_lookat_camera, R @ FACE_CENTRE_M, *spread)
    return Face(HeadPose(R, t, covariance), 0.9, box_from_pose(CAMERA, R, t), confirmed=True)


def behind_another(ways, person, t_s):
    places = [np.array(way(t_s)[:3]) for way in ways]
    mine = places.pop(person)
    apart_m = [np.linalg.norm(mine[:2] / mine[2] * other[2] - other[:2]) for other in places]
    return any(other[2] < mine[2] and m < HEAD_M for other, m in zip(places, apart_m, strict=True))


def ids_of(rng, ways, hidden, rate_hz, lost=lambda t_s: False):
    """Per person the list of ids that the tracker gave; hidden(person, t_s), lost(t_s): an image that never came."""
    tracker, ids = Tracker(TrackerConfig()), [[] for _ in ways]
    for i in range(int(LAST_S * rate_hz) + 1):
        t_s = i / rate_hz
        if lost(t_s):
            continue
        here = [p for p in range(len(ways)) if not hidden(p, t_s) and not behind_another(ways, p, t_s)]
        seen = [(person, measured(rng, ways[person], t_s)) for person in here]
        rng.shuffle(seen)
        tracked, _ = tracker.update([face for _, face in seen], round(t_s * 1e9))
        for person, face in seen:
            ids[person] += [one.face_id for one in tracked if one.box_px is face.box_px]
    return ids


def outcome(ids):
    """`swapped` when two people had one id, at whatever time; `kept` when each had one only; else `new`."""
    if len(set().union(*ids)) < sum(len(set(one)) for one in ids):
        return "swapped"
    return "kept" if all(len(set(one)) == 1 for one in ids) else "new"


def pair(rng, behind="walks on"):
    """Two ways that cross at MEET_S, 0.5 to 1.4 m/s each, 0.2 to 0.8 m apart in depth; the second is the farther."""
    (v, w), z, depth = rng.uniform(0.5, 1.4, 2), rng.uniform(1.2, 2.2), rng.uniform(0.2, 0.8)
    yaw = rng.uniform(0.0, 40.0)  # to where they walk
    along = {
        "walks on": lambda s: -w * s,
        "stops": lambda s: -w * min(s, 0.0),
        "turns round": lambda s: w * np.hypot(s, 0.3),
    }[behind]
    return (
        lambda t: (v * (t - MEET_S), 0.0, z, yaw),
        lambda t: (along(t - MEET_S), 0.0, z + depth, yaw if behind == "turns round" and t > MEET_S else -yaw),
    )


def outcomes(ways_of, crossings=CROSSINGS, rate_hz=30, hidden_s=0.3, lost_s=0.0, lost_share=0.0):
    """List of the outcomes of so many crossings; the second person is hidden around MEET_S, images are lost then."""
    results = []
    for seed in range(crossings):
        rng = np.random.default_rng(seed)
        ways, missing = ways_of(rng), rng.random(int(LAST_S * rate_hz) + 1) < lost_share
        ids = ids_of(
            rng,
            ways,
            lambda person, t: person == 1 and abs(t - MEET_S) <= hidden_s / 2,
            rate_hz,
            lambda t, missing=missing: abs(t - MEET_S) < lost_s / 2 or missing[round(t * rate_hz)],
        )
        results.append(outcome(ids))
    return results


@pytest.mark.parametrize("rate_hz", [10, 30])
def test_sixty_of_sixty_pairs_keep_their_ids_while_one_is_hidden_for_a_third_of_a_second(rate_hz):
    assert outcomes(pair, rate_hz=rate_hz) == ["kept"] * CROSSINGS


def test_pairs_keep_their_ids_when_nine_tenths_of_a_second_are_lost():
    assert outcomes(pair, 12, lost_s=0.9) == ["kept"] * 12


def test_pairs_keep_their_ids_when_four_of_ten_images_are_lost():
    assert outcomes(pair, 12, lost_share=0.4) == ["kept"] * 12


def test_a_pair_keeps_its_ids_when_the_hidden_one_stops():
    assert outcomes(lambda rng: pair(rng, "stops"), 12) == ["kept"] * 12


def test_nobody_gets_the_id_of_another_when_the_hidden_one_turns_round():
    results = outcomes(lambda rng: pair(rng, "turns round"), 12, hidden_s=0.6)
    assert "swapped" not in results and results.count("kept") >= 9


def test_at_five_images_a_second_few_pairs_get_new_ids_and_none_swaps():
    results = outcomes(pair, 30, rate_hz=5)
    assert "swapped" not in results and results.count("kept") >= 24


def test_two_who_meet_side_by_side_and_go_back_keep_their_ids():
    def meet(rng):
        v, z = rng.uniform(0.5, 1.4, 2), rng.uniform(1.2, 2.2)
        return [
            lambda t, side=side, v=v: (side * (0.15 + v * np.hypot(t - MEET_S, 0.3)), 0.0, z, 0.0)
            for side, v in zip((-1, 1), v, strict=True)
        ]

    assert outcomes(meet, 12, rate_hz=10, hidden_s=0.0) == ["kept"] * 12


def test_two_who_sit_side_by_side_keep_their_ids_when_nine_tenths_of_a_second_are_lost():
    def seated(rng):
        z, apart = rng.uniform(1.2, 2.2), rng.uniform(0.5, 0.8)
        return [lambda t: (0.0, 0.0, z, 0.0), lambda t: (apart, 0.0, z, 0.0)]

    assert outcomes(seated, 12, lost_s=0.9, hidden_s=0.0) == ["kept"] * 12


def test_a_tall_one_and_a_child_at_the_same_distance_keep_their_ids():
    def tall_and_small(rng):
        (v, w), z, lower = rng.uniform(0.5, 1.4, 2), rng.uniform(1.2, 2.2), rng.uniform(0.15, 0.3)
        return [lambda t: (v * (t - MEET_S), 0.0, z, 20.0), lambda t: (-w * (t - MEET_S), lower, z, -20.0)]

    assert outcomes(tall_and_small, 12, rate_hz=10, hidden_s=0.0) == ["kept"] * 12
