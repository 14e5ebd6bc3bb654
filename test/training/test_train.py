import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.backends import create  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from hpe_core.pixels.canvas import letterbox  # noqa: E402
from training.batches.scenes import Scenes, collate, faces_from  # noqa: E402
from training.data.labels import FaceLabel  # noqa: E402
from training.data.shards import ShardSet  # noqa: E402
from training.deploy.export import export  # noqa: E402
from training.fit import learning_rate  # noqa: E402
from training.losses.head6dof import WEIGHTS, loss_terms  # noqa: E402
from training.networks import head6dof  # noqa: E402
from training.train import parser, train  # noqa: E402

torch.set_num_threads(1)  # waiting threads would cost more than they bring


@pytest.fixture
def shard_folder(tmp_path, write_shard):
    rng = np.random.default_rng(35)
    images = [np.full((128, 128, 3), (200, 60, 20), np.uint8) for _ in range(3)]  # blue, in BGR
    faces = [
        {
            "image": i,
            "centre_px": rng.uniform(50, 78, 2),
            "size_px": 50.0,
            "R_local": aflw2000.to_matrix(EulerDeg(*rng.uniform(-40, 40, 3))),
        }
        for i in range(3)
    ]
    write_shard(tmp_path / "shards" / "shard_0000.npz", images, faces)
    return tmp_path / "shards"


def test_scenes_are_the_same_for_the_same_seed_and_index(shard_folder):
    shards = ShardSet([shard_folder])
    first, second = (Scenes(shards, head6dof.Config(), seed=5, length=4) for _ in range(2))
    for i in (3, 0):
        torch.testing.assert_close(first[i][0], second[i][0], rtol=0, atol=0)
        torch.testing.assert_close(first[i][1]["R_local"], second[i][1]["R_local"])
    assert not torch.equal(first[0][0], first[1][0])


def test_training_sees_the_same_kind_of_image_as_inference(shard_folder):
    config = head6dof.Config()
    scenes = Scenes(ShardSet([shard_folder]), config, seed=0, length=12)
    canvas, _ = letterbox(np.full((128, 128, 3), (200, 60, 20), np.uint8), config.width, config.height)
    for i in range(12):
        image, _ = scenes[i]
        assert tuple(image.shape) == canvas.shape and image.numpy().dtype == canvas.dtype
    # blue comes first in both
    assert canvas[..., 0].sum() > canvas[..., 2].sum()
    blue = sum(scenes[i][0][..., 0].float().mean() - scenes[i][0][..., 2].float().mean() for i in range(12))
    assert blue > 0


def test_a_batch_keeps_each_images_faces(shard_folder):
    scenes = Scenes(ShardSet([shard_folder]), head6dof.Config(), seed=0, length=3)
    images, faces = collate([scenes[0], scenes[1], scenes[2]])
    assert images.shape == (3, 256, 320, 3) and images.dtype == torch.uint8
    assert [len(f["size_px"]) for f in faces] == [len(scenes[i][1]["size_px"]) for i in range(3)]


def test_label_tensors_are_single_precision_even_without_faces():
    tensors = faces_from(FaceLabel.empty())
    assert tensors["R_local"].shape == (0, 3, 3)
    assert {t.dtype for t in tensors.values()} == {torch.float32}


def test_learning_rate_warms_up_over_200_steps_and_ends_at_one_percent():
    assert learning_rate(0, 1000, 2e-3) == pytest.approx(2e-3 / 200)
    assert learning_rate(199, 10**9, 2e-3) == pytest.approx(2e-3)
    assert learning_rate(500, 1000, 2e-3) == pytest.approx(2e-3 * 0.505)
    assert learning_rate(1000, 1000, 2e-3) == pytest.approx(2e-5)


def test_every_loss_has_a_weight(shard_folder):
    scenes = Scenes(ShardSet([shard_folder]), head6dof.Config(), seed=0, length=8)
    _, faces = collate([scenes[i] for i in range(8)])
    maps = [torch.zeros(8, 13, 256 // s, 320 // s) for s in (8, 16, 32)]
    assert set(loss_terms(maps, faces, head6dof.Config())) == set(WEIGHTS)


@pytest.mark.train_smoke
def test_two_steps_make_a_checkpoint_that_resumes_and_exports(shard_folder, tmp_path):
    out = tmp_path / "run"
    options = [
        "head6dof",
        "--shards",
        str(shard_folder),
        "--out",
        str(out),
        "--batch",
        "2",
        "--workers",
        "0",
        "--threads",
        "1",
        "--seed",
        "4",
    ]
    train(parser().parse_args([*options, "--steps", "2"]))
    saved = torch.load(out / "last.pt", weights_only=True)
    assert saved["step"] == 2 and saved["args"]["seed"] == 4 and saved["commit"]
    fresh = head6dof.build(head6dof.Config(**saved["config"]))
    fresh.load_state_dict(saved["net"], strict=True)
    assert all(torch.all(torch.isfinite(p)) for p in fresh.parameters())
    assert any(torch.any(p != q) for p, q in zip(fresh.parameters(), head6dof.build().parameters(), strict=True))

    train(parser().parse_args([*options, "--steps", "3", "--resume", str(out / "last.pt")]))
    resumed = torch.load(out / "last.pt", weights_only=True)
    assert resumed["step"] == 3
    steps = {int(state["step"]) for state in resumed["optimiser"]["state"].values()}
    assert steps == {3}  # one more, not three more

    card = {"name": "head6dof", "estimator": "head6dof", "licence": "Apache-2.0", "data": [], "metrics": {}}
    export([out / "last.pt"], card, tmp_path / "model.onnx")
    backend = create("onnxruntime", tmp_path / "model.onnx", threads=1)
    assert backend.run(np.zeros((1, 256, 320, 3), np.uint8)).shape == (1, 1680, 14)
    assert backend.card.raw["training"]["step"] == 3
    json.dumps(backend.card.raw)
