"""Labelling of photographs: conventions, consensus, split by person, face profiling."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the teachers need torch")
pytest.importorskip("onnxruntime", reason="the teachers need onnxruntime")
cv2 = pytest.importorskip("cv2")

from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from hpe_core.geometry.frames import mirrored  # noqa: E402
from hpe_core.geometry.so3 import geodesic_angle, matrix_from_rotvec  # noqa: E402
from training.data import shards  # noqa: E402
from training.data.labels import FaceLabel  # noqa: E402
from training.label import consensus, detect, fit_curves, profile, sources, teachers  # noqa: E402
from training.label.bfm_frame import TEACHERS, BfmFrame  # noqa: E402
from training.label.curves import load  # noqa: E402

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "weights").is_dir(), reason=f"no data at {DATA}")


def turn(axis, degrees):
    return matrix_from_rotvec(np.radians(degrees) * np.eye(3)["xyz".index(axis)])


def face_label(R, centre_px, size_px):
    return FaceLabel(R_local=R, centre_px=centre_px, size_px=size_px, rot_std_deg=1.0, weight=1.0)


def camera_3ddfa(R, scale, x, y):
    """(1, 3, 4) matrix in 3DDFA's axes."""
    return np.column_stack([scale * R, [x, y, 0]])[None]


def test_3ddfa_identity_is_a_frontal_face_at_the_crop_centre():
    camera = teachers.camera_from_3ddfa(
        camera_3ddfa(np.eye(3), 2e-4, 60.5, 60.5), np.array([[100.0, 50.0]]), np.array([240.0]), mirror=False
    )
    np.testing.assert_allclose(camera.R[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(camera.shift[0], [100, 50])
    np.testing.assert_allclose(camera.scale, 4e-4)  # the crop was shrunk by two


def test_3ddfa_turn_that_moves_the_nose_to_the_image_right_is_negative_aflw2000_yaw():
    R_3ddfa = turn("y", 30)  # y up, z to the viewer: z moves to +x, the image's right
    camera = teachers.camera_from_3ddfa(
        camera_3ddfa(R_3ddfa, 2e-4, 60.5, 60.5), np.zeros((1, 2)), np.array([120.0]), mirror=False
    )
    assert aflw2000.from_matrix(camera.R[0]).yaw == pytest.approx(-30)
    nose = camera.project(np.array([[0, 0, -1e5]]))[0, 0] - camera.shift[0]  # forwards is -z in the head frame
    assert nose[0] > 0


def test_mirrored_crop_gives_the_same_camera():
    P = camera_3ddfa(turn("y", 20) @ turn("x", -10) @ turn("z", 5), 2e-4, 70.0, 50.0)
    of_mirror = P.copy()
    of_mirror[0, 0] *= -1  # x to the left ...
    of_mirror[0, :, 0] *= -1  # ... of a head whose own left and right changed places
    of_mirror[0, 0, 3] = 121 - P[0, 0, 3]  # pixel columns 1 to 120
    crop = np.array([[80.0, 90.0]]), np.array([150.0])
    a = teachers.camera_from_3ddfa(P, *crop, mirror=False)
    b = teachers.camera_from_3ddfa(of_mirror, *crop, mirror=True)
    np.testing.assert_allclose(a.R, b.R, atol=1e-12)
    np.testing.assert_allclose(a.shift, b.shift)


def test_crop_keeps_the_pixel_at_its_centre():
    image = np.zeros((50, 60, 3), np.uint8)
    image[20, 30] = 255
    assert teachers.crop(image, np.array([30.0, 20.0]), 5, 5)[2, 2, 0] == 255


def test_outlier_pulls_the_robust_mean_no_farther_than_its_share_of_the_knee():
    R = np.stack([np.eye(3), np.eye(3), turn("x", 40)])[None]
    mean = teachers.robust_rotation_mean(R, np.ones((1, 3)), knee_deg=3.0)
    # balance of forces: two members pull back with 2 t, the outlier with at most 3 deg -> t <= 1.5 (plain mean: 13)
    assert 1.2 < teachers.geodesic_deg(mean[0], np.eye(3)) < 1.5


def test_mean_of_opposite_turns_is_the_middle():
    R = np.stack([turn("y", 60), turn("y", 80), turn("y", 70)])[None]
    np.testing.assert_allclose(teachers.robust_rotation_mean(R, np.ones((1, 3)))[0], turn("y", 70), atol=1e-9)


def test_consensus_of_mirrored_faces_is_the_mirrored_consensus():
    rng = np.random.default_rng(0)
    R = matrix_from_rotvec(rng.normal(0, 0.4, (20, 1, 3))) @ matrix_from_rotvec(rng.normal(0, 0.05, (20, 4, 3)))
    bias = np.array([[1.0, 0, 0], [-2.0, 0, 0], [1.0, 0, 0], [0.0, 0, 0]])  # about x only: the same in the mirror
    mean, spread = consensus.consensus(R, bias)
    mean_m, spread_m = consensus.consensus(mirrored(R), bias)
    np.testing.assert_allclose(mean_m, mirrored(mean), atol=1e-9)
    np.testing.assert_allclose(spread_m, spread)


def test_known_bias_is_found():
    rng = np.random.default_rng(1)
    truth = matrix_from_rotvec(rng.normal(0, 0.3, (500, 1, 3)))
    bias = np.array([[1.5, 0, 0], [-1.0, 0, 0], [-0.5, 0, 0], [0.0, 0, 0]])
    R = truth @ matrix_from_rotvec(np.radians(bias)) @ matrix_from_rotvec(rng.normal(0, 0.01, (500, 4, 3)))
    np.testing.assert_allclose(consensus.estimate_bias(R), bias, atol=0.15)


def test_opnet_weighs_most_and_no_teacher_gains_by_a_turn():
    weight = consensus.teacher_weights(np.stack([np.eye(3), turn("y", 70)])[:, None].repeat(4, 1))
    assert (weight.argmax(1) == TEACHERS.index("opnet")).all()
    assert all((curve.std_deg(turn("y", 70)[None]) > curve.std_deg(np.eye(3)[None])).all() for curve in load().values())


def test_correction_undoes_an_error_that_depends_on_the_true_pose():
    curve = load()["fsanet"]
    truth = turn("x", 40)[None]
    estimate = matrix_from_rotvec(-np.radians(curve.error_deg(truth))) @ truth
    assert teachers.geodesic_deg(estimate, truth) > 2
    assert teachers.geodesic_deg(curve.corrected(estimate), truth) < 0.1


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_curve_says_the_same_of_the_mirrored_face(axis):
    R = (turn("y", 30) @ turn("x", -20) @ turn(axis, 10))[None]
    for curve in load().values():
        np.testing.assert_allclose(curve.corrected(mirrored(R)), mirrored(curve.corrected(R)), atol=1e-9)


def test_an_error_that_is_known_is_fitted():
    rng = np.random.default_rng(2)
    truth = matrix_from_rotvec(rng.normal(0, 0.4, (800, 3)))
    known = load()["b66"]
    source = np.arange(800) % 2
    constant = np.radians([[2.0, 0, 0], [-1.0, 0, 0]])[source]  # of each kind of head: no part of the curve
    error = np.radians(known.error_deg(truth)) + constant + rng.normal(0, 0.01, (800, 3))
    found = fit_curves.fit(matrix_from_rotvec(-error) @ truth, truth, source)
    near = matrix_from_rotvec(rng.normal(0, 0.3, (100, 3)))
    np.testing.assert_allclose(found.error_deg(near), known.error_deg(near), atol=1.0)


def test_outer_eye_corners_of_the_stored_mean_head_are_ninety_millimetres_apart():
    head = BfmFrame.load().landmarks68_m
    assert np.linalg.norm(head[36] - head[45]) == pytest.approx(0.09, abs=1e-4)
    assert head[45, 0] > 0 and head[8, 1] > 0.1  # the left eye on +x, the chin below
    np.testing.assert_allclose(head[27], 0, atol=1e-5)


def test_split_takes_whole_people_and_exactly_the_count():
    photos_of = Counter(a=30, b=2, c=3, d=4) + Counter("efghijkl")  # eight people with one photo fill any gap
    names = [f"{person}/{person}_{i:04d}.jpg" for person, n in photos_of.items() for i in range(n)]
    test = sources.choose_test_photos(names, count=6)
    people = {sources.lfw_person(n) for n in test}
    assert len(test) == 6 and "a" not in people  # nobody with more than 20 photos
    assert people.isdisjoint(sources.lfw_person(n) for n in set(names) - set(test))
    assert test == sources.choose_test_photos(names[::-1], count=6)


@needs_data
def test_stored_lfw_test_list_is_the_one_the_hash_gives():
    names = sources.archive_names(DATA / "photos" / "lfw.zip")
    stored = (Path(sources.__file__).with_name("lfw_test.txt")).read_text().split()
    assert stored == sources.hashes(sources.choose_test_photos(names)) and len(stored) == 1000


def test_iou_of_half_shifted_squares_is_a_third():
    a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 2, 2]])
    assert detect.iou(a, b)[0, 0] == pytest.approx(1 / 3)


