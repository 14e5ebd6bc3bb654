"""Landmarks of photographs: the table of mesh vertices, depth that agrees with the label, self-occlusion."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("cv2")

from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.landmarks68 import FLIP_68, REFERENCE_LANDMARKS_M
from hpe_core.geometry.rigid import rotation_between_points
from hpe_core.geometry.so3 import geodesic_angle, matrix_from_rotvec
from training.data.labels import FaceLabel, FaceLandmarks
from training.data.shards import ShardWriter, encode
from training.label import landmarks as lm

MEAN = lm.MeanMesh.load()


def turn(axis, degrees):
    return matrix_from_rotvec(np.radians(degrees) * np.eye(3)["xyz".index(axis)])


def label_of(R, size_px=100.0):
    return FaceLabel(R_local=R, centre_px=np.array([60.0, 70.0]), size_px=size_px, rot_std_deg=1.0, weight=1.0)


def mesh_seen(label, points_m=None):
    """A mesh in pixels as MediaPipe would give it for a head with the label's pose."""
    local = (MEAN.points_m if points_m is None else points_m) - FACE_CENTRE_M
    return local @ label.R_local.T * label.size_px / 0.2 + [*label.centre_px, 0]


def hidden(R):
    return set(np.flatnonzero(~MEAN.visible((MEAN.points_m - FACE_CENTRE_M) @ R.T, R)))


def test_flip_swaps_the_sides_of_the_reference_landmarks():
    np.testing.assert_array_equal(FLIP_68[FLIP_68], np.arange(68))
    np.testing.assert_array_equal(REFERENCE_LANDMARKS_M[FLIP_68] * [-1, 1, 1], REFERENCE_LANDMARKS_M)
    assert REFERENCE_LANDMARKS_M[36, 0] < 0 < REFERENCE_LANDMARKS_M[45, 0]  # the subject's left is +x


def test_vertex_table_picks_mirrored_vertices_for_mirrored_landmarks():
    points = lm.landmarks68(MEAN.points_m)
    np.testing.assert_allclose(points[FLIP_68] * [-1, 1, 1], points, atol=2e-4)
    np.testing.assert_allclose(points, REFERENCE_LANDMARKS_M, atol=2e-4)


@pytest.mark.parametrize("R", [np.eye(3), turn("y", 40), turn("x", 25) @ turn("y", -60)], ids=str)
def test_a_perfect_mesh_keeps_its_depth(R):
    label = label_of(R)
    points, reason = MEAN.local_points(mesh_seen(label) + [0, 0, 123], label)  # MediaPipe's zero of depth is its own
    assert reason == ""
    np.testing.assert_allclose(points, (MEAN.points_m - FACE_CENTRE_M) @ R.T, atol=1e-9)


def test_depth_is_turned_until_the_rigid_fit_gives_the_label_back():
    label = label_of(turn("y", 30))
    mesh = mesh_seen(label_of(turn("x", 6) @ turn("y", 24)))
    points, _ = MEAN.local_points(mesh, label)
    R = rotation_between_points(lm.landmarks68(MEAN.points_m), lm.landmarks68(points), lm.FIT_WEIGHT)[0]
    assert np.degrees(geodesic_angle(R, label.R_local)) < 1  # what is left is roll
    np.testing.assert_allclose(points[:, :2] * 500 + label.centre_px, mesh[:, :2])  # the image positions stay


@pytest.mark.parametrize(
    ("mesh", "reason"),
    [
        (mesh_seen(label_of(np.eye(3))) + [15, 0, 0], "place"),
        (mesh_seen(label_of(np.eye(3), 140.0)), "size"),
        (mesh_seen(label_of(turn("y", 20))), "turned"),
    ],
)
def test_a_mesh_that_contradicts_its_label_is_refused_with_the_reason(mesh, reason):
    points, said = MEAN.local_points(mesh, label_of(np.eye(3)))
    assert points is None and reason in said


def test_mean_mesh_is_found_again_from_image_positions_alone():
    rng = np.random.default_rng(0)
    R = matrix_from_rotvec(rng.normal(0, 0.3, (40, 3)))
    seen = ((MEAN.points_m - FACE_CENTRE_M) @ np.swapaxes(R, 1, 2))[..., :2]
    np.testing.assert_allclose(lm.triangulate(R, seen), MEAN.points_m, atol=2e-4)


def test_a_frontal_face_shows_all_landmarks_and_a_profile_one_side():
    assert hidden(np.eye(3)) == set()
    for degrees in (75, 90):
        away = hidden(turn("y", degrees))  # the nose points to the image left: the subject's right is behind
        assert {0, 1, 2, 3, 18, 36, 37, 41, 48} <= away
        assert not away & {11, 12, 13, 14, 15, 16, 24, 25, 42, 45, 46, 54, 30, 8}
        assert hidden(mirrored(turn("y", degrees))) == {FLIP_68[i] for i in away}


def test_shards_get_three_arrays_and_keep_the_rest(tmp_path):
    label = label_of(turn("y", 20))
    writer = ShardWriter(tmp_path)
    unlabelled = FaceLabel.unknown(np.array([5.0, 5.0]), 30.0)
    writer.add(encode(np.zeros((130, 120, 3), np.uint8)), "p", "s", [unlabelled, label, label])
    writer.flush()
    shard = dict(np.load(tmp_path / "shard_0000.npz"))
    assert shard["landmarks_z_m"].shape == (3, 68) and (shard["landmarks_visible"] == 255).all()

    meshes, counts = iter([mesh_seen(label), None]), Counter()
    filled = lm.add_landmarks(shard, lambda image, label: next(meshes), MEAN, counts)
    assert list(filled) == list(shard) and counts == {"landmarks": 1, "NaN: no face mesh": 1}
    for key in set(shard) - {"landmarks_px", "landmarks_z_m", "landmarks_visible"}:
        np.testing.assert_array_equal(filled[key], shard[key])
    expected = (REFERENCE_LANDMARKS_M - FACE_CENTRE_M) @ label.R_local.T
    np.testing.assert_allclose(filled["landmarks_px"][1], label.centre_px + 500 * expected[:, :2], atol=0.2)
    np.testing.assert_allclose(filled["landmarks_z_m"][1], expected[:, 2], atol=3e-4)
    assert np.isnan(filled["landmarks_px"][[0, 2]]).all() and (filled["landmarks_visible"][[0, 2]] == 255).all()
    assert filled["landmarks_visible"].dtype == np.uint8 and filled["landmarks_px"].dtype == np.float32


def test_what_lies_outside_the_image_is_of_unknown_visibility():
    label = label_of(np.eye(3))
    found = lm.projected(MEAN, MEAN.points_m - FACE_CENTRE_M, label, (100, 120, 3))
    assert isinstance(found, FaceLandmarks)
    np.testing.assert_array_equal(found.visible == 255, found.px[:, 1] >= 99.5)
    assert found.visible[8] == 255 and found.visible[30] == 1
