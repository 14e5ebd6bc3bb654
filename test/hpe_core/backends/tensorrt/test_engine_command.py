import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpe_core.backends.tensorrt import builder, gpu, sampler
from hpe_core.backends.tensorrt.key import RECIPE
from hpe_core.backends.tensorrt.store import EngineStore
from hpe_core.cli.tools import engine
from hpe_core.errors import HpeError

ROOT = Path(__file__).parents[4]
GOOD = {"rows": 40, "rotation_deg_median": 0.01, "rotation_deg_max": 0.1, "centre_px_median": 0.0, "score_median": 0.0}
BAD = GOOD | {"rotation_deg_median": 0.25}


@pytest.fixture
def hpe():
    """hpe("engine", "list") -> exit code."""

    def run(*arguments):
        parser = argparse.ArgumentParser()
        engine.add_parsers(parser.add_subparsers())
        args = parser.parse_args(arguments)
        return args.command(args)

    return run


@pytest.fixture
def store(own_cache):
    return EngineStore(own_cache)


def test_an_empty_cache_is_no_error(hpe, own_cache, capsys):
    for command in ("list", "check", "prune"):
        assert hpe("engine", command) == 0
    assert capsys.readouterr().out.count(f"0 engines in {own_cache}") == 2


def test_the_store_of_engines_loads_neither_opencv_nor_what_runs_them():
    code = (
        "import sys, hpe_core.backends.tensorrt.store\n"
        "print([name for name in ('cv2', 'onnx', 'hpe_core.backends.tensorrt.backend') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_list_names_engine_gpu_library_and_verdict(hpe, store, key, key_with, capsys):
    store.write(key, b"plan" * 500_000, {}, GOOD)
    store.write(key_with(precision="fp32", max_batch=16), b"plan", {}, BAD)
    store.write(key_with(precision="int8"), b"plan", {})
    assert hpe("engine", "list") == 0
    out = capsys.readouterr().out
    assert f"{key.stem}\n  batch 1, compute capability 8.6, GPU any, tensorrt_rtx 1.7.1.116, 2.0 MB" in out
    assert "0.010 deg from ONNX Runtime (median of 40 rows)" in out
    assert "batch 1 to 16" in out and "refused: rotation differs by 0.25 deg in the median, allowed 0.1" in out
    assert "not yet compared with ONNX Runtime" in out and "3 engines" in out


FOREIGN = {
    "nested": "[" * 100_000,
    "a package": '{"name": "x", "version": "1.0"}',
    "an engine of texts": '{"format": 1, "key": "x", "plan_sha256": 3}',
    "a list": "[1, 2]",
    "not a number": "NaN",
    "binary": "\0\ud7ff\x01",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_list_and_check_tell_a_damaged_sidecar_and_go_on(hpe, store, key, capsys, text):
    store.write(key, b"plan", {}, GOOD)
    name, folder = (f"{key.stem[:-32]}{digit * 32}.json" for digit in "0f")
    (store.folder / name).write_text(text, encoding="utf-8")
    (store.folder / folder).mkdir()
    (store.folder / "foreign.json").write_text(text, encoding="utf-8")
    assert hpe("engine", "list") == 0
    out = capsys.readouterr().out
    assert f"damaged: {folder} is a folder" in out and f"damaged: {name} is damaged" in out and key.stem in out
    assert "foreign" not in out
    assert hpe("engine", "check") == 2


def test_check_fails_on_a_damaged_and_on_a_refused_engine(hpe, store, key, key_with, capsys):
    store.write(key, b"plan", {}, GOOD)
    assert hpe("engine", "check") == 0
    store.write(key_with(precision="fp32"), b"plan", {}, BAD)
    assert hpe("engine", "check") == 2
    store.remove(key_with(precision="fp32"))
    (store.folder / f"{key.stem}.plan").write_bytes(b"plam")
    assert hpe("engine", "check") == 2
    assert "checksum differs" in capsys.readouterr().out


def test_prune_deletes_what_nobody_asks_for_again(hpe, store, key, key_with):
    store.write(key_with(recipe=RECIPE + 1), b"plan", {}, GOOD)
    kept = key_with(recipe=RECIPE, library=_installed_library())
    store.write(kept, b"plan", {}, BAD)
    assert hpe("engine", "prune") == 0
    assert [entry.key for entry, _ in store.entries()] == [kept]
    hpe("engine", "prune", "--refused")
    assert store.entries() == []


def test_prune_deletes_an_earlier_edition_of_a_shipped_model(hpe, store, key_with, monkeypatch):
    monkeypatch.setattr(engine, "_shipped", lambda: {"net": "a" * 64})
    for sha256 in ("a" * 64, "b" * 64):
        store.write(key_with(onnx_sha256=sha256, library=_installed_library()), b"plan", {})
    hpe("engine", "prune")
    assert [entry.key.onnx_sha256 for entry, _ in store.entries()] == ["a" * 64]


SAMPLER = sampler.Sampler(320, 256, "black", 1, 4)
SAMPLED = {"sampler": vars(SAMPLER), "types": {"float16": 0, "quantised": 0, "nodes": 30}}


def test_a_sampler_is_listed_and_checked_by_its_grey_levels(hpe, store, key_with, capsys):
    good = key_with(model=SAMPLER.name, onnx_sha256=SAMPLER.sha256, precision="fp32")
    store.write(good, b"plan", SAMPLED, {"rows": 8, "grey_levels": 0.0123})
    assert hpe("engine", "list") == 0 and hpe("engine", "check") == 0
    out = capsys.readouterr().out
    assert "sampler_320x256_black_16-320x256-fp32-b1-sm86-" in out and "0 of 30 nodes in float16" in out
    assert out.count("0.012 grey levels from ONNX Runtime (worst mean of 8 canvases)") == 2
    store.write(good, b"plan", SAMPLED, {"rows": 8, "grey_levels": 0.75})
    assert hpe("engine", "list") == 0 and hpe("engine", "check") == 2
    assert "refused: a canvas differs by 0.75 grey levels in the mean, allowed 0.5" in capsys.readouterr().out


def test_prune_keeps_the_samplers_of_this_version(hpe, store, key_with):
    current = key_with(model=SAMPLER.name, onnx_sha256=SAMPLER.sha256, library=_installed_library())
    current = replace(current, recipe=RECIPE)
    outdated = [replace(current, onnx_sha256="a" * 64), replace(current, library="tensorrt 8.5.0")]
    outdated.append(replace(current, recipe=RECIPE + 1))
    for key in (current, *outdated):
        store.write(key, b"plan", SAMPLED)
    hpe("engine", "prune")
    kept = [entry.key for entry, _ in store.entries()]
    assert current in kept and outdated[0] not in kept and outdated[2] not in kept
    assert (outdated[1] in kept) == (builder.installed() is None)  # without TensorRT no version is older


def test_prune_all_deletes_all(hpe, store, key, capsys):
    store.write(key, b"plan", {}, GOOD)
    assert hpe("engine", "prune", "--all") == 0
    assert f"deleted {key.stem}.plan" in capsys.readouterr().out
    assert store.entries() == []


@pytest.mark.skipif(gpu.find()[0] is not None, reason="states what happens without a GPU")
def test_build_without_a_gpu_says_what_is_missing_and_what_helps(hpe, write_net):
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(HpeError, match=r"no NVIDIA driver here .*--compute-capability builds for another"):
        hpe("engine", "build", str(write_net()))


@pytest.mark.trt
def test_build_for_another_gpu_stores_an_engine(hpe, store, write_net, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed, so no engine is built")
    path = write_net()
    assert hpe("engine", "build", str(path), "--compute-capability", "8.6", "--compute-capability", "8.9") == 0
    out, err = capsys.readouterr()
    assert out.count("not yet compared with ONNX Runtime") == 6 and "building engine net-64x48-fp16-b1-sm86" in err
    assert {(entry.key.model, entry.key.compute_capability) for entry, _ in store.entries()} == {
        (model, capability)
        for model in ("net", "sampler_64x48_black_1", "sampler_64x48_black_16")
        for capability in ("8.6", "8.9")
    }
    assert hpe("engine", "check") == 0


@pytest.mark.trt
@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--compute-capability", "3.5"), r"compute capability 3\.5, allowed: 7\.5"),
        (("--compute-capability", "8.6", "--max-batch", "64"), r"max_batch must lie in \[1, 16\], got 64"),
        (("--compute-capability", "8.6", "--precision", "int8"), "precision int8 does not fit"),
    ],
)
def test_wrong_wishes_are_told_and_nothing_is_stored(hpe, store, write_net, arguments, message):
    pytest.importorskip("onnx")
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    with pytest.raises(HpeError, match=message):
        hpe("engine", "build", str(write_net()), *arguments)
    assert store.entries() == []


def _installed_library():
    """The library that `prune` compares with, as it names itself; any if there is none."""
    from hpe_core.backends.tensorrt import builder

    return builder.describe(builder.load()) if builder.installed() else "tensorrt 10.3.0"
