import functools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.transform import Rotation

from hpe_core.candidates import Candidates
from hpe_core.config import EstimatorConfig
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, HEAD_SIZE_REL_STD, REFERENCE_LENGTH_M, box_from_pose, pixels_per_metre
from hpe_core.geometry.lookat import local_from_global, lookat_rotation
from hpe_core.network_card import card_of
from hpe_core.networks.network import whole_image_network
from hpe_core.pipeline.detect import means_of, merge
from hpe_core.pipeline.estimator import Estimator
from hpe_core.pipeline.poses import faces_from_candidates, pose_covariance, with_systematic_spread
from hpe_core.pipeline.roi_tracking import confirmed_first, each_once, expected_places, same_face, wanted_first
from hpe_core.pipeline.roi_tracking import tracked as tracked_ones
from hpe_core.pixels.canvas import SourceImage

K = [[1100.0, 0, 650], [0, 1090.0, 350], [0, 0, 1]]
PINHOLE = CameraModel(1280, 720, K)
LENS = CameraModel(1280, 720, K, [-0.28, 0.09, 1e-3, -5e-4, -0.01])
WIDE = CameraModel(1280, 720, K, [0.5, 0.1, 1e-3, -1e-3, 0.01, 0.8, 0.2, 0.05], "rational_polynomial")
SURE_SCORE = 0.995
OF_CROPS = ("rays", "range_m", "confirmed", "landmarks_m", "visible", "identity", "expression", "gaze_rad")
FIELDS = [f.name for f in fields(Candidates) if f.name not in OF_CROPS]
STD = {"rotation_covariance": 0.05**2 * np.eye(3), "size_rel_std": 0.04, "centre_rel_std": 0.02}


def candidate(camera, R, t, score=0.9):
    """What a perfect network says about a head."""
    centre = R @ FACE_CENTRE_M + t
    R_local, _, _ = local_from_global(R, centre)
    size = REFERENCE_LENGTH_M * pixels_per_metre(camera, centre)
    named = {"score": score, "centre_px": camera.project(centre), "size_px": size, "R_local": R_local}
    return Candidates(**{name: np.array([value]) for name, value in (named | STD).items()})


def stacked(*candidates):
    return functools.reduce(Candidates.concat, candidates)


class FixedNetwork:
    """A backend whose network sees the given faces, as rows in the canvas of 320x256 pixels."""

    input_shape = (1, 256, 320, 3)
    samples = staticmethod(lambda image_shape: False)

    def __init__(self, card, found, scales):
        self.card, self.seen = card_of(card, self.input_shape, "card"), None
        n = len(found)
        canvas = (found.centre_px + 0.5) * scales - 0.5
        size = found.size_px * np.sqrt(scales[0] * scales[1])
        sixd = np.concatenate([found.R_local[..., 0], found.R_local[..., 1]], -1)
        stds = np.tile([0.05, STD["size_rel_std"], STD["centre_rel_std"]], (n, 1))
        self.rows = np.column_stack([found.score, canvas, size, sixd, stds, np.full(n, 16.0)])

    def run(self, array):
        self.seen = array
        return self.rows[None].astype(np.float32)


def estimator_of(backend, refiner=None):
    return Estimator(whole_image_network(backend), EstimatorConfig(), refiner)


@pytest.mark.parametrize("camera", [PINHOLE, LENS, WIDE], ids=["pinhole", "plumb_bob", "rational"])
@pytest.mark.parametrize("pixel", [(650, 350), (200, 100), (1200, 650), (640, 40)])
def test_a_face_of_known_pose_comes_back_in_metres(camera, pixel):
    R = aflw2000.to_matrix(EulerDeg(yaw=25.0, pitch=-15.0, roll=10.0))
    t = 1.3 * camera.rays(pixel)
    face = faces_from_candidates(candidate(camera, R, t), camera)[0]
    np.testing.assert_allclose(face.pose.R_camera_head, R, rtol=0, atol=1e-9)
    np.testing.assert_allclose(face.pose.t_camera_head_m, t, rtol=0, atol=1e-8)
    np.testing.assert_allclose(face.box_px, box_from_pose(camera, R, t), atol=1e-5)
    assert face.score == 0.9 and face.face_id is None


