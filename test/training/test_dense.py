"""The dense network: its head model, labels, loss and training."""

import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.backends import create  # noqa: E402
from hpe_core.catalogue import WEIGHTS  # noqa: E402
from hpe_core.geometry import so3  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from hpe_core.geometry.head import FACE_CENTRE_M  # noqa: E402
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M  # noqa: E402
from hpe_core.mesh.head_model import shipped  # noqa: E402
from training.batches.crops import Views, collate  # noqa: E402
from training.data import crops, head_basis  # noqa: E402
from training.data.shards import ShardSet  # noqa: E402
from training.deploy.export import export  # noqa: E402
from training.losses import dense as dense_loss  # noqa: E402
from training.networks import crop6dof, dense  # noqa: E402
from training.networks._trunks.face_map import AXIS_Z_M, face_map  # noqa: E402
from training.render import assets  # noqa: E402
from training.train import parser, train  # noqa: E402

torch.set_num_threads(1)
R_TRUE = aflw2000.to_matrix(EulerDeg(yaw=25.0, pitch=-10.0, roll=5.0))
UPPER_LIDS = {"L": [43, 44], "R": [37, 38]}  # left and right of the subject


@pytest.fixture(scope="module")
def head():
    with np.load(head_basis.HEAD_MODEL) as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(scope="module")
def ict():
    if not (assets.DEFAULT_DATA / "heads" / "ict_facekit").exists():
        pytest.skip(f"no render data in {assets.DEFAULT_DATA}")
    from training.render.heads.ict import IctModel

    return IctModel()


def moved_m(head, name):
    """Offsets (68, 3) of the landmarks by one expression."""
    return head["expression"][list(head["expression_names"]).index(name), head["landmark_vertices"]].astype(float)


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_blink_lowers_the_upper_lid_of_the_subjects_own_side_and_no_other(head, side):
    moved, other = moved_m(head, f"eyeBlink_{side}"), UPPER_LIDS["R" if side == "L" else "L"]
    assert (moved[UPPER_LIDS[side], 1] > 0.005).all()  # y is down
    assert np.abs(moved[other]).max() < 1e-4
    x = head["mean"][head["landmark_vertices"][UPPER_LIDS[side]], 0]
    assert (x > 0).all() if side == "L" else (x < 0).all()  # x is the subject's left


def test_an_open_jaw_lowers_the_chin_and_leaves_eyes_and_brows(head):
    moved = moved_m(head, "jawOpen")
    assert moved[8, 1] > 0.015 and np.abs(moved[17:27]).max() < 1e-3 and np.abs(moved[36:48]).max() < 1e-3


def test_a_smile_pulls_the_corner_of_the_mouth_up_and_out_on_its_side(head):
    left = moved_m(head, "mouthSmile_L")[54]
    assert left[0] > 0.002 and left[1] < -0.002
    assert np.abs(moved_m(head, "mouthSmile_L")[48]).max() < 1e-3


def test_the_head_model_is_its_source_at_half_precision(head, ict):
    from training.deploy.head_model import MODES

    face = head["part"] == 0
    assert face.sum() == 9409 and (head["expression_names"] == ict.expression_names).all()
    np.testing.assert_allclose(head["mean"][face], ict.neutral[:9409], atol=1e-6)
    for key, source in (("identity", ict.identity[:MODES]), ("expression", ict.expression)):
        np.testing.assert_allclose(head[key][:, face], source[:, :9409], rtol=1e-3, atol=1e-6)
    assert head_basis.HEAD_MODEL.stat().st_size <= 6e6


def test_triangles_of_the_eyeballs_look_outward_and_all_name_vertices(head):
    triangles, v = head["triangles"].astype(int), head["mean"].astype(float)
    assert triangles.max() < len(v)
    for ball in (1, 2):
        own = triangles[head["part"][triangles[:, 0]] == ball]
        a, b, c = (v[own[:, k]] for k in range(3))
        middle = v[head["part"] == ball].mean(0)
        assert (np.sum(np.cross(b - a, c - a) * ((a + b + c) / 3 - middle), axis=1) > 0).mean() > 0.99


def test_landmarks_of_the_mean_head_lie_where_those_of_photographs_do(head):
    own = head["mean"][head["landmark_vertices"]]
    apart = own[:48, :2] - REFERENCE_LANDMARKS_M[:48, :2]  # the mouth of the mean of photographs smiles
    assert np.linalg.norm(apart - apart.mean(0), axis=1).mean() < 0.003


def test_a_mirrored_face_has_the_mirrored_numbers(head):
    basis, rng = head_basis.load(), np.random.default_rng(0)
    both = torch.from_numpy(np.r_[rng.normal(size=40), rng.uniform(0, 1, 53)].astype(np.float32))[None]
    turned = both[:, basis.mirror] * basis.mirror_sign
    face, mirrored = (basis.face(c[:, :40], c[:, 40:])[0, :68].numpy() for c in (both, turned))
    from hpe_core.geometry.landmarks68 import FLIP_68

    np.testing.assert_allclose(mirrored[FLIP_68] * [-1, 1, 1], face, atol=5e-4)


