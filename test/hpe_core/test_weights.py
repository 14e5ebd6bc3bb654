"""Shipped weights are what was shipped; the user's own are not looked at."""

import json
import shutil

import pytest

from hpe_core import backends, catalogue
from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.nlml.model import load

pytestmark = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A copy of the shipped weights, which is taken for the shipped ones."""
    folder = tmp_path / "weights"
    shutil.copytree(catalogue.WEIGHTS, folder)
    monkeypatch.setattr(catalogue, "WEIGHTS", folder)
    return folder


def flip_last_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_list_of_shipped_weights_is_up_to_date():
    assert catalogue.actual_sums() == catalogue.shipped_sums(), "run `python -m training.deploy.hash_weights`"


def test_one_bit_of_a_shipped_network_is_told_with_both_hashes_and_what_to_do(weights):
    path = weights / "head6dof.onnx"
    shipped = catalogue.sha256_of(path.read_bytes())
    assert backends.create("onnxruntime", path, 1).sha256 == shipped
    flip_last_bit(path)
    found = catalogue.sha256_of(path.read_bytes())
    with pytest.raises(HpeError, match=rf"head6dof\.onnx is not .*{found}.*{shipped}.*install hpe_ros again"):
        backends.create("onnxruntime", path, 1)


def test_a_shipped_network_that_was_cut_off_is_told_as_changed_and_not_as_unreadable(weights):
    path = weights / "crop6dof.onnx"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(HpeError, match="is not the file that was shipped"):
        backends.create("auto", path, 1)


def test_the_landmark_model_is_verified_too(weights):
    load(weights / "nlml.npz")
    flip_last_bit(weights / "nlml.npz")
    with pytest.raises(HpeError, match=r"nlml\.npz is not the file that was shipped"):
        load(weights / "nlml.npz")


def test_a_file_that_was_not_shipped_is_told_among_the_weights_and_taken_elsewhere(weights, tmp_path):
    shutil.copy(weights / "head6dof.onnx", weights / "mine.onnx")
    with pytest.raises(HpeError, match="shipped: no such file"):
        backends.create("onnxruntime", weights / "mine.onnx", 1)
    shutil.move(weights / "mine.onnx", tmp_path / "mine.onnx")
    assert backends.create("onnxruntime", tmp_path / "mine.onnx", 1).card.name == "head6dof"


def test_a_network_for_comparison_is_verified_too(weights_with_whenet):
    path = weights_with_whenet / "zoo" / "whenet.onnx"
    assert backends.create("onnxruntime", path, 1).card.name == "whenet"
    assert catalogue.shipped_sums()["zoo/whenet.onnx"] == catalogue.sha256_of(path.read_bytes())
    flip_last_bit(path)
    with pytest.raises(HpeError, match=r"whenet\.onnx is not the file that was shipped"):
        backends.create("onnxruntime", path, 1)
    shutil.copy(path, path.with_name("mine.onnx"))
    with pytest.raises(HpeError, match="shipped: no such file"):
        backends.create("onnxruntime", path.with_name("mine.onnx"), 1)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_list_is_one_line(weights, content):
    path = weights / catalogue.SUMS
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(HpeError, match=r"SHA256SUMS\.json, the list of shipped weights, cannot be read"):
        backends.create("onnxruntime", weights / "head6dof.onnx", 1)


def test_the_list_is_made_again_by_one_command(weights):
    from training.deploy import hash_weights

    flip_last_bit(weights / "nlml.npz")
    hash_weights.main()
    assert json.loads((weights / catalogue.SUMS).read_text()) == catalogue.actual_sums()
    assert set(catalogue.shipped_sums()) >= {"head6dof.onnx", "nlml.npz"}


def test_hpe_models_names_the_broken_one_and_goes_on_with_the_others(weights, capfd):
    flip_last_bit(weights / "crop6dof_int8.onnx")
    (weights / "astray.onnx").write_text("no network")
    assert main(["models"]) == 2
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 2 and all(line.startswith("hpe: error: ") for line in lines)
    assert "crop6dof_int8.onnx" in lines[0] and "astray.onnx" in lines[1]  # once, though a method has it too
    listed = {line.split()[0] for line in captured.out.splitlines()}
    assert listed >= {"fusion", "crop6dof", "nlml", "head6dof", "head6dof_int8"}
    assert not listed & {"fusion_int8", "crop6dof_int8", "astray"}


def test_hpe_models_with_the_name_of_a_broken_one_is_one_line(weights, capfd):
    flip_last_bit(weights / "head6dof.onnx")
    assert main(["models", "head6dof"]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "head6dof.onnx" in captured.err
    assert main(["models", "crop6dof_int8"]) == 0