@given(st.integers(0, 10**6), st.floats(0.3, 4.0), st.floats(100, 1180), st.floats(80, 640))
def test_any_pose_comes_back_through_a_lens(seed, range_m, x, y):
    R = Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).as_matrix()
    t = range_m * LENS.rays([x, y])
    pose = faces_from_candidates(candidate(LENS, R, t), LENS)[0].pose
    assert so3.geodesic_angle(pose.R_camera_head, R) < 1e-8
    np.testing.assert_allclose(pose.t_camera_head_m, t, rtol=0, atol=1e-7)


def test_a_face_that_looks_into_the_camera_from_the_side_of_the_image_is_turned_by_its_ray():
    # no turn in the virtual camera, 45 degrees to the right of the image
    found = entry(0.9, 650 + 1100.0, 350.0, 60.0)
    angles = faces_from_candidates(found, PINHOLE)[0].pose.euler_aflw2000
    np.testing.assert_allclose([angles.yaw, angles.pitch, angles.roll], [45, 0, 0], atol=1e-9)


@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "plumb_bob"])
def test_whole_estimate_inverts_the_letterbox(camera, model_card):
    R, t = aflw2000.to_matrix(EulerDeg(yaw=-40.0, pitch=5.0, roll=-3.0)), np.array([0.3, -0.1, 1.2])
    network = FixedNetwork(model_card(), candidate(camera, R, t), np.array([0.25, 0.25]))
    estimate = estimator_of(network).estimate(np.zeros((720, 1280, 3), np.uint8), camera)
    assert network.seen.shape == (1, 256, 320, 3)
    assert list(estimate.stage_s) == ["preprocess", "inference", "postprocess"]
    (face,) = estimate.faces
    assert so3.geodesic_angle(face.pose.R_camera_head, R) < 1e-5  # float32 rows
    np.testing.assert_allclose(face.pose.t_camera_head_m, t, atol=1e-5)


def test_no_row_above_the_threshold_is_no_face(model_card):
    found = candidate(PINHOLE, np.eye(3), np.array([0, 0, 1.0]), score=0.2)
    estimator = estimator_of(FixedNetwork(model_card(), found, np.array([0.25, 0.25])))
    image = np.zeros((720, 1280, 3), np.uint8)
    assert estimator.estimate(image, PINHOLE).faces == []
    estimator.reconfigure(EstimatorConfig(score_threshold=0.1))
    assert len(estimator.estimate(image, PINHOLE).faces) == 1


def test_wrong_image_size_names_both_sizes(model_card):
    found = candidate(PINHOLE, np.eye(3), np.array([0, 0, 1.0]))
    estimator = estimator_of(FixedNetwork(model_card(), found, np.array([0.25, 0.25])))
    with pytest.raises(HpeError, match="image is 640x480 but the camera model is 1280x720"):
        estimator.estimate(np.zeros((480, 640, 3), np.uint8), PINHOLE)


def test_degenerate_rotation_raises_and_never_becomes_a_frontal_face(model_card):
    network = FixedNetwork(model_card(), candidate(PINHOLE, np.eye(3), np.array([0, 0, 1.0])), np.array([0.25, 0.25]))
    network.rows[:, 4:10] = 0.0
    with pytest.raises(HpeError, match="degenerate"):
        estimator_of(network).estimate(np.zeros((720, 1280, 3), np.uint8), PINHOLE)


@pytest.mark.parametrize("centre, count", [((640, 900), 0), ((640, 719.6), 0), ((640, 719.4), 1), ((-1, 300), 0)])
def test_a_face_whose_centre_is_not_on_the_image_is_none(centre, count, model_card):
    # a lens may have no ray for (640, 900), which lies in the padding below the 720 rows
    found = entry(0.9, *centre, 60.0)
    network = FixedNetwork(model_card(), found, np.array([0.25, 0.25]))
    faces = estimator_of(network).estimate(np.zeros((720, 1280, 3), np.uint8), LENS).faces
    assert len(faces) == count


