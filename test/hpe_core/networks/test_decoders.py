"""One contract for every file in hpe_core/networks/whole and hpe_core/networks/crop."""

from dataclasses import replace

import numpy as np
import pytest

from hpe_core import registry
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import range_from_size
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import shipped
from hpe_core.network_card import CROP, WHOLE_IMAGE, card_of
from hpe_core.networks.crop import crop6dof
from hpe_core.networks.network import ROOMS, check_columns
from hpe_core.pipeline.poses import faces_from_candidates
from hpe_core.rotations.fusing import FusedRotation

EVERY_WHOLE_IMAGE_DECODER = pytest.mark.parametrize("name", registry.available(ROOMS[WHOLE_IMAGE]))
CAMERA = CameraModel.from_hfov(641, 481, 60.0)
MIRROR, HALF_TURN = np.diag([-1.0, 1.0, 1.0]), np.diag([-1.0, -1.0, 1.0])
COUNT = 20


ALL, LEAST, PLACED = "all columns", "the needed columns", "the first three columns"
EVERY_CROP_DECODER_AND_PART = pytest.mark.parametrize(
    "name, part", [(name, part) for name in registry.available(ROOMS[CROP]) for part in (ALL, LEAST, PLACED)]
)


def decoder_and_rows(kind, name, part=ALL):
    """The decoder in a file, for a card with its COLUMNS (or a part of them, and the needed ones) one after another,
    and rows (20, C) of 0.1 to 0.3."""
    module = registry.load(ROOMS[kind], name)
    optional = [column for column in module.COLUMNS if column not in module.NEEDED]
    wanted = {*module.NEEDED, *{ALL: optional, LEAST: [], PLACED: optional[:3]}[part]}
    columns = {column: width for column, width in module.COLUMNS.items() if column in wanted}
    spans, first = {}, 0
    for column, width in columns.items():
        spans[column], first = [first, first + width], first + width
    spec = {"columns": spans} | ({"crop_m": 0.28} if kind == CROP else {})
    shape = ("batch", 32, 32, 3) if kind == CROP else (1, 48, 64, 3)
    calibration = {"rotation_std_deg": 7.0} if kind == CROP else {}
    values = {"name": "net", "estimator": name, "spec": spec, "calibration": calibration}
    card = card_of(values, shape, "net.onnx")
    return module.Decoder(card), np.random.default_rng(7).uniform(0.1, 0.3, (COUNT, first))


def ahead(decoder, rows):
    """Candidates of crops around the camera's optical axis, 2 m away."""
    count = len(rows)
    return decoder.decode(rows, np.ones(count), CAMERA, np.tile([0.0, 0.0, 1.0], (count, 1)), np.full(count, 2.0))


