"""`hpe export --to litert`: real conversions, run by LiteRT."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
MISSING = "NOT TESTED: export to LiteRT (pip install -e '.[train,litert]')"
for package in ("torch", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"):
    pytest.importorskip(package, reason=MISSING)

from hpe_core import backends  # noqa: E402
from hpe_core.cli import main  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402
from training.deploy import litert, onnx_torch  # noqa: E402


def images(count, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 64, 3)).astype(np.uint8)


@pytest.fixture
def exporter(entry_point):
    """The entry point of `hpe export`, as an installed checkout has it."""
    entry_point("hpe.exporters", "litert = training.deploy.litert:export")


def test_a_litert_file_gives_the_numbers_of_its_onnx_and_carries_its_card(write_net):
    path = write_net()
    reference, made = backends.create("onnxruntime", path, threads=1), litert.float_file(path)
    expected = np.concatenate([reference.run(image[None]) for image in images(3)])
    np.testing.assert_allclose(litert.runner(made)(images(3)), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(HpeError, match="carries no 'hpe_model_card' metadata"):
        litert.card_of(made)
    written = litert.with_card(made, litert.card_for(reference, "float32", {"rows": 1}))
    card = litert.card_of(written)
    assert card["litert"]["of"] == reference.sha256
    assert {**card, "litert": 0, "precision": 0} == {**reference.card.raw, "litert": 0, "precision": 0}
    np.testing.assert_array_equal(litert.runner(written)(images(1)), litert.runner(made)(images(1)))


def test_8_bits_hold_the_inner_layers_and_the_numbers_survive_the_card(write_net, tmp_path):
    model = litert.on_grid(onnx.load(write_net()), [image[None] for image in images(8)])
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, whole in (("b.w", True), ("c.w", True), ("a.w", False), ("out.w", False)):
        rows = tensors[name].reshape(len(tensors[name]), -1)
        steps = rows / (np.abs(rows).max(1, keepdims=True) / 127.0)
        assert (np.abs(steps - np.round(steps)).max() < 1e-3) == whole, name
    onnx.save(model, tmp_path / "grid.onnx")
    full = litert.float_file(tmp_path / "grid.onnx")
    made = litert.with_8_bit_weights(full)
    assert (
        len(full) - len(made) > 2 * 8 * 8 * 9
    )  # two layers of 576 weights, at 1 byte instead of 4; scales come on top
    card = litert.card_for(backends.create("onnxruntime", write_net(), threads=1), "int8", {"rows": 1})
    assert card["precision"] == "int8"
    rows = litert.runner(made)(images(2))
    np.testing.assert_array_equal(litert.runner(litert.with_card(made, card))(images(2)), rows)
    difference = np.abs(rows - litert.runner(full)(images(2)))[..., 4:10]
    assert 0 < np.median(difference) < 0.05


def test_the_command_writes_both_files_with_their_cards(write_net, exporter, tmp_path, capsys):
    words = ["export", str(write_net()), "--to", "litert", "--out", str(tmp_path / "out"), "--count", "8"]
    assert main.main(words) == 0
    said = capsys.readouterr().out
    assert said.count("deg from ONNX Runtime") == 2
    for name, precision in (("net", "fp32"), ("net_int8", "int8")):
        content = (tmp_path / "out" / f"{name}.tflite").read_bytes()
        card = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert litert.card_of(content) == card
        assert card["precision"] == precision
        assert (
            card["litert"]["parity"]["rotation_deg_median"]
            <= litert.LIMIT_DEG[{"fp32": "float32"}.get(precision, precision)]
        )
    assert main.main(words) == 2
    assert "net.tflite is there already: use --overwrite" in capsys.readouterr().err


def test_a_file_that_turns_heads_is_refused_with_the_number(write_net):
    reference = backends.create("onnxruntime", write_net(seed=0), threads=1)
    other = litert.float_file(write_net(seed=1))
    with pytest.raises(
        HpeError, match=r"^net as float32: rotation differs by \d+\.\d+ deg in the median, allowed 0\.1"
    ):
        litert.checked(reference, other, "float32")


def test_an_int8_network_is_not_converted_again(exporter, tmp_path, capsys):
    assert main.main(["export", "crop6dof_int8", "--to", "litert", "--out", str(tmp_path)]) == 2
    assert "crop6dof_int8.onnx is INT8 already: export the float network" in capsys.readouterr().err


def test_without_the_converter_the_extra_is_named(exporter, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(litert, "PACKAGES", ("absent_converter",))
    assert main.main(["export", "crop6dof", "--to", "litert", "--out", str(tmp_path)]) == 2
    assert "needs absent_converter: in the source checkout, pip install -e '.[litert]'" in capsys.readouterr().err


def test_an_operator_that_is_not_known_is_named(write_net):
    model = onnx.load(write_net())
    model.graph.node[-1].op_type = "Hardmax"
    with pytest.raises(HpeError, match=r"^operators .*Hardmax.* cannot be converted, known: Abs, Add,"):
        onnx_torch.OnnxModule(model)