def test_shards_return_what_was_written(tmp_path):
    writer = shards.ShardWriter(tmp_path, images_per_shard=2)
    label = face_label(turn("y", 10), np.array([4.0, 5.0]), 30.0)
    for i in range(3):
        writer.add(shards.encode(np.full((8, 8, 3), 40 * i, np.uint8)), f"p{i}", f"s{i}", [label] * i)
    writer.flush()
    assert len(list(tmp_path.glob("shard_*.npz"))) == 2
    back = list(shards.read_shards(tmp_path))
    assert [b[1] for b in back] == ["p0", "p1", "p2"] and [len(b[3]) for b in back] == [0, 1, 2]
    np.testing.assert_allclose(back[2][3][1].R_local, label.R_local, atol=1e-6)


def test_quarter_turn_carries_what_follows_and_leaves_the_background():
    points = np.array([[10.0, 0, -5], [10.0, 0, -5]])
    moved = profile.turned(points, np.array([1.0, 0.0]), np.array([10.0, 0, 0]), turn("y", 90))
    np.testing.assert_allclose(moved, [[5, 0, 0], [10, 0, -5]], atol=1e-12)  # a nose in front goes to the left


def test_turn_adds_to_the_side_that_is_turned_already():
    rng = np.random.default_rng(0)
    for yaw in (-30.0, 20.0):
        for _ in range(20):
            after = aflw2000.from_matrix(profile.choose_turn(yaw, rng) @ aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0)))
            assert after.yaw * np.sign(yaw) >= abs(yaw) - 1e-6 or abs(after.pitch) > 90  # past 90 it folds back