BARREL = CameraModel(640, 480, [[260.0, 0, 320], [0, 260.0, 240], [0, 0, 1]], [-0.3, 0.08, 0, 0, -0.01])
BARREL_EDGE_PX = 247.69  # from the middle: farther out no ray comes


def seen_by_barrel(model_card, found, refiner=None, expected=()):
    """Faces, and how many had no pose, of what a network finds in an image of 640x480."""
    estimator = estimator_of(FixedNetwork(model_card(), found, np.array([0.5, 0.5])), refiner)
    estimate = estimator.estimate(np.zeros((480, 640, 3), np.uint8), BARREL, expected)
    return estimate.faces, estimate.counts["beyond_lens"]


def test_a_face_in_the_corner_of_a_wide_lens_has_no_pose_and_is_counted(model_card):
    middle, corner = entry(0.9, 300, 240, 60), entry(0.8, 600, 440, 60)
    for refiner in (None, ConfirmingCrops()):
        faces, beyond_lens = seen_by_barrel(model_card, stacked(middle, corner), refiner)
        assert ([face.score for face in faces], beyond_lens) == ([pytest.approx(0.9)], 1)
        assert seen_by_barrel(model_card, middle, refiner)[1] == 0


@pytest.mark.parametrize("from_middle_px, faces_seen", [(200, 1), (240, 1), (246, 1), (249, 0), (300, 0)])
def test_a_face_over_the_border_of_a_wide_lens_has_its_true_place_or_none(from_middle_px, faces_seen, model_card):
    found = entry(0.9, 320 + from_middle_px, 240, 60)
    if faces_seen:
        t = 0.55 * BARREL.rays([320.0 + from_middle_px, 240.0]) - FACE_CENTRE_M
        found = candidate(BARREL, np.eye(3), t)
    faces, beyond_lens = seen_by_barrel(model_card, found)
    assert (len(faces), beyond_lens) == (faces_seen, 1 - faces_seen)
    for face in faces:
        np.testing.assert_allclose(face.pose.t_camera_head_m, t, atol=2e-3)
        x0, y0, x1, y1 = face.box_px
        assert 320 < x0 < x1 <= 320 + BARREL_EDGE_PX + 0.01 and 0 < y0 < y1 < 480


def test_a_face_that_its_crop_places_beyond_the_lens_has_no_pose_and_is_counted(model_card):
    class Beyond(ConfirmingCrops):
        def refine(self, places, source, camera, found=None, passes=1):
            seen = super().refine(places, source, camera, found, passes)
            return replace(seen, centre_px=np.full_like(places.centre_px, np.nan), rays=None)

    found = entry(0.9, 300, 240, 60)
    assert seen_by_barrel(model_card, found, Beyond()) == ([], 1)


def test_a_face_that_is_expected_beyond_the_lens_is_not_looked_for(model_card):
    known = faces_from_candidates(entry(0.9, 300, 240, 60), BARREL)[0]
    away = replace(known, pose=replace(known.pose, t_camera_head_m=np.array([1.0, 0.0, 0.4])))
    faces, beyond_lens = seen_by_barrel(model_card, entry(0.2, 300, 240, 60), ConfirmingCrops(), [away])
    assert (faces, beyond_lens) == ([], 0)


def test_faces_of_one_frame_do_not_mix():
    found = stacked(*[entry(0.9, 200 * i + 100, 90 * i + 60, 30 + 20 * i, yaw=20 * i - 40) for i in range(5)])
    found = replace(found, rotation_covariance=np.linspace(0.01, 0.2, 5)[:, None, None] ** 2 * np.eye(3))
    together = faces_from_candidates(found, LENS)
    for i, joint in enumerate(together):
        (alone,) = faces_from_candidates(found.where([i]), LENS)
        np.testing.assert_allclose(alone.pose.R_camera_head, joint.pose.R_camera_head, atol=1e-12)
        np.testing.assert_allclose(alone.pose.t_camera_head_m, joint.pose.t_camera_head_m, atol=1e-9)
        np.testing.assert_allclose(alone.pose.covariance, joint.pose.covariance, atol=1e-12)
        np.testing.assert_allclose(alone.box_px, joint.box_px, atol=1e-6)


