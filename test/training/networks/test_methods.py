"""What every crop method must hold, whoever wrote it: found by its file in training/networks."""

import copy
import json
from dataclasses import asdict, fields

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from hpe_core.backends import create  # noqa: E402
from hpe_core.catalogue import WEIGHTS  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry import so3  # noqa: E402
from training import fit  # noqa: E402
from training.batches.crops import Views, collate  # noqa: E402
from training.deploy import cards  # noqa: E402
from training.deploy.export import export  # noqa: E402
from training.deploy.model_file import HALF_STORED_FROM  # noqa: E402
from training.networks import crop6dof, sixd  # noqa: E402
from training.networks._blocks import fuse  # noqa: E402
from training.networks._trunks import shared  # noqa: E402
from training.networks._trunks.method import MethodConfig, shares  # noqa: E402
from training.train import fused_weights, load_start  # noqa: E402
from training.train_crop import config_of, known, main, network_of, parser, train  # noqa: E402

torch.set_num_threads(1)

METHODS = [name for name in known() if "trunk" in {field.name for field in fields(network_of(name).Config)}]
TRAINABLE = {  # as the papers' repositories have it; whenet: 4,007,548 of the trunk and 322,812
    "hopenet": 23_913_734,
    "hybrid": 25_290_662,
    "lightweight": 206_390,
    "sixd": 43_745_670,
    "ssrnet": 231_763,
    "whenet": 4_330_360,
}
SHIPPED_MB = 1.5

every_method = pytest.mark.parametrize("name", METHODS)
every_trunk = pytest.mark.parametrize("trunk", ["shared", "own"])


def built(name, trunk="shared"):
    """(module, config, network in evaluation mode that has been somewhere: no two crops give the same)."""
    torch.manual_seed(3)
    module = network_of(name)
    config = config_of(module, trunk=trunk)
    net = module.build(config)
    for layer in net.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0.0, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data.normal_(0.0, 0.3)
    return module, config, net.eval()


def crops_of(config, count=3):
    """Crops (count, S, S, 3) uint8 of four by four coloured squares."""
    squares = np.random.default_rng(7).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    square = np.arange(config.side) * 4 // config.side
    return torch.from_numpy(squares[:, square][:, :, square])


def sixd_of(rows):
    return rows[:, :6].double().numpy()


@every_method
def test_a_method_has_what_the_tools_ask_of_it(name):
    module, config = network_of(name), network_of(name).Config()
    assert module.SPEC["name"] == name and module.FREE_BATCH and module.STEPS > 0
    assert module.SPEC["columns"] == config.columns and config.columns["sixd"] == [0, 6]
    spans = sorted(config.columns.values())
    assert [start for start, _ in spans] == [0] + [end for _, end in spans[:-1]]
    for column, (start, end) in config.columns.items():
        a, b = crop6dof.SPEC["columns"][column]
        assert end - start == b - a  # what it has, it has as crop6dof
    assert config.trunk == "shared" and config.input_hwc == (config.side, config.side, 3)
    assert json.loads(json.dumps(asdict(config))) == {
        k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()
    }
    card = json.loads((cards.CARDS / f"{name}.json").read_text())
    assert card["name"] == name and card["estimator"] == "crop6dof" and card["task"] and card["limits"]
    assert not cards.trained_on_free_material(card) or "research" not in json.dumps(card["data"])


@pytest.mark.parametrize("name", sorted(set(TRAINABLE) & set(METHODS)))
def test_a_published_network_has_the_published_number_of_parameters(name):
    module = network_of(name)
    with torch.device("meta"):
        net = module.build(config_of(module, trunk="own"))
    assert sum(p.numel() for p in net.parameters()) == TRAINABLE[name]


@every_method
def test_a_method_on_the_shared_trunk_is_small_enough_to_ship(name):
    _, _, net = built(name)
    assert sum(2 * p.numel() for p in fuse(net).parameters()) < (SHIPPED_MB - 0.03) * 1e6  # graph and card: 0.03


@every_method
def test_rows_hold_a_rotation_or_zeros_that_are_refused(name):
    module, config, net = built(name)
    rows = module.Deployed(net).eval()(crops_of(config)).detach()
    assert rows.shape == (3, max(end for _, end in config.columns.values())) and rows.dtype == torch.float32
    assert torch.isfinite(rows).all()
    for row in sixd_of(rows):
        if row.any():
            x, y = row[:3], row[3:]
            np.testing.assert_allclose([x @ x, y @ y, x @ y], [1, 1, 0], atol=1e-5)
        else:
            with pytest.raises(HpeError, match="degenerate"):
                so3.matrix_from_sixd(row)


@every_method
def test_crops_of_a_batch_do_not_mix(name):
    module, config, net = built(name)
    deployed, crops = module.Deployed(net).eval(), crops_of(config)
    together = deployed(crops).detach()
    for i in range(3):
        torch.testing.assert_close(deployed(crops[i : i + 1]).detach()[0], together[i], atol=1e-3, rtol=1e-3)