def test_every_expression_has_its_other_side():
    names = head_basis.load().names
    assert {head_basis.other_side(name) for name in names} == set(names)
    assert all(head_basis.other_side(head_basis.other_side(name)) == name for name in names)


def test_points_in_a_crop_are_those_of_a_pinhole_camera_that_looks_at_the_face():
    rng = np.random.default_rng(1)
    face, range_m = rng.uniform(-0.08, 0.08, (20, 3)), 0.5
    camera = (face - FACE_CENTRE_M) @ R_TRUE.T + [0, 0, range_m]
    expected = camera[:, :2] / camera[:, 2:] * range_m * 1.2 + [0.01, -0.02]
    tensors = (torch.tensor(a, dtype=torch.float32) for a in (face[None], R_TRUE[None], [[1.2]], [[0.01, -0.02]]))
    found = dense_loss.in_crop(*tensors, torch.tensor([1 / range_m]))[0].numpy()
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-5)
    np.testing.assert_allclose(found[:, 2], 1.2 * (camera[:, 2] - range_m), atol=1e-6)


def shape_of(faces, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "identity": rng.normal(size=(faces, 100)).astype(np.float32),
        "expression": rng.uniform(0, 1, (faces, 53)).astype(np.float32),
        "gaze_rad": rng.normal(0, 0.2, (faces, 4)).astype(np.float32),
        "per_range": np.full(faces, 1.5, np.float32),
    }