def entry(score, x, y, size, yaw=0.0):
    R = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=0.0, roll=0.0))
    named = {"score": score, "centre_px": [x, y], "size_px": size, "R_local": R} | STD
    return Candidates(**{name: np.array([value], float) for name, value in named.items()})


def test_two_rows_of_one_face_are_averaged_by_squared_score():
    merged = merge(stacked(entry(0.8, 100, 100, 60, yaw=10), entry(0.6, 106, 100, 66, yaw=20)))
    # weights 0.64 and 0.36
    np.testing.assert_allclose(merged.score, [0.8])
    np.testing.assert_allclose(merged.centre_px, [[100 + 0.36 * 6, 100]])
    np.testing.assert_allclose(merged.size_px, [60 + 0.36 * 6])
    yaw = aflw2000.from_matrix(merged.R_local[0]).yaw
    expected = np.degrees(np.arctan2(*[0.64 * f(np.radians(10)) + 0.36 * f(np.radians(20)) for f in (np.sin, np.cos)]))
    assert yaw == pytest.approx(expected)


def test_far_faces_stay_apart_in_order_of_score():
    merged = merge(stacked(entry(0.9, 300, 100, 60), entry(0.7, 100, 100, 60), entry(0.5, 200, 100, 60)))
    np.testing.assert_allclose(merged.score, [0.9, 0.7, 0.5])
    np.testing.assert_allclose(merged.centre_px[:, 0], [300, 100, 200])


def test_a_weak_row_or_one_of_another_size_is_swallowed_but_not_averaged():
    merged = merge(stacked(entry(0.9, 100, 100, 60), entry(0.8, 105, 100, 100), entry(0.4, 108, 100, 60)))
    np.testing.assert_allclose(merged.centre_px, [[100, 100]])
    np.testing.assert_allclose(merged.size_px, [60])


def test_a_single_row_is_returned_as_it_is():
    one = entry(0.6, 11, 22, 33, yaw=44)
    merged = merge(one)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(merged, name), getattr(one, name), atol=1e-15, err_msg=name)


def test_nothing_found_merges_to_nothing():
    empty = entry(0.5, 0, 0, 1).where(slice(0))
    merged = merge(empty)
    assert [getattr(merged, name).shape for name in FIELDS] == [getattr(empty, name).shape for name in FIELDS]


def test_merge_equals_a_plain_loop_on_random_rows():
    rng = np.random.default_rng(17)
    rows = [
        entry(s, *rng.uniform(0, 300, 2), rng.uniform(20, 120), rng.uniform(-60, 60))
        for s in np.sort(rng.uniform(0.3, 1, 60))[::-1]
    ]
    merged = merge(stacked(*rows))
    taken, k = [False] * 60, 0
    for i, best in enumerate(rows):
        if taken[i]:
            continue
        total, centre = 0.0, np.zeros(2)
        for j, row in enumerate(rows):
            distance = np.hypot(*(row.centre_px - best.centre_px)[0])
            small, large = sorted([row.size_px[0], best.size_px[0]])
            if j != i and (taken[j] or distance >= max(0.5 * small, 0.35 * large)):
                continue
            taken[j] = True
            if large / small < np.exp(0.4) and row.score > 0.5 * best.score:
                total, centre = total + row.score[0] ** 2, centre + row.score[0] ** 2 * row.centre_px[0]
        np.testing.assert_allclose(merged.centre_px[k], centre / total)
        k += 1
    assert len(merged.score) == k


