"""Joint adjustment on a head of known shape, seen from known sides."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")

from hpe_core.errors import HpeError
from hpe_core.geometry.so3 import geodesic_angle, matrix_from_rotvec, project_to_rotation, rotvec_from_matrix
from training.data import shards
from training.data.labels import FaceLabel, FaceLandmarks
from training.label import joint

YAWS, PITCHES = np.radians([-60, -40, -20, 0, 20, 40, 60]), np.radians([-40, -20, 0, 20, 40])
TRUE = np.array(
    [matrix_from_rotvec([0, yaw, 0]) @ matrix_from_rotvec([pitch, 0, 0]) for yaw in YAWS for pitch in PITCHES]
)
FRONT = TRUE[:, 2, 2] > np.cos(np.radians(joint.ZERO_TURN_DEG))
SIZE_PX, CENTRE_PX, PER_RANGE = 150.0, np.array([190.0, 140.0]), 0.8


def deg(R_a, R_b):
    return np.degrees(geodesic_angle(R_a, R_b))


def person():
    """Another head than the mean one: longer nose, wider eyes, 2 mm of its own everywhere."""
    points = joint.MEAN_POINTS_M + np.random.default_rng(5).normal(0, 0.002, (68, 3))
    points[30, 2] -= 0.006
    points[36:48, 0] *= 1.08
    return points


def photographed(points_m, R):
    """Landmarks (V, 68, 2) in pixels through a camera turned to the face, 1 / PER_RANGE metres away."""
    turned = points_m @ np.swapaxes(R, -1, -2)
    return CENTRE_PX + SIZE_PX / 0.2 * turned[..., :2] / (1 + PER_RANGE * turned[..., 2:])


def shrunk(R, share):
    """What a teacher says who sees only that share of every turn."""
    return matrix_from_rotvec(share * rotvec_from_matrix(R))


def views(px=None, weight=None, R=TRUE):
    count = len(R)
    return joint.Views(
        px=photographed(person(), TRUE) if px is None else px,
        weight=np.ones((count, 68)) if weight is None else weight,
        R_local=R,
        centre_px=np.tile(CENTRE_PX, (count, 1)),
        size_px=np.full(count, SIZE_PX),
    )


def relative(R):
    """With the frame in which the views near the front have the true mean."""
    return R @ project_to_rotation((np.swapaxes(R[FRONT], -1, -2) @ TRUE[FRONT]).sum(0))


def test_turns_that_teachers_shrink_by_a_quarter_come_out_in_full():
    start = shrunk(TRUE, 0.75)
    found = joint.adjusted(views(R=start))
    assert deg(start, TRUE).max() > 15
    assert deg(relative(found.R_local), TRUE).max() < 1.0
    assert found.residual_m.max() < 5e-4


def test_the_nose_that_no_mean_head_has_is_found():
    found = joint.adjusted(views())
    np.testing.assert_allclose(found.points_m[30], person()[30], atol=1.5e-3)
    assert joint.MEAN_POINTS_M[30, 2] - found.points_m[30, 2] > 4.5e-3


def test_the_mean_rotation_near_the_front_stays_that_of_the_labels():
    turned = matrix_from_rotvec([0.05, 0.0, 0.0])
    found = joint.adjusted(views(R=TRUE @ turned))
    front = (TRUE @ turned)[:, 2, 2] > np.cos(np.radians(joint.ZERO_TURN_DEG))
    residual = (np.swapaxes(found.R_local[front], -1, -2) @ (TRUE @ turned)[front]).sum(0)
    np.testing.assert_allclose(residual, residual.T, atol=1e-6)


def test_hidden_and_wild_landmarks_do_not_turn_a_head():
    rng = np.random.default_rng(1)
    px, weight = photographed(person(), TRUE), np.ones((len(TRUE), 68))
    hidden = rng.random(weight.shape) < 0.3
    px[hidden], weight[hidden] = np.nan, 0
    wild = ~hidden & (rng.random(weight.shape) < 0.05)
    px[wild] += rng.normal(0, 25, (int(wild.sum()), 2))
    found = joint.adjusted(views(px, weight, shrunk(TRUE, 0.85)))
    assert np.median(deg(relative(found.R_local), TRUE)) < 1.0
    assert deg(relative(found.R_local), TRUE).max() < 3.0


def test_a_few_views_are_refused():
    few = views()
    few = replace(few, **{key: value[:3] for key, value in vars(few).items()})
    with pytest.raises(HpeError, match="3 views"):
        joint.adjusted(few)


def test_profiles_alone_have_no_front():
    side = np.abs(np.degrees(np.arctan2(TRUE[:, 0, 2], TRUE[:, 2, 2]))) > 30
    one = views()
    with pytest.raises(HpeError, match="front"):
        joint.adjusted(replace(one, **{key: value[side] for key, value in vars(one).items()}))


def test_shards_are_adjusted_by_series_and_lonely_faces_keep_their_labels():
    px, start = photographed(person(), TRUE), shrunk(TRUE, 0.9)
    marks = FaceLandmarks(px, np.zeros(px.shape[:2]), np.ones(px.shape[:2]))
    many = {"R_local": start, "centre_px": np.tile(CENTRE_PX, (len(TRUE), 1)), "size_px": np.full(len(TRUE), SIZE_PX)}
    many |= {"rot_std_deg": np.full(len(TRUE), 4.0), "weight": np.ones(len(TRUE))}
    label = FaceLabel(**many, landmarks=marks)
    sources = np.array([f"walk/a_{i}" for i in range(len(TRUE) - 1)] + ["walk/b_0"])
    shard = {"face_image": np.arange(len(TRUE)), "source": sources} | shards.stored(label.columns())
    cut = {key: value[:20] for key, value in shard.items()}, {key: value[20:] for key, value in shard.items()}
    cut[1]["face_image"] = cut[1]["face_image"] - 20  # a series may lie in two files
    counts = Counter()
    new = joint.relabelled(list(cut), counts)
    R = np.concatenate([part["R_local"] for part in new])
    assert counts["adjusted"] == len(TRUE) - 1
    assert counts["kept: fewer than 8 views in the series"] == 1
    np.testing.assert_allclose(R[-1], start[-1], atol=1e-6)
    assert np.median(deg(relative(R)[:-1], TRUE[:-1])) < 0.7 * np.median(deg(relative(start)[:-1], TRUE[:-1]))
