import json
from dataclasses import fields

import pytest

from hpe_core import catalogue
from hpe_core.cli.main import main
from hpe_core.config import EstimatorConfig
from hpe_core.errors import HpeError

OPEN = ("head6dof_open", "crop6dof_open")
MOST_MB, MOST_MB_OF_A_METHOD, MOST_MB_OF_METHODS = 8.0, 1.5, 10.0
MOST_MORE_MB = {("dense", "head_model"): 14.0, ("crop_fast",): 4.0, OPEN: 8.0}  # of files whose names begin so
LARGEST_LOSS_DEG = 0.2
INT8 = ("head6dof_int8", "crop6dof_int8", "crop_fast_int8")
SHIPPED = set(catalogue.networks())
needs_weights = pytest.mark.skipif(
    not {"head6dof", "head6dof_int8", "crop6dof", "crop6dof_int8"} <= SHIPPED, reason="not all models are here"
)
needs_zoo = pytest.mark.skipif(not catalogue.zoo(), reason="no weights of methods for comparison here")


def card(name):
    return json.loads((catalogue.WEIGHTS / f"{name}.json").read_text())


def test_weights_and_cards_take_at_most_8_mb_and_those_of_dense_fast_and_open_have_room_of_their_own():
    files = {path.name: path.stat().st_size for path in catalogue.WEIGHTS.iterdir() if path.is_file()}
    for starts, most_mb in MOST_MORE_MB.items():
        own = {name: files.pop(name) for name in [*files] if name.startswith(starts)}
        assert sum(own.values()) <= most_mb * 1e6, own
    assert sum(files.values()) <= MOST_MB * 1e6, files


@needs_zoo
def test_each_method_for_comparison_is_here_with_a_card_and_all_are_small():
    files = {path.name: path.stat().st_size for path in (catalogue.WEIGHTS / catalogue.ZOO).iterdir()}
    assert {path.removesuffix(".onnx") for path in files if path.endswith(".onnx")} >= {*catalogue.ZOO_METHODS}
    assert {*files} == {f"{name}{suffix}" for name in catalogue.zoo() for suffix in (".onnx", ".json")}
    assert max(files.values()) <= MOST_MB_OF_A_METHOD * 1e6 and sum(files.values()) <= MOST_MB_OF_METHODS * 1e6, files


@needs_weights
def test_methods_are_named_before_whole_image_networks_and_no_crop_network_stands_alone():
    methods = ["fusion", "fusion_int8", "fast", "crop6dof", "nlml", "dense", "dense_int8", "open", "open_int8"]
    whole = ["head6dof", "head6dof_int8", "head6dof_open", "head6dof_open_int8"]
    assert catalogue.models() == methods + whole + catalogue.zoo()


