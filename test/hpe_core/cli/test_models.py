"""`hpe models`: a table that fits, and the cards of every name in it."""

import json

import pytest
from rich.cells import cell_len

from hpe_core import catalogue
from hpe_core.cli.main import main
from hpe_core.cli.model_facts import names
from hpe_core.cli.terminal import print_table

pytestmark = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")


@pytest.mark.parametrize("columns", [80, 40])
def test_the_list_fits_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    text = "\n".join(lines)
    assert all(name in text for name in names()) and "licence" in text and "Apache-2.0" in text


def test_numbers_of_the_list_are_those_of_the_cards(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["models", "head6dof", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    card = json.loads((catalogue.WEIGHTS / "head6dof.json").read_text())
    assert facts["mae_deg"] == card["metrics"]["aflw2000_dev16"]["euler_mae_deg"][-1]
    assert main(["models"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("head6dof ")).split()
    megabytes = (catalogue.WEIGHTS / "head6dof.onnx").stat().st_size / 1e6
    assert row[1] == f"{facts['mae_deg']:.1f}" and row[4] == f"{megabytes:.1f}"


@pytest.mark.parametrize("name", [*names(), "auto"])
def test_every_name_has_cards_to_read_and_as_json(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["models", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith(name) and max(map(cell_len, text.splitlines())) <= 80
    assert "image00251" not in text  # a row for each image is for --json
    assert main(["models", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == name and all(len(part["sha256"]) == 64 for part in facts["parts"])
    method = catalogue.METHODS.get(catalogue.AUTO_METHOD if name == "auto" else name)
    if method:
        files = [part["name"] for part in facts["parts"]]
        assert files[:2] == [method.detector, method.refiner] and f"{method.refiner}.onnx" in text


def test_a_method_for_comparison_is_listed_and_has_cards(weights_with_whenet, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["models"]) == 0
    rows = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in rows if line.startswith("whenet ")]
    sizes = [(weights_with_whenet / name).stat().st_size for name in ("head6dof.onnx", "zoo/whenet.onnx")]
    assert row[4] == f"{sum(sizes) / 1e6:.1f}"
    assert main(["models", "whenet", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in facts["parts"]] == ["head6dof", "whenet"]
    assert facts["what"] == "head6dof finds faces, whenet refines them, rotation of whenet"


def test_methods_whose_weights_are_not_here_are_named_with_the_way_to_them(weights_with_whenet, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["models"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("not here: fsanet, hopenet, ") and "whenet" not in last and "source checkout" in last
    assert main(["models", "ssrnet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "source checkout" in captured.err


def test_the_line_of_absent_methods_goes_when_all_are_here(weights_with_whenet, write_fixed_crops, capsys):
    for name in catalogue.ZOO_METHODS:
        write_fixed_crops(weights_with_whenet / catalogue.ZOO / f"{name}.onnx")
    (weights_with_whenet / catalogue.SUMS).write_text(json.dumps(catalogue.actual_sums()))
    assert main(["models"]) == 0
    assert "not here" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 40])
def test_a_table_with_many_columns_goes_on_below_without_a_broken_number(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    header = ["a long title of a row, in words", *(f"method {i}" for i in range(9))]
    rows = [[f"row {r} of the table, in words", *(f"{r}{i}.125 to {r}{i}.25" for i in range(9))] for r in range(3)]
    print_table("title", header, rows)
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= columns
    assert all(text.count(cell) == 1 for row in rows for cell in row[1:])
