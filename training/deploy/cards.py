"""What all model cards say: intended and out-of-scope use, privacy, limits, and what the weights may be used for.

    python -m training.deploy.cards

puts them into all shipped models and writes the hashes again: run it after a change of training/cards. Metrics,
history, calibration and everything else that belongs to one training stay as they are. What zoo.json says replaces the
common texts in the cards of methods for comparison, what open.json says those of weights from free material (_open).
"""

import json
import re
from pathlib import Path
from typing import Any

from hpe_core import catalogue
from training.deploy import hash_weights
from training.deploy.model_file import write_card

CARDS = Path(__file__).parents[1] / "cards"
TEXTS = (
    *("task", "licence", "permission", "data", "limits"),
    *("intended_use", "out_of_scope_use", "privacy", "chosen_on"),
)
OPEN = "_open"  # ending of the names of weights from free material only
FREE = {"CC0", "MIT", "Apache-2.0", "BSD", "ISC", "CC BY", "any purpose", "with citation"}
LICENCE = {
    True: "Apache-2.0",
    False: "Apache-2.0 for the code; weights trained on research-only photos",
}
PERMISSION = {
    True: "Code and weights are Apache-2.0. These weights were trained on material under CC0, MIT and free-for-any-"
    "purpose terms only: use them for anything, products too; keep the notices of those licences, and cite the data "
    "that ask for it.",
    False: "The code is Apache-2.0. These weights were trained on research-only photos: see data. Whether weights "
    "inherit the terms of photos is not settled: take them for research and trials; for a product train your own "
    "(training/README.md) on photos that you may use, or take legal advice.",
}


def complete(card: dict[str, Any]) -> dict[str, Any]:
    """The card of one model (dict) with what is common to all: its own limits come first."""
    common = json.loads((CARDS / "common.json").read_text("utf-8"))
    if card.get("name") in catalogue.ZOO_METHODS:
        common |= json.loads((CARDS / "zoo.json").read_text("utf-8"))
    if card.get("name", "").endswith(OPEN):
        common |= json.loads((CARDS / "open.json").read_text("utf-8"))
    own = card.get("limits", [])
    limits = [*([own] if isinstance(own, str) else own), *common["limits"]]
    chosen_on = [card["chosen_on"], common["chosen_on"]] if "chosen_on" in card else common["chosen_on"]
    free = trained_on_free_material(card)
    own_texts = {"licence": LICENCE[free], "permission": PERMISSION[free], "limits": limits, "chosen_on": chosen_on}
    return card | common | own_texts


def trained_on_free_material(card: dict[str, Any]) -> bool:
    """Whether every part of the training data (`data`, a list of dicts) has a licence in FREE; without data: no."""
    licences = {part for entry in card.get("data", []) for part in re.split(r"[,;]\s*", entry["licence"])}
    return bool(licences) and licences <= FREE


def update(folder: Path) -> list[Path]:
    """Put the texts of training/cards into every model of a folder; returns their paths."""
    done = []
    for path in sorted(folder.glob("*.json")):
        if path.name == catalogue.SUMS:
            continue
        card = json.loads(path.read_text("utf-8"))
        own = complete(json.loads((CARDS / f"{card['name']}.json").read_text("utf-8")))
        card |= {key: own[key] for key in TEXTS}
        network = path.with_suffix(".onnx")
        if network.exists():
            write_card(network, card)
        else:
            path.write_text(json.dumps(card, indent=1) + "\n")
        done.append(path)
    return done


def main() -> None:
    done = [path for folder in (catalogue.WEIGHTS, catalogue.WEIGHTS / catalogue.ZOO) for path in update(folder)]
    print(f"written   {len(done)} cards")
    hash_weights.main()


if __name__ == "__main__":
    main()
