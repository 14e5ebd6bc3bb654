"""Cards say what people must know, in the file, beside it and on the page, and nothing that the data forbid."""

import json
import shutil

import numpy as np
import pytest

from docs import make_cards
from hpe_core import backends, catalogue
from hpe_core.cli.card_text import sections
from hpe_core.cli.main import main
from training.deploy import cards
from training.measure import subgroups

onnx = pytest.importorskip("onnx")
NAMES = sorted(path.stem for path in catalogue.WEIGHTS.glob("*.json") if path.name != catalogue.SUMS) + catalogue.zoo()
AGAIN = "run `python -m training.deploy.cards` and `python -m docs.make_cards`"


def shipped(name):
    folder = catalogue.WEIGHTS / (catalogue.ZOO if name in catalogue.zoo() else "")
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_says_what_training_cards_says(name):
    card = shipped(name)
    own = cards.complete(json.loads((cards.CARDS / f"{card['name']}.json").read_text()))
    assert {key: card.get(key) for key in cards.TEXTS} == {key: own[key] for key in cards.TEXTS}, AGAIN


@pytest.mark.parametrize("name", catalogue.networks() + catalogue.zoo())
def test_the_card_in_the_file_is_the_one_beside_it(name):
    assert backends.create("onnxruntime", catalogue.path_of(name), 1).card.raw == shipped(name)


def test_the_page_of_the_models_is_up_to_date():
    assert make_cards.PAGE.read_text() == make_cards.page(), AGAIN


@pytest.fixture
def own_card(tmp_path, monkeypatch):
    """training/cards with a card for `whenet`, if there is none yet."""
    folder = tmp_path / "cards"
    shutil.copytree(cards.CARDS, folder)
    monkeypatch.setattr(cards, "CARDS", folder)
    texts = {"name": "whenet", "estimator": "crop6dof", "task": "yaw of the full circle", "limits": ["own limit"]}
    (folder / "whenet.json").write_text(json.dumps(texts | {"data": [{"name": "heads", "licence": "CC0"}]}))


def test_the_command_writes_the_card_and_the_hash_of_a_method_for_comparison(weights_with_whenet, own_card, capsys):
    cards.main()
    assert "written   14 cards" in capsys.readouterr().out
    card = shipped("whenet")
    assert card["limits"][0] == "own limit" and "the default is better" in card["limits"][1]
    assert len(card["intended_use"]) == 1 and "comparing methods" in card["intended_use"][0]
    assert card["out_of_scope_use"] == shipped("head6dof")["out_of_scope_use"]
    assert card["calibration"] == {"rotation_std_deg": 7.0}  # of one training: as it was
    assert catalogue.shipped_sums() == catalogue.actual_sums() and "zoo/whenet.onnx" in catalogue.actual_sums()
    assert backends.create("onnxruntime", catalogue.path_of("whenet"), 1).card.raw == card


def test_the_page_has_a_section_for_methods_for_comparison_that_says_once_what_all_say(
    weights_with_whenet, own_card, write_fixed_crops
):
    (weights_with_whenet / catalogue.ZOO / "whenet.json").unlink()
    without = make_cards.page()
    assert "Methods for comparison" not in without
    for name in ("sixd", "whenet"):
        write_fixed_crops(weights_with_whenet / catalogue.ZOO / f"{name}.onnx")
        own = {"name": name, "task": f"{name}'s task", "data": [{"name": "heads", "licence": "CC0"}]}
        (cards.CARDS / f"{name}.json").write_text(json.dumps(own))
    cards.update(weights_with_whenet / catalogue.ZOO)
    page = make_cards.page()
    assert page.index("## Methods for comparison") < page.index("### sixd") < page.index("### whenet")
    assert page.count("the default is better") == 1 and page.count("sixd's task") == 1
    assert page[: page.index("## Groups")].count("comparing methods of head pose estimation") == 1