def assert_poses(found):
    R, C = found.R_local, found.rotation_covariance
    np.testing.assert_allclose(R @ np.swapaxes(R, 1, 2), np.tile(np.eye(3), (len(R), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1.0)
    assert np.isfinite(C).all() and (np.linalg.eigvalsh(C) > 0).all()
    np.testing.assert_allclose(C, np.swapaxes(C, 1, 2))
    for values in (found.size_px, found.centre_rel_std, found.size_rel_std):
        assert np.isfinite(values).all() and (values > 0).all()


@EVERY_WHOLE_IMAGE_DECODER
def test_rows_of_a_whole_image_become_rotations_with_covariances_best_first(name):
    decoder, rows = decoder_and_rows(WHOLE_IMAGE, name)
    found = decoder.decode(rows, (1.0, 1.0), 0.0)
    assert_poses(found)
    assert len(found) == COUNT and (np.diff(found.score) <= 0).all()


@EVERY_WHOLE_IMAGE_DECODER
def test_candidates_are_in_pixels_of_the_image_and_above_the_least_score(name):
    decoder, rows = decoder_and_rows(WHOLE_IMAGE, name)
    canvas = decoder.decode(rows, (1.0, 1.0), 0.0)
    image = decoder.decode(rows, (0.5, 0.5), float(canvas.score[7]))
    assert len(image) == 7
    np.testing.assert_allclose(image.size_px, 2.0 * canvas.size_px[:7])
    assert len(decoder.decode(rows, (1.0, 1.0), 1.0)) == 0


@EVERY_CROP_DECODER_AND_PART
def test_rows_of_crops_become_rotations_with_covariances(name, part):
    decoder, rows = decoder_and_rows(CROP, name, part)
    found = ahead(decoder, rows)
    assert_poses(found)
    assert len(found) == COUNT
    np.testing.assert_array_equal(found.confirmed, decoder.confirmed(rows))
    assert isinstance(decoder.places_faces, bool)
    assert decoder.doubtful(rows).shape == (COUNT,)
    assert [mask.dtype for mask in decoder.better_way_up(rows, rows)] == [bool, bool]


@EVERY_CROP_DECODER_AND_PART
def test_a_crop_mirrored_or_turned_twice_says_what_the_crop_says(name, part):
    decoder, rows = decoder_and_rows(CROP, name, part)
    once = vars(ahead(decoder, rows))
    for change in (decoder.mirrored, decoder.half_turned):
        twice = vars(ahead(decoder, change(change(rows))))
        for field, values in once.items():
            np.testing.assert_array_equal(twice[field], values, err_msg=field)


# limits: 6 mm from the front, 7.9 in profile, 9.5 where the face points away
FIRST_OF_THREE, TWO_OF_THREE, ALL_THREE = [True, False, False], [True, True, False], [True, True, True]


@pytest.mark.parametrize("yaw_deg, confirmed", [(0, FIRST_OF_THREE), (90, TWO_OF_THREE), (150, ALL_THREE)])
def test_a_face_turned_aside_may_be_less_sure_of_its_place_than_one_that_faces_the_camera(yaw_deg, confirmed):
    decoder, rows = decoder_and_rows(CROP, "crop6dof")
    R = so3.matrix_from_rotvec(np.radians([0.0, yaw_deg, 0.0]))
    rows = rows[:3]
    rows[:, decoder._columns["sixd"]] = [*R[:, 0], *R[:, 1]]
    rows[:, decoder._columns["log_centre_std_m"]] = np.log([[0.005], [0.007], [0.009]])
    assert decoder.confirmed(rows).tolist() == confirmed
    unsure = rows.copy()
    unsure[:, decoder._columns["log_centre_std_m"]] += 1.0  # the other way up
    assert [mask.tolist() for mask in decoder.better_way_up(rows, unsure)] == [confirmed, 3 * [False]]
    assert [mask.tolist() for mask in decoder.better_way_up(unsure, rows)] == [confirmed, 3 * [True]]


@EVERY_CROP_DECODER_AND_PART
def test_a_mirrored_crop_shows_the_mirrored_head(name, part):
    decoder, rows = decoder_and_rows(CROP, name, part)
    seen, mirrored = ahead(decoder, rows), ahead(decoder, decoder.mirrored(rows))
    np.testing.assert_allclose(mirrored.R_local, MIRROR @ seen.R_local @ MIRROR, atol=1e-9)
    np.testing.assert_allclose(mirrored.rotation_covariance, MIRROR @ seen.rotation_covariance @ MIRROR, atol=1e-9)
    np.testing.assert_allclose(mirrored.centre_px, [640.0, 0.0] + seen.centre_px * [-1.0, 1.0])
    np.testing.assert_allclose(mirrored.size_px, seen.size_px)
    if seen.landmarks_m is not None:
        # those of a mesh are as symmetric as the head model, which is so to half a millimetre
        atol = 1e-9 if seen.identity is None else 5e-4
        np.testing.assert_allclose(mirrored.landmarks_m, (seen.landmarks_m @ MIRROR)[:, FLIP_68], atol=atol)
        np.testing.assert_allclose(mirrored.visible, seen.visible[:, FLIP_68])


@EVERY_CROP_DECODER_AND_PART
def test_a_crop_turned_by_half_shows_the_turned_head(name, part):
    decoder, rows = decoder_and_rows(CROP, name, part)
    seen, turned = ahead(decoder, rows), ahead(decoder, decoder.half_turned(rows))
    np.testing.assert_allclose(turned.R_local, HALF_TURN @ seen.R_local, atol=1e-9)
    covariance = HALF_TURN @ seen.rotation_covariance @ HALF_TURN
    np.testing.assert_allclose(turned.rotation_covariance, covariance, atol=1e-9)
    np.testing.assert_allclose(turned.centre_px, [640.0, 480.0] - seen.centre_px)
    if seen.landmarks_m is not None:
        np.testing.assert_allclose(turned.landmarks_m, seen.landmarks_m @ HALF_TURN, atol=1e-6)


def test_rows_of_the_rotation_alone_keep_the_place_and_size_of_their_crops_and_confirm_nothing():
    decoder, rows = decoder_and_rows(CROP, "crop6dof", LEAST)
    rays = CAMERA.rays(np.array([[100.0, 200.0], [500.0, 300.0]]))
    found = decoder.decode(rows[:2], np.array([0.9, 0.8]), CAMERA, rays, np.array([1.0, 2.0]))
    np.testing.assert_allclose(found.centre_px, [[100.0, 200.0], [500.0, 300.0]])
    np.testing.assert_allclose(range_from_size(CAMERA, rays, found.size_px), [1.0, 2.0])
    np.testing.assert_allclose(found.rotation_covariance, np.tile(np.radians(7.0) ** 2 * np.eye(3), (2, 1, 1)))
    assert found.confirmed is None and found.landmarks_m is None and found.visible is None
    assert not decoder.places_faces and not decoder.doubtful(rows).any()
    assert decoder_and_rows(CROP, "crop6dof")[0].places_faces


def test_landmarks_of_a_network_without_visibility_are_all_visible():
    columns = {"sixd": [0, 6], "landmarks_m": [6, 210]}
    card = {"name": "net", "estimator": "crop6dof", "spec": {"columns": columns, "crop_m": 0.28}}
    decoder = crop6dof.Decoder(
        card_of(card | {"calibration": {"rotation_std_deg": 7.0}}, ("batch", 32, 32, 3), "net.onnx")
    )
    rows = np.random.default_rng(7).uniform(0.1, 0.3, (COUNT, 210))
    found = ahead(decoder, rows)
    np.testing.assert_array_equal(found.visible, np.ones((COUNT, 68)))
    np.testing.assert_array_equal(found.landmarks_m, rows[:, 6:].reshape(COUNT, 68, 3))


def test_a_network_without_an_uncertainty_of_its_rotation_has_a_constant_one_in_its_card_or_is_refused():
    card = {"name": "net", "estimator": "crop6dof", "spec": {"columns": {"sixd": [0, 6]}, "crop_m": 0.28}}
    with pytest.raises(HpeError, match="net has no column 'precision_factor'"):
        crop6dof.Decoder(card_of(card, ("batch", 32, 32, 3), "net.onnx"))


def test_a_row_without_a_rotation_is_nan_and_does_not_touch_the_others():
    decoder, rows = decoder_and_rows(CROP, "crop6dof", LEAST)
    rows[3], rows[5, 3:] = 0.0, rows[5, :3]  # zeros, and twice the same column
    found = ahead(decoder, rows)
    without = np.isnan(found.R_local).all((1, 2))
    assert np.flatnonzero(without).tolist() == [3, 5]
    np.testing.assert_array_equal(found.R_local[~without], so3.matrix_from_sixd(rows[~without]))
    fused = FusedRotation(0.3).rotated(
        found, np.zeros(COUNT, bool), replace(found, R_local=np.tile(np.eye(3), (20, 1, 1)))
    )
    assert np.flatnonzero(np.isnan(fused.R_local).any((1, 2))).tolist() == [3, 5]


def dense_decoder(spans):
    card = {"name": "net", "estimator": "dense", "spec": {"columns": spans, "crop_m": 0.28}}
    return registry.load(ROOMS[CROP], "dense").Decoder(card_of(card, ("batch", 32, 32, 3), "net.onnx"))


def spans_of(columns):
    spans, first = {}, 0
    for column, width in columns.items():
        spans[column], first = [first, first + width], first + width
    return spans, first


def test_a_dense_row_gives_crop6dofs_pose_and_the_landmarks_of_its_mesh_where_the_camera_sees_them():
    columns = registry.load(ROOMS[CROP], "dense").COLUMNS
    spans, width = spans_of(columns)
    rows = np.random.default_rng(3).uniform(0.1, 0.3, (4, width))
    found = ahead(dense_decoder(spans), rows)
    pose_spans, pose_width = spans_of(registry.load(ROOMS[CROP], "crop6dof").COLUMNS)
    pose_rows = np.zeros((4, pose_width))
    for name in columns.keys() & pose_spans.keys():
        pose_rows[:, slice(*pose_spans[name])] = rows[:, slice(*spans[name])]
    card = {"name": "net", "estimator": "crop6dof", "spec": {"columns": pose_spans, "crop_m": 0.28}}
    decoder = registry.load(ROOMS[CROP], "crop6dof").Decoder(card_of(card, ("batch", 32, 32, 3), "net.onnx"))
    pose = ahead(decoder, pose_rows)
    for name in ("R_local", "rotation_covariance", "centre_px", "size_px", "visible", "confirmed"):
        np.testing.assert_array_equal(getattr(found, name), getattr(pose, name))
    np.testing.assert_array_equal(found.identity, rows[:, slice(*spans["identity"])])
    for face in faces_from_candidates(found, CAMERA):
        vertices = mesh_of(face).vertices_m[shipped().landmark_vertices]
        np.testing.assert_allclose(face.landmarks_camera_m, vertices, atol=2e-6)


def test_a_mirrored_person_looks_and_winks_with_the_other_eye():
    module = registry.load(ROOMS[CROP], "dense")
    spans, width = spans_of(module.COLUMNS | {"gaze": 4})
    decoder, rows, names = dense_decoder(spans), np.zeros((1, width)), shipped().expression_names
    rows[:, : spans["sixd"][1]] = [1, 0, 0, 0, 1, 0]
    rows[0, spans["expression"][0] + names.index("eyeBlink_L")] = 1.0
    rows[0, slice(*spans["gaze"])] = [0.1, 0.2, 0.3, 0.4]
    mirrored = ahead(decoder, decoder.mirrored(rows))
    assert [names[i] for i in np.flatnonzero(mirrored.expression[0])] == ["eyeBlink_R"]
    np.testing.assert_array_equal(mirrored.gaze_rad[0], [-0.3, 0.4, -0.1, 0.2])


def test_a_gaze_of_another_width_is_refused():
    module = registry.load(ROOMS[CROP], "dense")
    spans, _ = spans_of(module.COLUMNS | {"gaze": 3})
    card = {"name": "net", "estimator": "dense", "spec": {"columns": spans, "crop_m": 0.28}}
    with pytest.raises(HpeError, match="column 'gaze' of net must be 4 wide for dense, got 3"):
        check_columns(card_of(card, ("batch", 32, 32, 3), "net.onnx"), module.COLUMNS, module.NEEDED)