def test_means_of_groups_are_those_of_each_group_alone():
    rng = np.random.default_rng(18)
    rows = stacked(*[entry(s, *rng.uniform(0, 900, 2), rng.uniform(20, 90), 9 * s) for s in np.linspace(1, 0.5, 200)])
    A = rng.normal(size=(200, 3, 3)) * 0.1
    rows = replace(rows, rotation_covariance=A @ np.swapaxes(A, 1, 2) + 1e-4 * np.eye(3))
    groups = [np.flatnonzero(np.arange(200) % 7 == rest) for rest in range(7)]
    together = means_of(rows, groups)
    for number, group in enumerate(groups):
        one = rows.where(group)
        like = np.abs(np.log(one.size_px / one.size_px[0])) < 0.4
        one = one.where(np.flatnonzero(like & (one.score > 0.5 * one.score[0])))
        weights = one.score**2 / np.sum(one.score**2)
        root = np.einsum("n,nij->ij", weights, [sqrtm(P) for P in one.rotation_covariance])
        np.testing.assert_allclose(together.score[number], one.score[0], rtol=1e-12)
        np.testing.assert_allclose(together.centre_px[number], weights @ one.centre_px, rtol=1e-12)
        np.testing.assert_allclose(together.size_rel_std[number], weights @ one.size_rel_std, rtol=1e-12)
        np.testing.assert_allclose(together.R_local[number], so3.mean_rotation(one.R_local, weights), atol=1e-12)
        np.testing.assert_allclose(together.rotation_covariance[number], root @ root, atol=1e-12)


def test_each_face_once_equals_a_plain_loop_on_random_places():
    rng = np.random.default_rng(19)
    found = stacked(*[entry(0.9, *rng.uniform(0, 300, 2), rng.uniform(20, 90)) for _ in range(80)])
    kept = []
    for i in range(80):
        centres, sizes = found.centre_px[kept], found.size_px[kept]
        if not same_face(found.centre_px[i], found.size_px[i], centres, sizes).any():
            kept.append(i)
    assert 5 < len(kept) < 75
    np.testing.assert_array_equal(each_once(found).centre_px, found.centre_px[kept])


def test_of_too_many_faces_the_known_ones_are_kept_then_the_large_and_sure_ones_in_their_order():
    found = stacked(
        *[entry(s, x, 0, size) for s, x, size in [(0.9, 0, 40), (0.8, 100, 60), (0.7, 200, 50), (0.5, 300, 20)]]
    )
    nobody, last = found.where(slice(0)), found.where(slice(3, 4))
    assert wanted_first(found, 4, nobody) is found
    assert wanted_first(found, 3, nobody).centre_px[:, 0].tolist() == [0, 100, 200]
    assert wanted_first(found, 1, nobody).centre_px[:, 0].tolist() == [100]  # 0.8 * 60 > 0.9 * 40
    assert wanted_first(found, 2, last).centre_px[:, 0].tolist() == [100, 300]
    known = found.where(np.array([3, 0]))  # the small one was seen last
    assert wanted_first(found, 1, known).centre_px[:, 0].tolist() == [300]
    assert wanted_first(found, 2, known).centre_px[:, 0].tolist() == [0, 300]


def test_same_face_is_within_half_of_the_smaller_or_a_third_of_the_larger():
    centres, sizes = np.array([[29.0, 0], [31.0, 0], [29.0, 0], [36.0, 0]]), np.array([60.0, 60.0, 20.0, 100.0])
    np.testing.assert_array_equal(same_face(np.zeros(2), 60.0, centres, sizes), [True, False, False, False])
    np.testing.assert_array_equal(same_face(np.zeros(2), 60.0, [[34.0, 0]], np.array([100.0])), [True])


BLACK = np.zeros((720, 1280, 3), np.uint8)


class ConfirmingCrops:
    """A refiner that confirms a frontal face in every crop, where it was expected, or the one at led_to."""

    places_faces = True

    def __init__(self, led_to=None):
        self.led_to = led_to

    def refine(self, places, source, camera, found=None, passes=1):
        n = len(places)
        led_to_px = places.centre_px if self.led_to is None else np.repeat([camera.project(self.led_to)], n, 0)
        return Candidates(
            score=places.score,
            centre_px=led_to_px,
            size_px=places.size_px,
            R_local=np.tile(np.eye(3), (n, 1, 1)),
            confirmed=np.ones(n, bool),
            **{name: np.repeat(np.asarray(value)[None], n, 0) for name, value in STD.items()},
        )

    def take_counts(self):
        return {}


LEFT = np.array([-0.3, 0.0, 1.2])
RIGHT = np.array([0.3, 0.0, 1.2])


