import json

import pytest

from hpe_core import catalogue
from hpe_core.cli import bench, main


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