def test_a_method_is_named_when_all_its_parts_are_shipped(monkeypatch):
    monkeypatch.setattr(catalogue, "networks", lambda: ["crop6dof", "head6dof", "head6dof_int8"])
    monkeypatch.setattr(catalogue, "zoo", list)
    assert catalogue.models() == ["fusion", "crop6dof", "nlml", "head6dof", "head6dof_int8"]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of shipped weights: a whole-image network and a crop network that no method names."""
    for name, spec in (("whole", {}), ("another_crop", {"crop_m": 0.3})):
        (tmp_path / f"{name}.onnx").touch()
        (tmp_path / f"{name}.json").write_text(json.dumps({"spec": spec}))
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    return tmp_path


def test_a_shipped_crop_network_of_no_method_is_not_offered_as_a_whole_image_model(weights):
    assert catalogue.networks() == ["another_crop", "whole"]
    assert catalogue.models() == ["whole"]


@pytest.mark.parametrize("text", [None, "", "[]", "{", "[" * 100_000, '{"spec": 3}'])
def test_a_shipped_network_whose_card_cannot_be_read_does_not_break_the_list(weights, text):
    path = weights / "another_crop.json"
    path.unlink() if text is None else path.write_text(text)
    assert "whole" in catalogue.models()


def test_the_help_says_what_auto_is_as_the_catalogue_does(capsys):
    assert catalogue.AUTO_TEXT == "auto: fusion, on a CPU fusion_int8"
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert catalogue.AUTO_TEXT in " ".join(capsys.readouterr().out.split())
    described = next(f.metadata["description"] for f in fields(EstimatorConfig) if f.name == "model")
    assert catalogue.AUTO_TEXT in described


@needs_weights
def test_two_networks_joined_by_a_plus_are_a_method():
    assert catalogue.method_of("head6dof+crop6dof_int8") == catalogue.Method("head6dof", "crop6dof_int8", "fused")
    with pytest.raises(HpeError, match=r"unknown model 'crop7dof', known: fusion, fusion_int8"):
        catalogue.method_of("head6dof+crop7dof")


@needs_weights
def test_both_networks_of_fusion_int8_are_int8_and_those_of_fusion_are_not():
    fast, full = catalogue.METHODS["fusion_int8"], catalogue.METHODS["fusion"]
    assert [card(name)["precision"] for name in (fast.detector, fast.refiner)] == ["int8", "int8"]
    assert not any("precision" in card(name) for name in (full.detector, full.refiner))


@needs_weights
def test_both_networks_of_open_and_of_open_int8_were_trained_on_free_material_and_auto_takes_neither():
    for name in ("open", "open_int8"):
        method = catalogue.METHODS[name]
        assert [card(part)["licence"] for part in (method.detector, method.refiner)] == ["Apache-2.0", "Apache-2.0"]
    assert {catalogue.auto_method(on_cpu) for on_cpu in (False, True)} == {"fusion", "fusion_int8"}


@needs_weights
@pytest.mark.parametrize("name", ["head6dof", "crop6dof", "crop_fast", *OPEN])
def test_an_int8_network_has_its_float_networks_card_but_for_what_was_measured(name):
    own = ("precision", "quantisation", "metrics")
    full, fast = card(name), card(f"{name}_int8")
    assert {k: v for k, v in fast.items() if k not in own} == {k: v for k, v in full.items() if k not in own}


@needs_weights
@pytest.mark.parametrize("name", [*INT8, *(f"{name}_int8" for name in OPEN)])
def test_int8_is_a_fifth_faster_and_loses_less_than_a_fifth_of_a_degree(name):
    report = card(name)["quantisation"]
    assert report["latency_ratio"] < 0.8 and report["target"] == "cpu"
    assert report["found_after"] == report["found_before"]
    assert report["error_after_deg_mean"] < report["error_before_deg_mean"] + LARGEST_LOSS_DEG
    if name.startswith("crop6dof"):
        assert report["crops_error_after_deg_mean"] < report["crops_error_before_deg_mean"] + LARGEST_LOSS_DEG


@needs_weights
def test_a_method_for_comparison_is_its_network_behind_head6dof(weights_with_whenet):
    assert catalogue.method_of("whenet") == catalogue.Method("head6dof", "whenet", "crop")
    assert catalogue.method_of("head6dof_int8+whenet") == catalogue.Method("head6dof_int8", "whenet", "fused")
    assert catalogue.models()[-1] == "whenet" and "whenet" not in catalogue.networks()
    assert catalogue.path_of("whenet") == weights_with_whenet / "zoo" / "whenet.onnx"


@needs_weights
def test_int8_of_a_method_for_comparison_is_known_where_its_file_is(weights_with_whenet):
    with pytest.raises(HpeError, match=r"unknown model 'whenet_int8', known: fusion, .*, whenet$"):
        catalogue.method_of("whenet_int8")
    (weights_with_whenet / "zoo" / "whenet_int8.onnx").touch()
    assert catalogue.method_of("whenet_int8") == catalogue.Method("head6dof", "whenet_int8", "crop")


@pytest.mark.parametrize("name", ["hopenet", "head6dof+hopenet", "hopenet_int8"])
def test_a_method_whose_weights_are_not_here_says_where_they_are(weights_with_whenet, name):
    assert catalogue.missing_from_zoo() == [one for one in catalogue.ZOO_METHODS if one != "whenet"]
    with pytest.raises(
        HpeError, match=r"the network 'hopenet(_int8)?' is not here: .* with a source checkout"
    ) as error:
        catalogue.method_of(name)
    assert "\n" not in str(error.value)
    with pytest.raises(HpeError, match="'hopenet' is not here"):
        catalogue.path_of("hopenet")


def test_no_method_for_comparison_has_the_name_of_one_of_ours():
    assert not {*catalogue.ZOO_METHODS} & {*catalogue.METHODS, *catalogue.networks(), catalogue.AUTO}