@every_method
def test_every_loss_has_a_weight_and_moves_the_whole_network(name, crop_file):
    module, config, net = built(name)
    data = Views([crop_file], config, seed=0, length=4)
    crops, labels = collate([data[i] for i in range(4)])
    assert crops.shape[1:] == config.input_hwc
    terms = module.loss_terms(net.train()(crops), labels, config=config)
    assert set(terms) == set(module.WEIGHTS)
    assert all(torch.isfinite(value) and value.ndim == 0 for value in terms.values())
    sum(module.WEIGHTS[key] * value for key, value in terms.items()).backward()
    still = [key for key, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert still == []


@every_method
def test_faces_without_a_pose_do_not_break_the_loss(name, crop_file):
    module, config, net = built(name)
    data = Views([crop_file], config, seed=0, length=2)
    crops, labels = collate([data[i] for i in range(2)])
    labels |= {"weight": torch.zeros(4), "landmarks_m": torch.full((4, 68, 3), torch.nan)}
    terms = module.loss_terms(net(crops), labels, config=config)
    assert all(torch.isfinite(value) for value in terms.values())


def halved(net):
    """The network with its large weights as the file stores them."""
    for parameter in net.parameters():
        if parameter.numel() >= HALF_STORED_FROM:
            parameter.data = parameter.data.half().float()
    return net


def checkpoint_of(net, config, path):
    average = torch.optim.swa_utils.AveragedModel(net, use_buffers=True)
    args = {"seed": 0, "batch": 2, "lr": 0.001, "ema": 0.9, "steps": 1}
    saved = {"average": average.state_dict(), "step": 1, "config": asdict(config), "args": args, "commit": "abc"}
    torch.save(saved, path)


@every_method
def test_the_exported_method_computes_what_torch_does(name, tmp_path):
    """Within 0.01 degrees, any number of crops, every other column within a thousandth."""
    module, config, net = built(name)
    checkpoint_of(net, config, tmp_path / "last.pt")
    card = json.loads((cards.CARDS / f"{name}.json").read_text())
    export([tmp_path / "last.pt"], card, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size < SHIPPED_MB * 1e6
    crops = crops_of(config)
    expected = halved(module.Deployed(copy.deepcopy(net)).eval())(crops).detach()
    backend = create("onnxruntime", tmp_path / "model.onnx", threads=1)
    rows = backend.run(crops.numpy())
    np.testing.assert_allclose(rows, expected, atol=1e-3, rtol=1e-3)
    R, R_expected = so3.matrix_from_sixd(rows[:, :6]), so3.matrix_from_sixd(sixd_of(expected))
    assert np.degrees(so3.geodesic_angle(R, R_expected)).max() < 0.01
    assert np.abs(np.diff(rows, axis=0)).max() > 1e-5  # no two crops give the same
    assert backend.card.raw["spec"] == module.SPEC and backend.card.raw["config"]["trunk"] == "shared"


@pytest.mark.trt
@every_method
def test_an_engine_builds(name, tmp_path):
    trt = pytest.importorskip(
        "tensorrt_rtx",
        reason="tensorrt_rtx is not installed, so NO ENGINE IS BUILT by these tests (pip install tensorrt_rtx)",
    )
    from hpe_core.backends.tensorrt import make, network_file

    _, config, net = built(name)
    checkpoint_of(net, config, tmp_path / "last.pt")
    export([tmp_path / "last.pt"], json.loads((cards.CARDS / f"{name}.json").read_text()), tmp_path / "model.onnx")
    network = network_file.read(tmp_path / "model.onnx")
    key = make.key_for(trt, network, None, "8.6")
    plan, _ = make.build(trt, network, key, True, lambda text: None)
    assert len(plan) > 2 * sum(p.numel() for p in net.parameters()) * 0.8


# sixd by hand


def test_six_numbers_by_hand():
    rows = sixd.Deployed.sixd(None, torch.tensor([[2.0, 0, 0, 5, 3, 0], [0.0] * 6]))
    assert rows[0].tolist() == [1, 0, 0, 0, 1, 0]  # identity
    assert rows[1].tolist() == [0.0] * 6
    with pytest.raises(HpeError, match="degenerate"):
        so3.matrix_from_sixd(rows[1].numpy())


def test_a_turn_of_ten_degrees_costs_sixd_ten_degrees():
    R = torch.as_tensor(so3.matrix_from_rotvec(np.radians([[0.0, 10.0, 0.0]])), dtype=torch.float32)
    labels = {"R_local": R, "weight": torch.ones(1), "rot_std_deg": torch.zeros(1)}
    terms = sixd.loss_terms(torch.tensor([[1.0, 0, 0, 0, 1, 0]]), labels, sixd.Config())
    assert np.degrees(terms["rotation"].item()) == pytest.approx(10.0, rel=1e-3)


def test_an_uncertain_label_counts_half_and_one_without_a_pose_not_at_all():
    labels = {"weight": torch.tensor([1.0, 1.0, 0.0]), "rot_std_deg": torch.tensor([0.0, 6.0, 0.0])}
    torch.testing.assert_close(shares(labels), torch.tensor([2 / 3, 1 / 3, 0.0]))
    torch.testing.assert_close(shares(labels, torch.tensor([False, True, True])), torch.tensor([0.0, 1.0, 0.0]))
    assert shares(labels, torch.zeros(3)).sum() == 0.0


# the shared trunk


@every_method
def test_the_shared_trunk_starts_as_crop6dofs(name):
    _, config, net = built(name)
    path = str(WEIGHTS / "crop6dof.onnx")
    load_start(net, path)
    whole = fuse(crop6dof.build())
    whole.load_state_dict(fused_weights(whole, path))
    x = shared.scaled(crops_of(config))
    (trunk,) = [part for part in net.modules() if isinstance(part, shared.Shared)]
    stem = whole.stem(x)
    maps = trunk.maps(x)
    torch.testing.assert_close(maps[0], whole.stages[0](stem))
    torch.testing.assert_close(maps[1], whole.stages[1](maps[0]))
    torch.testing.assert_close(maps[2], whole.stages[2][:3](maps[1]))  # one convolution fewer
    assert [m.shape[1] for m in maps] == list(trunk.widths)


def test_a_published_trunk_does_not_start_from_crop6dof():
    _, _, net = built("lightweight", "own")
    with pytest.raises(HpeError, match=r"crop6dof\.onnx: got another network, want one with net\."):
        load_start(net, str(WEIGHTS / "crop6dof.onnx"))


# the trainer


def options(crop_file, name, out, *more):
    plain = ["--model", name, "--crops", str(crop_file), "--out", str(out), "--workers", "0", "--threads", "1"]
    return parser().parse_args([*plain, *map(str, more)])


def test_an_unknown_model_lists_the_known_in_one_line(monkeypatch, crop_file):
    monkeypatch.setattr("sys.argv", ["train_crop", "--model", "openpose", "--crops", str(crop_file), "--out", "x"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert str(stop.value) == f"unknown model 'openpose', known: {', '.join(known())}"
    assert "head6dof" not in known() and {"crop6dof", "hopenet", "sixd"} <= set(known())


def test_crop6dof_has_no_trunk_to_choose(crop_file, tmp_path):
    with pytest.raises(HpeError, match=r"crop6dof has no setting 'trunk', allowed: side, stem"):
        train(options(crop_file, "crop6dof", tmp_path, "--trunk", "own"))


def test_an_unknown_trunk_lists_the_known():
    with pytest.raises(HpeError, match="trunk is 'mine', allowed: shared, own"):
        MethodConfig(trunk="mine")


@pytest.mark.train_smoke
@pytest.mark.parametrize("name", known())
def test_a_run_that_was_cut_off_resumes_to_the_same_result(name, crop_file, tmp_path, monkeypatch):
    begun = name in ("dense", "crop_fast")  # with crop6dof's weights from the first
    start = [] if begun else ["--start", WEIGHTS / "crop6dof.onnx"]
    four = ["--steps", 4, "--batch", 2, "--save-every", 2, *start]
    train(options(crop_file, name, tmp_path / "whole", *four))
    rate = fit.learning_rate

    def cut_off(step, *more):
        if step == 3:
            raise KeyboardInterrupt
        return rate(step, *more)

    monkeypatch.setattr(fit, "learning_rate", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(options(crop_file, name, tmp_path / "parts", *four))
    monkeypatch.setattr(fit, "learning_rate", rate)
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["step"] == 2
    train(options(crop_file, name, tmp_path / "parts", *four, "--resume", tmp_path / "parts" / "last.pt"))
    whole, parts = (torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    for key in ("net", "average"):
        assert all(torch.equal(value, parts[key][part]) for part, value in whole[key].items())


@pytest.mark.train_smoke
@every_method
@every_trunk
def test_two_steps_of_a_method_make_a_checkpoint_that_exports(name, trunk, crop_file, tmp_path):
    train(options(crop_file, name, tmp_path / "run", "--trunk", trunk, "--steps", 2, "--batch", 1))
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert saved["step"] == 2 and saved["config"]["trunk"] == trunk
    card = json.loads((cards.CARDS / f"{name}.json").read_text())
    export([tmp_path / "run" / "last.pt"], card, tmp_path / "model.onnx")
    (tmp_path / "run" / "last.pt").unlink()  # up to 0.7 GB
    config = config_of(network_of(name), trunk=trunk)
    rows = create("onnxruntime", tmp_path / "model.onnx", threads=1).run(crops_of(config).numpy())
    assert rows.shape[0] == 3 and np.isfinite(rows).all()