def test_identity_mesh_paints_the_image_and_near_triangles_cover_far_ones():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8), (0, 0), 2)
    corners = np.array([[0.0, 0], [31, 0], [0, 31], [31, 31]])
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    flat = np.column_stack([corners, np.zeros(4)])
    assert np.abs(profile.paint(image, corners, flat, triangles, 32).astype(int) - image).max() <= 2

    source = np.concatenate([corners, np.full((4, 2), 5.0)])  # the near sheet is all of pixel (5, 5)'s colour
    target = np.concatenate([flat, flat - [0, 0, 1]])
    both = np.concatenate([triangles, triangles + 4])
    assert np.abs(profile.paint(image, source, target, both, 32).astype(int) - image[5, 5]).max() <= 1


def test_skull_rim_of_a_frontal_head_is_its_radii():
    label = face_label(np.eye(3), np.zeros(2), 100.0)
    distance, depth = profile.skull_rim(label, np.array([[1.0, 0], [0, 1.0]]))
    np.testing.assert_allclose(distance, profile.SKULL_RADII_M[:2])
    np.testing.assert_allclose(depth, 0, atol=1e-12)


@needs_data
def test_teachers_come_near_their_known_errors_on_fifteen_labelled_photos():
    folder = DATA / "real_labelled" / "aflw2000_dev16"
    rows = [r for r in csv.DictReader((folder / "labels.csv").open()) if "image02773" not in r["file"]]
    images = [cv2.imread(str(folder / "images" / r["file"])) for r in rows]
    box = np.array([[float(r[k]) for k in ("lm_x0", "lm_y0", "lm_x1", "lm_y1")] for r in rows])
    truth = [np.array([float(r[k]) for r in rows]) for k in ("yaw_deg", "pitch_deg", "roll_deg")]
    centre, side = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).max(1)

    nets = teachers.Teachers(DATA / "weights")
    found = {
        "mb05": nets.mb05(images, centre, 1.25 * side).R,
        "b66": nets.b66(images, centre, 1.4 * side),
        "fsanet": nets.fsanet(images, centre, 1.8 * side),
    }
    for name, R in found.items():
        e = aflw2000.from_matrix(R)
        mae = np.mean([np.abs(a - b) for a, b in zip((e.yaw, e.pitch, e.roll), truth, strict=True)])
        assert mae < 4.5, name  # other crops gave 4.07, 3.80 and 3.81
        assert np.degrees(geodesic_angle(R, teachers.rotation_from_aflw2000(*truth))).mean() < 10, name