def test_new_texts_change_neither_the_network_nor_its_numbers(tmp_path):
    for suffix in (".onnx", ".json"):
        shutil.copy(catalogue.WEIGHTS / f"crop6dof_int8{suffix}", tmp_path)
    path = tmp_path / "crop6dof_int8.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps(before | {"limits": "old"}))
    old = onnx.load(path.with_suffix(".onnx"))
    cards.update(tmp_path)
    new = onnx.load(path.with_suffix(".onnx"))
    assert json.loads(path.read_text()) == before
    assert new.graph == old.graph


@pytest.mark.parametrize(
    ("licences", "free"),
    [
        (["CC0", "MIT"], True),
        (["CC0, MIT", "any purpose, with citation"], True),
        (["CC0", "research"], False),
        (["CC0, MIT; the photos' own"], False),
        (["Apache-2.0 repository, third-party photos"], False),
        (["non-commercial"], False),
        ([], False),
    ],
)
def test_weights_are_free_only_when_all_of_their_data_are(licences, free):
    card = {"data": [{"name": "x", "licence": licence} for licence in licences]}
    assert cards.trained_on_free_material(card) is free
    assert ("research-only" not in cards.complete(card)["permission"]) is free


@pytest.mark.parametrize("name", ["crop6dof_open", "head6dof_open"])
def test_open_weights_may_go_into_products_and_were_neither_trained_nor_calibrated_on_lfw(name):
    own = json.loads((cards.CARDS / f"{name}.json").read_text())
    card = cards.complete(own)
    assert card["licence"] == "Apache-2.0" and "products too" in card["permission"]
    assert "LFW" not in json.dumps(own["data"]) + json.dumps(card["chosen_on"])


@pytest.mark.parametrize("name", [name for name in NAMES if cards.OPEN in name])
def test_the_data_of_shipped_open_weights_are_free_and_hold_no_teachers_labels(name):
    card = shipped(name)
    assert cards.trained_on_free_material(card) and card["licence"] == "Apache-2.0"
    told = json.dumps(card["data"])
    not_free = ("LFW", "UTKFace", "muxspace", "ensemble", "MediaPipe", "OpNet", "3DDFA", "FSA-Net", "research", "non-")
    assert [word for word in not_free if word in told] == []
    assert "cite" in card["permission"] and "Pointing 2004" in told


def test_the_command_prints_a_card_to_read_and_all_of_it_as_json(capsys):
    assert main(["models", "head6dof"]) == 0
    text = capsys.readouterr().out
    titles = [title for title, _ in sections(shipped("head6dof"))]
    assert [title for title in titles if title not in text] == []
    assert {"Intended use", "Not for", "Privacy", "What you may do with the weights", "Limits"} <= set(titles)
    assert main(["models", "head6dof", "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    assert part.items() >= shipped("head6dof").items()


def test_a_card_of_a_users_own_network_may_lack_every_text():
    assert sections({"name": "mine", "spec": {}}) == []


def test_the_mean_of_the_card_lies_in_its_interval():
    (line,) = [line for line in dict(sections(shipped("head6dof")))["Measured"] if "95 % CI" in line]
    mean, low, high = (float(word) for word in line.replace(",", "").split() if word.count(".") == 1)
    assert low < mean < high


@pytest.mark.parametrize(
    ("bgr", "group"),
    [((180, 205, 240), "light"), ((100, 145, 195), "tan"), ((35, 50, 80), "dark")],
)
def test_colour_is_read_from_the_middle_of_the_face(bgr, group):
    image = np.zeros((80, 80, 3), np.uint8)
    image[30:60, 20:60] = bgr
    angle = subgroups.typology_angle_deg(image, np.array([15.0, 15.0, 65.0, 65.0]))
    low, high = subgroups.ITA_DEG[group]
    assert low <= angle < high
    assert np.isnan(subgroups.typology_angle_deg(image, np.array([-60.0, 0.0, -10.0, 50.0])))


def test_the_interval_of_a_share_by_hand():
    """Wilson for 10 of 10: from n / (n + z^2) to 1."""
    assert subgroups.wilson_percent(10, 10) == [100.0, pytest.approx(100 * 10 / (10 + 1.96**2), abs=0.05), 100.0]
