"""Stored crops, their random views and the loss on them."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.backends import create  # noqa: E402
from hpe_core.catalogue import WEIGHTS  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry import so3  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000, axis_turn  # noqa: E402
from hpe_core.geometry.frames import mirrored  # noqa: E402
from hpe_core.geometry.landmarks68 import FLIP_68  # noqa: E402
from hpe_core.geometry.so3 import geodesic_angle  # noqa: E402
from training.batches.crops import Views, collate  # noqa: E402
from training.data import crops  # noqa: E402
from training.data.shards import ShardSet  # noqa: E402
from training.deploy.export import export  # noqa: E402
from training.losses import crop6dof as crop_losses  # noqa: E402
from training.networks import crop6dof, head6dof  # noqa: E402
from training.networks._blocks import fuse  # noqa: E402
from training.train import fused_weights, parser, train  # noqa: E402

torch.set_num_threads(1)
SIDE, CROP_M = 128, 0.28
R_TRUE = aflw2000.to_matrix(EulerDeg(yaw=25.0, pitch=-10.0, roll=5.0))


def dot(side, x, y):
    """A black image (side, side, 3) with one bright spot."""
    yy, xx = np.mgrid[:side, :side]
    return np.repeat((255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 18.0))[..., None], 3, -1).astype(np.uint8)


def stored_face(landmark_m):
    """A stored crop with a spot where landmark 36 is, and its labels."""
    marks = np.full((68, 3), np.nan, np.float32)
    marks[36] = landmark_m
    px = np.array(landmark_m[:2]) * crops.STORE_PX / crops.STORE_M + (crops.STORE_PX - 1) / 2
    label = {"R_local": R_TRUE, "rot_std_deg": 2.0, "weight": 1.0, "landmarks_m": marks, "no_face": 0.0}
    return dot(crops.STORE_PX, *px), label | {"landmarks_visible": np.arange(68).astype(np.uint8)}


def spot_of(image):
    """Centroid (2,) px of the brightness."""
    weight = image.astype(float).sum(-1)
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(xx * weight).sum(), (yy * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("seed", range(8))
def test_a_landmark_moves_with_its_pixels(seed, monkeypatch):
    monkeypatch.setattr(crops, "degrade", lambda rng, image: image)
    monkeypatch.setattr(crops, "_coarse", lambda rng, image, least_px: image)
    stored, label = stored_face((0.03, -0.02, 0.01))
    view, moved = crops.random_view(np.random.default_rng(seed), stored, label, SIDE, CROP_M)
    index = FLIP_68[36] if moved["mirrored"] else 36
    expected = moved["landmarks_m"][index]
    np.testing.assert_allclose(spot_of(view), expected[:2] * SIDE / CROP_M + (SIDE - 1) / 2, atol=0.1)
    assert expected[2] == pytest.approx(0.01 * np.exp(moved["log_size"]))
    assert moved["visible"][index] == 36
    assert np.isfinite(moved["landmarks_m"]).any(-1).sum() == 1


@pytest.mark.parametrize("seed", range(8))
def test_undo_leads_back_to_the_photo(seed):
    stored, label = stored_face((0.0, 0.0, 0.0))
    _, moved = crops.random_view(np.random.default_rng(seed), stored, label, SIDE, CROP_M)
    R = moved["undo"] @ moved["R_local"]
    np.testing.assert_allclose(mirrored(R) if moved["mirrored"] else R, R_TRUE, atol=1e-9)


def test_stored_crops_show_the_face_in_the_middle_and_leave_out_small_faces_without_a_pose(tmp_path, write_shard):
    image = dot(160, 61.0, 90.0)
    face = {"image": 0, "centre_px": (61.0, 90.0), "size_px": 40.0}
    small = {"image": 0, "centre_px": (30.0, 30.0), "size_px": 20.0, "weight": 0.0}
    write_shard(tmp_path / "a" / "shard_0000.npz", [image], [face, small])
    stored = crops.store(ShardSet([tmp_path / "a"]), ShardSet([tmp_path / "a"]))
    assert stored["crops"].shape == (1, crops.STORE_PX, crops.STORE_PX, 3)
    np.testing.assert_allclose(spot_of(stored["crops"][0]), 2 * [(crops.STORE_PX - 1) / 2], atol=0.3)
    assert np.isnan(stored["landmarks_m"]).all() and (stored["landmarks_visible"] == 255).all()


def test_an_upside_down_head_is_stored_upright_with_its_labels(tmp_path, write_shard):
    image = dot(160, 80.0, 60.0)  # a spot 20 px above the face centre
    turned = axis_turn(2, np.pi) @ R_TRUE
    face = {"image": 0, "centre_px": (80.0, 80.0), "size_px": 90.0, "R_local": turned}
    write_shard(tmp_path / "a" / "shard_0000.npz", [image], [face])
    stored = crops.store(ShardSet([tmp_path / "a"]), ShardSet([tmp_path / "a"]))
    upright = aflw2000.from_matrix(stored["R_local"][0].astype(float))
    assert abs(upright.roll) < 10 and geodesic_angle(stored["R_local"][0], R_TRUE) < np.radians(10)
    assert spot_of(stored["crops"][0])[1] > crops.STORE_PX / 2 + 10  # below the middle now


def test_some_photos_give_a_crop_beside_the_faces_that_is_no_face(tmp_path, write_shard):
    images = [np.zeros((250, 250, 3), np.uint8) for _ in range(200)]
    faces = [{"image": i, "centre_px": (60.0, 60.0), "size_px": 50.0} for i in range(200)]
    write_shard(tmp_path / "a" / "shard_0000.npz", images, faces)
    stored = crops.store(ShardSet([tmp_path / "a"]), ShardSet([tmp_path / "a"]))
    no_face = stored["no_face"] > 0
    assert no_face.sum() == pytest.approx(200 * crops.NO_FACE_SHARE, abs=10) and no_face.sum() > 2
    assert (stored["weight"][no_face] == 0).all() and (stored["weight"][~no_face] == 1).all()


def test_without_backgrounds_a_render_keeps_its_own(tmp_path, write_shard, monkeypatch):
    images = [np.full((160, 160, 3), 90, np.uint8) for _ in range(8)]
    nobody = [np.zeros((160, 160), np.uint8) for _ in images]  # all of it is background
    faces = [{"image": i, "centre_px": (80.0, 80.0), "size_px": 60.0} for i in range(8)]
    write_shard(tmp_path / "renders" / "shard_0000.npz", images, faces, nobody)
    write_shard(tmp_path / "photos" / "shard_0000.npz", [np.full((160, 160, 3), 200, np.uint8)], faces[:1])
    for options, shades in (([], {90}), (["--backgrounds", str(tmp_path / "photos")], {90, 200})):
        out = tmp_path / "crops.npz"
        monkeypatch.setattr("sys.argv", ["crops", "--shards", str(tmp_path / "renders"), "--out", str(out), *options])
        crops.main()
        with np.load(out) as stored:
            assert {int(shade) for shade in np.round(stored["crops"].mean((1, 2, 3)))} == shades


def test_two_views_of_a_face_lie_side_by_side(crop_file):
    data = Views([crop_file], crop6dof.Config(), seed=1, length=4)
    images, labels = collate([data[0], data[1]])
    assert images.shape == (4, SIDE, SIDE, 3) and images.dtype == torch.uint8
    terms = crop_losses.loss_terms(perfect_rows(labels), labels, crop6dof.Config())
    assert set(terms) == set(crop_losses.WEIGHTS)
    torch.testing.assert_close(collate([data[0]])[0], images[:2])


def perfect_rows(labels, turn=None):
    """Rows that say exactly the labels; turn: (3, 3) from the left of every rotation."""
    n = len(labels["weight"])
    rows = torch.zeros(n, crop6dof.ROW)
    R = labels["R_local"] if turn is None else torch.as_tensor(turn, dtype=torch.float32) @ labels["R_local"]
    rows[:, 0:3], rows[:, 3:6] = R[:, :, 0], R[:, :, 1]
    rows[:, 12:14], rows[:, 14] = labels["centre_m"], labels["log_size"]
    rows[:, 17:221] = torch.nan_to_num(labels["landmarks_m"]).reshape(n, -1)
    return rows


def labels_of(n=4):
    generator = torch.Generator().manual_seed(0)
    R = torch.as_tensor(np.tile(R_TRUE, (n, 1, 1)), dtype=torch.float32)
    return {
        "R_local": R,
        "centre_m": 0.01 * torch.randn(n, 2, generator=generator),
        "log_size": 0.1 * torch.randn(n, generator=generator),
        "landmarks_m": 0.05 * torch.randn(n, 68, 3, generator=generator),
        "visible": torch.ones(n, 68),
        "rot_std_deg": torch.full((n,), 2.0),
        "weight": torch.ones(n),
        "no_face": torch.zeros(n),
        "undo": torch.eye(3).expand(n, 3, 3),
        "mirrored": torch.zeros(n),
    }


def test_the_truth_costs_nothing_but_what_is_said_about_uncertainty():
    labels = labels_of()
    terms = crop_losses.loss_terms(perfect_rows(labels), labels, crop6dof.Config())
    for name in ("rotation", "points", "consistency", "centre", "size", "landmarks"):
        assert terms[name].item() == pytest.approx(0.0, abs=2e-5)
    assert terms["visibility"].item() == pytest.approx(np.log(2.0))


def test_a_turn_of_ten_degrees_costs_ten_degrees():
    labels = labels_of()
    turn = so3.matrix_from_rotvec(np.radians([0.0, 10.0, 0.0]))
    terms = crop_losses.loss_terms(perfect_rows(labels, turn), labels, crop6dof.Config())
    assert np.degrees(terms["rotation"].item()) == pytest.approx(10.0, rel=1e-4)
    assert terms["consistency"].item() == pytest.approx(0.0, abs=2e-5)  # both views are wrong alike


def test_views_that_differ_cost_consistency_without_a_label():
    labels = labels_of() | {"weight": torch.zeros(4)}
    rows = perfect_rows(labels)
    rows[1] = perfect_rows(labels, so3.matrix_from_rotvec([0.0, 0.0, 0.3]))[1]
    terms = crop_losses.loss_terms(rows, labels, crop6dof.Config())
    assert terms["consistency"].item() == pytest.approx(0.15, rel=1e-3)  # one pair of two
    assert terms["rotation"].item() == 0.0


def test_only_what_is_no_face_pays_for_being_sure_of_its_place():
    labels = labels_of() | {"weight": torch.zeros(4), "no_face": torch.tensor([1.0, 1.0, 0.0, 0.0])}
    rows = perfect_rows(labels)
    rows[:, 15] = np.log(crop_losses.NO_FACE_CENTRE_STD_M) - torch.tensor([1.0, 0.0, 5.0, 5.0])
    terms = crop_losses.loss_terms(rows, labels, crop6dof.Config())
    assert terms["no_face"].item() == pytest.approx(0.5)


def test_unknown_landmarks_cost_nothing_and_hidden_ones_half():
    labels = labels_of()
    labels["landmarks_m"][:, 1:] = torch.nan
    labels["landmarks_m"][:, 0], labels["visible"][2:] = 0.0, 0.0
    rows = perfect_rows(labels)
    rows[:2, 17] = 0.2  # one reference length, where the landmark is seen
    terms = crop_losses.loss_terms(rows, labels, crop6dof.Config())
    assert terms["landmarks"].item() == pytest.approx((1 + 1) / (1 + 1 + 0.5 + 0.5))


def test_rotation_nll_is_that_of_a_gaussian():
    rng = np.random.default_rng(1)
    L = np.array([[20.0, 0, 0], [3.0, 10.0, 0], [-2.0, 1.0, 15.0]])
    factor = torch.tensor([[*np.log(np.diag(L)), 3.0, -2.0, 1.0]]).float()
    errors = rng.normal(0, 0.1, (5, 3))
    R = torch.as_tensor(R_TRUE).float().expand(5, 3, 3)
    R_true = torch.as_tensor(so3.matrix_from_rotvec(errors)).float() @ R
    ours = crop_losses.rotation_nll(R, R_true, factor.expand(5, 6)).numpy()
    information = L @ L.T
    plain = [0.5 * e @ information @ e - 0.5 * np.log(np.linalg.det(information)) for e in errors]
    np.testing.assert_allclose(ours, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.train_smoke
def test_two_steps_make_a_checkpoint_that_resumes_and_exports(crop_file, tmp_path):
    options = ["crop6dof", "--crops", str(crop_file), "--out", str(tmp_path / "run"), "--batch", "2"]
    options += ["--workers", "0", "--threads", "1"]
    train(parser().parse_args([*options, "--steps", "2"]))
    train(parser().parse_args([*options, "--steps", "3", "--resume", str(tmp_path / "run" / "last.pt")]))
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert saved["step"] == 3
    card = {"name": "crop6dof", "estimator": "crop6dof", "licence": "Apache-2.0", "data": [], "metrics": {}}
    export([tmp_path / "run" / "last.pt"], card, tmp_path / "crop.onnx")
    backend = create("onnxruntime", tmp_path / "crop.onnx", threads=1)
    crop = cv2.resize(dot(64, 20, 30), (SIDE, SIDE))
    rows = backend.run(np.stack([crop, crop[::-1], crop]))
    assert rows.shape == (3, 289) and np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-5)


@pytest.mark.train_smoke
def test_training_goes_on_from_exported_weights_with_the_function_they_have(crop_file, tmp_path):
    options = ["crop6dof", "--crops", str(crop_file), "--batch", "2", "--workers", "0", "--threads", "1"]
    card = {"name": "crop6dof", "estimator": "crop6dof", "licence": "Apache-2.0", "data": [], "metrics": {}}
    train(parser().parse_args([*options, "--steps", "2", "--out", str(tmp_path / "first")]))
    export([tmp_path / "first" / "last.pt"], card, tmp_path / "first.onnx")
    on = ["--start", str(tmp_path / "first.onnx"), "--lr", "0", "--steps", "1", "--out", str(tmp_path / "second")]
    train(parser().parse_args([*options, *on]))
    export([tmp_path / "second" / "last.pt"], card, tmp_path / "second.onnx")
    crop = cv2.resize(dot(64, 20, 30), (SIDE, SIDE))[None]
    first, second = (
        create("onnxruntime", tmp_path / f"{name}.onnx", threads=1).run(crop) for name in ("first", "second")
    )
    np.testing.assert_array_equal(first, second)


def test_weights_of_another_network_are_refused():
    with pytest.raises(HpeError, match=r"crop6dof\.onnx: got another network, want one with net\."):
        fused_weights(fuse(head6dof.build()), str(WEIGHTS / "crop6dof.onnx"))