@pytest.fixture
def crop_files(tmp_path, write_shard):
    """Crops of four photographs without, and of four renders with a known shape."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (160, 160, 3)).astype(np.uint8) for _ in range(4)]
    files = []
    for name, std in (("photos", 2.0), ("renders", 0.5)):
        values = {"centre_px": (80.0, 70.0), "size_px": 90.0, "R_local": R_TRUE, "rot_std_deg": std}
        write_shard(tmp_path / name / "shard_0000.npz", images, [{"image": i} | values for i in range(4)])
        stored = crops.store(ShardSet([tmp_path / name]))
        stored |= shape_of(len(stored["weight"])) if name == "renders" else {}
        stored["landmarks_m"] = rng.uniform(-0.05, 0.05, stored["landmarks_m"].shape).astype(np.float32)
        files.append(str(tmp_path / f"{name}.npz"))
        np.savez(files[-1], **stored)
    return files


def test_what_says_exactly_the_labels_has_no_error_of_shape(crop_files):
    data = Views(crop_files[1:], dense.Config(), seed=1, length=4)
    _, labels = collate([data[i] for i in range(4)])
    assert labels["mirrored"].any() and not labels["mirrored"].all()
    rows, columns = torch.zeros(8, dense.ROW), dense.SPEC["columns"]
    shape = dense_loss.canonical(labels)
    pose = {"sixd": labels["R_local"][:, :, :2].transpose(1, 2).flatten(1), "centre_m": labels["centre_m"]}
    pose["log_size"] = labels["log_size"][:, None]
    for name, value in (shape | pose).items():
        rows[:, slice(*columns[name])] = value
    terms = dense_loss.loss_terms(rows, labels, dense.Config())
    assert set(terms) == set(dense_loss.WEIGHTS)
    for name in ("vertices", "identity", "gaze", "landmarks", "openings", "same_face", *dense_loss.POSE):
        assert terms[name].item() < 2e-3, name
    wrong = rows.clone()
    expression = slice(*columns["expression"])
    wrong[:, expression] = (wrong[:, expression] + 0.4) % 1.0
    worse = dense_loss.loss_terms(wrong, labels, dense.Config())
    assert worse["vertices"] > 0.005 and worse["landmarks"] > 0.002
    assert worse["expression"] > terms["expression"] + 0.05


def test_faces_of_known_shape_are_drawn_a_set_share_of_the_time(crop_files):
    data = Views([crop_files[0], crop_files[1]], dense.Config(), seed=0, length=400)
    known = [np.isfinite(data[i][0][1]["identity"]).all() for i in range(400)]
    assert 0.5 < np.mean(known) < 0.7


@pytest.mark.train_smoke
def test_two_steps_make_a_checkpoint_that_exports_with_about_the_pose_of_crop6dof(crop_files, tmp_path):
    options = ["dense", "--crops", *crop_files, "--batch", "2", "--workers", "0", "--threads", "1"]
    options += ["--out", str(tmp_path / "run")]
    train(parser().parse_args([*options, "--clean", "1", "--steps", "2"]))
    train(parser().parse_args([*options, "--steps", "3", "--resume", str(tmp_path / "run" / "last.pt")]))
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 3
    card = {"name": "dense", "estimator": "dense", "data": [], "metrics": {}}
    export([tmp_path / "run" / "last.pt"], card, tmp_path / "dense.onnx")
    crop = cv2.resize(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8), (128, 128))[None]
    backend = create("onnxruntime", tmp_path / "dense.onnx", threads=1)
    rows, smaller = backend.run(crop), create("onnxruntime", WEIGHTS / "crop6dof.onnx", threads=1).run(crop)
    assert rows.shape == (1, 182) and json.dumps(backend.card.raw)
    np.testing.assert_allclose(rows[:, 6:12], smaller[:, 6:12], atol=1e-3)  # the uncertainties are crop6dof's
    np.testing.assert_allclose(rows[:, 15:17], smaller[:, 15:17], atol=1e-3)
    before, after = (so3.matrix_from_sixd(row[:, :6].astype(float)) for row in (smaller, rows))
    assert np.degrees(so3.geodesic_angle(before, after)) < 3
    np.testing.assert_allclose(rows[:, 12:15], smaller[:, 12:15], atol=0.02)
    visibility = slice(*crop6dof.SPEC["columns"]["visibility"])
    np.testing.assert_allclose(rows[:, 17:85], smaller[:, visibility], atol=1e-2)
    assert (rows[:, 125:178] > 0).all() and (rows[:, 125:178] < 1).all()


@pytest.fixture(scope="module")
def untrained():
    return dense.build().eval()


def test_the_map_lies_on_the_mean_face_and_its_normals_look_outward(head):
    points, normals = face_map(shipped(), 48)
    skin = head["mean"][head["part"] == 0].astype(float)
    apart = np.linalg.norm(points.reshape(-1, 1, 3) - skin[::4], axis=-1).min(1)
    assert np.median(apart) < 0.003  # vertices are 3 mm apart, every fourth was asked
    outward = points - [0.0, 0.0, AXIS_Z_M]
    outward[..., 1] = 0.0
    assert ((normals * outward).sum(-1) > 0).mean() > 0.98
    assert points[0, 24, 1] < 0 < points[-1, 24, 1] and points[24, 0, 0] < 0 < points[24, -1, 0]  # y down, x right
    lids = head["mean"][head["landmark_vertices"][36:48], 1]
    rows_of_lids = np.abs(points[:, 24, 1] - lids.mean()) < 0.014
    assert rows_of_lids.sum() >= 1.5 * 48 * 0.028 / 0.195  # as many rows as elsewhere, and half again


def test_a_cell_of_the_map_shows_the_place_where_the_pose_puts_its_point(untrained):
    side, config = untrained.config.side, untrained.config
    ramp = (torch.arange(side) - (side - 1) / 2) / side * config.crop_m  # each pixel's place in metres
    image = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)])[None]
    centre_m, log_size = torch.tensor([[0.01, -0.02]]), torch.tensor([[0.1]])
    laid = untrained.laid_out(image, torch.tensor(R_TRUE[None], dtype=torch.float32), centre_m, log_size)[0]
    points, normals = face_map(shipped(), config.map_side)
    expected = np.exp(0.1) * (points - FACE_CENTRE_M) @ R_TRUE.T + [0.01, -0.02, 0.0]
    inside = np.abs(expected[..., :2]).max(-1) < ramp[-1].item()
    assert inside.mean() > 0.9
    np.testing.assert_allclose(laid[:2].permute(1, 2, 0).numpy()[inside], expected[..., :2][inside], atol=1e-5)
    np.testing.assert_allclose(laid[3].numpy(), -(normals @ R_TRUE.T)[..., 2], atol=1e-6)


def test_a_small_turn_is_a_rotation_in_the_head():
    vector = np.array([0.02, -0.03, 0.01])
    turned = dense.turned(torch.tensor(R_TRUE[None]), torch.tensor(vector[None]))
    expected = R_TRUE @ so3.matrix_from_rotvec(vector)
    assert np.degrees(so3.geodesic_angle(so3.matrix_from_sixd(turned.numpy())[0], expected)) < 0.05  # second order


def test_the_pose_of_a_head_turned_away_is_left_as_it_was(untrained, monkeypatch):
    away = torch.tensor(aflw2000.to_matrix(EulerDeg(yaw=150.0, pitch=0.0, roll=0.0)), dtype=torch.float32)
    facing = torch.tensor(R_TRUE, dtype=torch.float32)
    row = torch.zeros(2, crop6dof.ROW)
    row[:, :6] = torch.stack([away, facing])[:, :, :2].transpose(1, 2).flatten(1)
    pose_of = torch.nn.Identity()
    pose_of.forward = lambda _: row
    monkeypatch.setattr(untrained.pose, "output", pose_of)
    with torch.no_grad():
        moved = untrained(torch.full((2, 128, 128, 3), 90, dtype=torch.uint8))[:, :6] - row[:, :6]
    assert moved[0].abs().max() < 1e-6 and moved[1].abs().max() > 1e-5


def test_the_network_is_small_enough():
    assert sum(p.numel() for p in dense.build().parameters()) < 2.5e6