def tracked(model_card, seen, expected, full_frame=True, max_faces=8, led_to=None):
    """x of the faces, m, and whether the whole image, with faces at `seen`, was searched, when some are expected."""
    found = stacked(*[candidate(PINHOLE, np.eye(3), t, score) for t, score in seen])
    network = FixedNetwork(model_card(), found, np.array([0.25, 0.25]))
    estimator = Estimator(whole_image_network(network), EstimatorConfig(max_faces=max_faces), ConfirmingCrops(led_to))
    known = [faces_from_candidates(candidate(PINHOLE, np.eye(3), t), PINHOLE)[0] for t in expected]
    estimate = estimator.estimate(np.zeros((720, 1280, 3), np.uint8), PINHOLE, known, full_frame)
    assert ("inference" in estimate.stage_s) == estimate.full_frame
    return [round(float(face.pose.t_camera_head_m[0]), 1) for face in estimate.faces], estimate.full_frame


def quick_look(model_card, quick, full, expected):
    """As `tracked`, with a quick look at faces at `quick`; and whether detection at full size followed."""
    networks = [
        FixedNetwork(model_card(), stacked(*[candidate(PINHOLE, np.eye(3), t) for t in at]), np.array([0.25, 0.25]))
        for at in (full, quick)
    ]
    whole, half = (whole_image_network(network) for network in networks)
    estimator = Estimator(whole, EstimatorConfig(), ConfirmingCrops(), lambda: half)
    known = [faces_from_candidates(candidate(PINHOLE, np.eye(3), t), PINHOLE)[0] for t in expected]
    estimate = estimator.estimate(np.zeros((720, 1280, 3), np.uint8), PINHOLE, known, quick=True)
    return [round(float(face.pose.t_camera_head_m[0]), 1) for face in estimate.faces], estimate.full_size


def test_a_quick_look_shows_newcomers_and_leaves_small_faces_to_their_tracks(model_card):
    far = 5.0 * RIGHT  # 37 px, 9 on the canvas
    assert quick_look(model_card, [LEFT, RIGHT], [LEFT], [LEFT]) == ([-0.3, 0.3], False)
    assert quick_look(model_card, [LEFT], [LEFT], [LEFT, far]) == ([-0.3, 1.5], False)


def test_a_large_face_that_a_quick_look_does_not_show_is_looked_for_at_full_size(model_card):
    assert quick_look(model_card, [LEFT], [LEFT, RIGHT], [LEFT, RIGHT]) == ([-0.3, 0.3], True)
    assert quick_look(model_card, [LEFT], [LEFT], [LEFT, RIGHT]) == ([-0.3], True)


def test_a_tracked_face_stays_when_a_clearer_one_comes_and_there_is_room_for_one(model_card):
    seen = [(LEFT, 0.6), (RIGHT, 0.9)]
    assert tracked(model_card, seen, [], max_faces=1) == ([0.3], True)
    assert tracked(model_card, seen, [LEFT], max_faces=1) == ([-0.3], True)
    assert tracked(model_card, seen, [LEFT]) == ([-0.3, 0.3], True)


def test_no_more_than_max_faces_are_tracked(model_card):
    seen = [(LEFT, 0.9), (RIGHT, 0.9)]
    assert tracked(model_card, seen, [LEFT, RIGHT], full_frame=False) == ([-0.3, 0.3], False)
    assert tracked(model_card, seen, [LEFT, RIGHT], full_frame=False, max_faces=1) == ([-0.3], False)


def test_two_faces_that_came_to_be_one_are_one_and_full_frame_detection_runs(model_card):
    assert tracked(model_card, [(LEFT, 0.9)], [LEFT, LEFT + [0.01, 0, 0]], full_frame=False) == ([-0.3], True)


def test_of_two_crops_that_lead_to_one_face_the_one_that_was_expected_there_counts():
    between = np.array([-0.28, 0.0, 1.2])
    refiner = ConfirmingCrops(led_to=between + FACE_CENTRE_M)
    for order in ((0, 1), (1, 0)):
        hidden, seen = (
            faces_from_candidates(candidate(PINHOLE, np.eye(3), t, score), PINHOLE)[0]
            for t, score in ((np.array([-0.1, 0.0, 1.6]), 0.5), (LEFT, 0.7))
        )
        expected = expected_places([(hidden, seen)[i] for i in order], PINHOLE)
        found = tracked_ones(refiner.refine(expected, SourceImage(BLACK), PINHOLE), expected)
        np.testing.assert_array_equal(found.score, [0.7])


