import copy
from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hpe_core import backends  # noqa: E402
from hpe_core.config import PipelineConfig, overridden  # noqa: E402
from hpe_core.geometry.camera import CameraModel  # noqa: E402
from hpe_core.pipeline import Pipeline  # noqa: E402
from training.deploy import export  # noqa: E402
from training.deploy.model_file import HALF_STORED_FROM  # noqa: E402
from training.networks import head6dof  # noqa: E402

torch.set_num_threads(1)  # the networks are tiny

CONFIG = head6dof.Config(width=96, height=64, stem=4, widths=(8, 8, 12, 16), blocks=(0, 1, 1, 1))
CARD = {"name": "head6dof", "estimator": "head6dof", "licence": "Apache-2.0", "data": [], "metrics": {}}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(path of the ONNX, the averaged network, card) of a checkpoint whose plain and averaged weights differ."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(28)
    net = head6dof.build(CONFIG)
    average = torch.optim.swa_utils.AveragedModel(head6dof.build(CONFIG), use_buffers=True)
    for m in average.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.normal_(0.0, 0.3)
            m.running_var.uniform_(0.5, 2.0)
    for output in average.module.outputs:
        output.weight.data.normal_(0.0, 0.7)
    checkpoint = {
        "net": net.state_dict(),
        "average": average.state_dict(),
        "step": 7,
        "config": asdict(CONFIG),
        "args": {"seed": 3, "batch": 2, "lr": 0.002, "ema": 0.998, "steps": 9, "workers": 0},
        "commit": "abc1234",
    }
    torch.save(checkpoint, folder / "last.pt")
    card = export.export([folder / "last.pt"], CARD, folder / "head6dof.onnx")
    return folder / "head6dof.onnx", average.module.eval(), card


def test_the_exported_model_computes_what_the_averaged_network_with_half_weights_does(exported):
    path, net, _ = exported
    net = head6dof.Deployed(copy.deepcopy(net)).net
    for parameter in net.parameters():
        if parameter.numel() >= HALF_STORED_FROM:
            parameter.data = parameter.data.half().float()
    image = np.random.default_rng(29).integers(0, 256, (1, 64, 96, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = head6dof.decode(net(torch.from_numpy(image)), CONFIG).numpy()
    rows = backends.create("onnxruntime", path, threads=1).run(image)
    assert expected[..., 0].std() > 0.01
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def test_the_model_carries_its_card(exported):
    path, _, card = exported
    backend = backends.create("onnxruntime", path, threads=1)
    assert backend.input_shape == (1, 64, 96, 3)
    assert backend.card.raw["spec"] == head6dof.SPEC
    assert backend.card.raw["licence"].startswith("Apache-2.0") and backend.card.raw["out_of_scope_use"]
    assert backend.card.raw["config"]["widths"] == [8, 8, 12, 16]
    assert backend.card.raw["training"] == {"commit": "abc1234", "step": 7, "checkpoints": 1} | {
        "seed": 3,
        "batch": 2,
        "lr": 0.002,
        "ema": 0.998,
        "steps": 9,
    }
    assert card["name"] == backend.card.raw["name"] == "head6dof"


def test_other_weights_of_a_network_have_a_name_of_their_own(exported, tmp_path):
    card = export.export(
        [exported[0].parent / "last.pt"], CARD | {"name": "mine", "network": "head6dof"}, tmp_path / "mine.onnx"
    )
    assert card["name"] == "mine" and card["spec"]["name"] == "head6dof"
    assert backends.create("onnxruntime", tmp_path / "mine.onnx", threads=1).card.name == "mine"


def test_the_pipeline_runs_on_the_exported_model(exported):
    settings = {"estimator": {"model": str(exported[0]), "threads": 1, "score_threshold": 0.01}}
    pipeline = Pipeline(overridden(PipelineConfig(), settings))
    image = np.random.default_rng(30).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    result = pipeline.process(image, CameraModel.from_hfov(160, 120, 60.0), 0)
    assert len(result.faces) <= 8


def test_several_checkpoints_are_averaged():
    first, second = (
        {"module.w": torch.tensor([1.0, 3.0]), "module.steps": torch.tensor(4), "n_averaged": torch.tensor(9)},
        {"module.w": torch.tensor([3.0, 5.0]), "module.steps": torch.tensor(6), "n_averaged": torch.tensor(2)},
    )
    mean = export._mean_weights([first, second])
    assert set(mean) == {"w", "steps"} and mean["w"].tolist() == [2.0, 4.0]
    assert mean["w"].dtype == torch.float32 and mean["steps"] == 5
