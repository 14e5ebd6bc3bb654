import json

import pytest

from hpe_core import catalogue
from hpe_core.cli import main
from hpe_core.cli.tools import bench


def test_a_report_has_every_network_and_pipeline_with_hardware_and_versions(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    if not catalogue.networks():
        pytest.skip("no shipped model here")
    path = tmp_path / "report.json"
    assert main.main(["bench", "--report", str(path), "--seconds", "0"]) == 0
    report = json.loads(path.read_text())
    assert report["hardware"]["cores"] >= 1 and report["versions"]["numpy"]
    measured = [row for row in report["networks"] if row["backend"] == "onnxruntime"]
    assert {row["model"] for row in measured} == set(catalogue.networks())
    for row in measured:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] and row["calls"] >= 20
        assert row["parity"]["rotation_deg_median"] == 0.0
    assert all(row.get("left_out") or row["p50_ms"] > 0 for row in report["networks"] + report["pipelines"])
    assert [row["model"] for row in report["pipelines"]] == list(bench.PIPELINES)
    assert path.stat().st_size < 20_000
    assert f"written   {path}" in capsys.readouterr().out


def test_a_folder_that_is_missing_is_told_before_anything_is_measured(tmp_path, capsys):
    assert main.main(["bench", "--report", str(tmp_path / "no" / "report.json")]) == 2
    assert "for report.json does not exist" in capsys.readouterr().err


def test_a_report_that_is_there_is_not_replaced_unless_told(tmp_path, capsys):
    (tmp_path / "report.json").write_text("mine")
    assert main.main(["bench", "--report", str(tmp_path / "report.json")]) == 2
    assert "report.json is there already: use --overwrite" in capsys.readouterr().err
    assert (tmp_path / "report.json").read_text() == "mine"


def test_latency_is_percentiles_of_the_calls():
    calls = []
    found = bench.latency(0.0, calls.append, 1)
    assert found["calls"] == 20 and len(calls) == 25 and found["p50_ms"] <= found["p99_ms"]


def stages_of(model, tmp_path):
    path = tmp_path / "stages.json"
    assert main.main(["bench", "--model", model, "--seconds", "0", "--report", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["model"] == model and "networks" not in report
    for row in report["stages"]:
        assert 0 < row["p50_ms"] <= row["p95_ms"]
    return {row["stage"]: row.get("seed_ms") for row in report["stages"]}


@pytest.mark.parametrize("model", ["crop6dof", "head6dof"])
def test_the_stages_of_a_model_without_shapes_end_with_its_poses(model, tmp_path, capsys):
    if model not in catalogue.networks():
        pytest.skip("no shipped model here")
    found = stages_of(model, tmp_path)
    networks = [f"network, {text}" for text in ("1 thread", "2 threads", "4 threads")]
    assert [*found] == ["preprocess", *networks, "postprocess, sparse", "whole pipeline, one face"]
    assert "Dense-Head-Pose-Estimation, another processor" in capsys.readouterr().out


def test_a_dense_model_has_the_stages_of_the_seed_beside_its_figures(dense_net, tmp_path):
    found = stages_of(f"head6dof+{dense_net()}", tmp_path)
    assert found["postprocess, dense"] == 0.39 and found["render"] == 3.92 and found["network, 2 threads"] == 6.88
    assert found["preprocess"] == 0.23 and found["postprocess, sparse"] is None


def test_a_model_that_there_is_not_is_told_in_one_line(capsys):
    assert main.main(["bench", "--model", "densest"]) == 2
    assert "unknown model 'densest', known: " in capsys.readouterr().err