def test_two_candidates_whose_crops_lead_to_one_face_are_one(model_card):
    seen = [(LEFT, 0.9), (RIGHT, 0.6)]
    assert tracked(model_card, seen, []) == ([-0.3, 0.3], True)
    assert tracked(model_card, seen, [], led_to=LEFT) == ([-0.3], True)
    assert tracked(model_card, seen, [LEFT], led_to=LEFT) == ([-0.3], True)


def test_a_tracked_face_that_full_frame_detection_does_not_show_is_given_up(model_card):
    assert tracked(model_card, [(RIGHT, 0.9)], [LEFT, RIGHT]) == ([0.3], True)


def test_a_face_that_should_have_left_the_image_or_is_behind_the_camera_is_not_looked_for(model_card):
    beyond, behind = np.array([2.0, 0.0, 1.2]), np.array([0.3, 0.0, -1.0])
    assert tracked(model_card, [(LEFT, 0.9)], [beyond, behind], full_frame=False) == ([-0.3], True)


def test_pose_covariance_equals_a_monte_carlo_sample():
    rng = np.random.default_rng(18)
    ray, range_m, lateral, depth, turn = LENS.rays([200.0, 600.0]), 1.5, 0.004, 0.06, 0.03
    R = aflw2000.to_matrix(EulerDeg(yaw=50.0, pitch=10.0, roll=5.0))
    n = 50_000
    covariance = turn**2 * np.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.5]])  # local axes
    e = rng.multivariate_normal(np.zeros(3), covariance, n) @ lookat_rotation(ray)
    shift = rng.normal(size=(n, 3)) * [lateral, lateral, depth] @ lookat_rotation(ray)
    t = range_m * ray + shift - so3.matrix_from_rotvec(e) @ (R @ FACE_CENTRE_M)
    error = np.column_stack([t - (range_m * ray - R @ FACE_CENTRE_M), e])
    sample = error.T @ error / n
    ours = pose_covariance(lookat_rotation(ray), R @ FACE_CENTRE_M, lateral, depth, covariance)
    scale = np.sqrt(np.outer(np.diag(sample), np.diag(sample)))
    np.testing.assert_allclose(ours / scale, sample / scale, atol=0.03)


def test_depth_is_uncertain_by_the_size_of_heads_even_for_a_perfect_network():
    found = candidate(PINHOLE, np.eye(3), np.array([0, 0, 2.0]), SURE_SCORE)
    nothing = {"size_rel_std": np.zeros(1), "rotation_covariance": np.zeros((1, 3, 3)), "centre_rel_std": np.zeros(1)}
    found = replace(found, **nothing)
    pose = with_systematic_spread(faces_from_candidates(found, PINHOLE))[0]
    assert pose.depth_std_m == pytest.approx(HEAD_SIZE_REL_STD * 2.0, rel=1e-3)


def test_a_rotation_is_never_surer_than_what_straight_ahead_means():
    found = candidate(PINHOLE, np.eye(3), np.array([0, 0, 2.0]), SURE_SCORE)
    found = replace(found, rotation_covariance=np.zeros((1, 3, 3)))
    pose = with_systematic_spread(faces_from_candidates(found, PINHOLE))[0]
    assert pose.rotation_std_deg == pytest.approx(2.0)


def test_of_two_candidates_for_one_face_the_confirmed_one_counts_whatever_the_scores():
    unsure, sure = candidate(PINHOLE, np.eye(3), [0, 0, 1.0], 0.9), candidate(PINHOLE, np.eye(3), [0, 0.005, 1.0], 0.6)
    found = replace(stacked(unsure, sure), confirmed=np.array([False, True]))
    once = each_once(confirmed_first(found))
    assert (once.score.tolist(), once.confirmed.tolist()) == ([0.6], [True])
