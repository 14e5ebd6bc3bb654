"""One contract for every file in hpe_core/backends."""

import numpy as np
import pytest

from hpe_core import backends, registry
from hpe_core.errors import HpeError

EVERY_BACKEND = pytest.mark.parametrize("name", registry.available("hpe_core.backends"))
ROWS = np.arange(42, dtype=np.float32).reshape(3, 14)


def backend_or_skip(name, path):
    reason = registry.load("hpe_core.backends", name).unavailable()
    if reason:
        pytest.skip(f"{name}: {reason}")
    return backends.create(name, path, threads=1)


@EVERY_BACKEND
def test_unavailable_is_none_or_a_reason(name):
    reason = registry.load("hpe_core.backends", name).unavailable()
    assert reason is None or (isinstance(reason, str) and reason)


@EVERY_BACKEND
def test_output_is_that_of_the_model(name, write_onnx, model_card):
    backend = backend_or_skip(name, write_onnx(ROWS, model_card(), gain=1.0))
    image = np.random.default_rng(16).integers(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    for frame in (image, 255 - image):  # the second call must not see the first one's data
        rows = backend.run(frame)
        assert rows.dtype == np.float32 and rows.shape == (1, 3, 14)
        np.testing.assert_allclose(rows[0], ROWS + frame.mean(), rtol=1e-3)


@EVERY_BACKEND
def test_an_output_stays_what_it_was_after_the_next_call(name, write_onnx, model_card):
    backend = backend_or_skip(name, write_onnx(ROWS, model_card(), gain=1.0))
    first = backend.run(np.zeros((1, 48, 64, 3), np.uint8))
    kept = first.copy()
    backend.run(np.full((1, 48, 64, 3), 255, np.uint8))
    np.testing.assert_array_equal(first, kept)


@EVERY_BACKEND
def test_model_describes_itself(name, write_onnx, model_card):
    card = model_card(note="ü, 3 < 4")
    backend = backend_or_skip(name, write_onnx(ROWS, card))
    assert backend.card.raw == card and backend.card.name == "fixed" and backend.card.row == 14
    assert tuple(backend.input_shape) == (1, 48, 64, 3)
    assert backend.name == name


@EVERY_BACKEND
def test_model_without_a_card_is_refused(name, write_onnx):
    with pytest.raises(HpeError, match=r"fixed\.onnx carries no 'hpe_model_card' metadata"):
        backend_or_skip(name, write_onnx(ROWS))


@EVERY_BACKEND
@pytest.mark.parametrize("content", [b"", b"this is no model", b"\x08\x08\x12\x04" + bytes(100)])
def test_corrupt_file_is_refused_by_name(name, tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(HpeError, match=r"broken\.onnx"):
        backend_or_skip(name, path)


@EVERY_BACKEND
def test_truncated_model_is_refused_by_name(name, tmp_path, write_onnx, model_card):
    path = tmp_path / "half.onnx"
    whole = write_onnx(ROWS, model_card()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HpeError, match=r"half\.onnx"):
        backend_or_skip(name, path)


@EVERY_BACKEND
def test_missing_file_is_refused_by_name(name, tmp_path):
    with pytest.raises(HpeError, match=r"nowhere\.onnx"):
        backend_or_skip(name, tmp_path / "nowhere.onnx")


def test_unknown_backend_lists_the_known_ones(tmp_path):
    with pytest.raises(HpeError, match=r"unknown backend 'abacus', known: .*onnxruntime"):
        backends.create("abacus", tmp_path / "x.onnx")


def test_auto_takes_the_first_that_works(write_onnx, model_card):
    backend = backends.create("auto", write_onnx(ROWS, model_card()))
    working = [n for n in backends.AUTO_ORDER if registry.load("hpe_core.backends", n).unavailable() is None]
    assert backend.name == working[0]


def test_automatic_choice_names_only_files_that_exist():
    assert set(backends.AUTO_ORDER) <= set(registry.available("hpe_core.backends"))


@pytest.mark.parametrize("name", ["onnxruntime", "auto"])
def test_an_unavailable_backend_says_why(name, tmp_path, monkeypatch):
    for backend in backends.AUTO_ORDER:
        monkeypatch.setattr(registry.load("hpe_core.backends", backend), "unavailable", lambda: "no such chip")
    with pytest.raises(HpeError, match="no such chip"):
        backends.create(name, tmp_path / "x.onnx")


def test_the_choice_is_explained_in_one_line(write_onnx, model_card):
    path = write_onnx(ROWS, model_card())
    assert backends.create("onnxruntime", path).choice == "onnxruntime, asked for by name"
    chosen = backends.create("auto", path)
    assert chosen.choice.startswith(f"{chosen.name}, first that works here (") and "\n" not in chosen.choice
    for name in backends.AUTO_ORDER[: backends.AUTO_ORDER.index(chosen.name)]:
        assert f"{name}: {registry.load('hpe_core.backends', name).unavailable()}" in chosen.choice


def test_a_backend_that_seems_to_be_there_but_does_not_start_is_passed_over_with_its_reason(
    write_onnx, model_card, monkeypatch
):
    cuda = registry.load("hpe_core.backends", "onnxruntime_cuda")
    if cuda.unavailable() is None:
        pytest.skip("onnxruntime_cuda works here")
    monkeypatch.setattr(cuda, "unavailable", lambda: None)
    monkeypatch.setattr(backends, "AUTO_ORDER", ("onnxruntime_cuda", "onnxruntime"))
    chosen = backends.create("auto", write_onnx(ROWS, model_card()))
    assert chosen.name == "onnxruntime"
    assert "onnxruntime_cuda: CUDAExecutionProvider does not start here" in chosen.choice
    with pytest.raises(HpeError, match="fell back to CPUExecutionProvider"):
        backends.create("onnxruntime_cuda", write_onnx(ROWS, model_card()))


def test_a_model_that_no_backend_can_read_is_named_by_the_automatic_choice_too(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"this is no model")
    with pytest.raises(HpeError, match=r"broken\.onnx"):
        backends.create("auto", tmp_path / "broken.onnx")
