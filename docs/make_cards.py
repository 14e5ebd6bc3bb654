"""docs/models.md: the cards of the shipped models, and who was measured how well.

    python -m docs.make_cards

Run it after a change of training/cards or of the weights; a test compares the page with the cards.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpe_core import catalogue
from hpe_core.cli.card_text import sections

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
SUBGROUPS = ROOT / "training" / "cards" / "subgroups.json"
INT8 = "_int8"
SAME = ("Intended use", "Not for", "Privacy", "What you may do with the weights")
HEAD = """\
# Models

<!-- written by python -m docs.make_cards -->

The cards of the shipped models, as `hpe models NAME` prints them (`--json`: every number). The code is Apache-2.0;
what the weights may be used for depends on what they were trained on. Which method to take: [README](../README.md).
"""
GROUPS = """\
## Groups of people

Faces found, and median disagreement with the consensus of the baselines (no error: they have errors of their own), on
{faces} photos of held-out people of LFW, with 95 % intervals. LFW was collected with a face detector, so it
has no hard photos: shares of 100 % say little.

Colour is the individual typology angle (ITA) of the middle of the face: light from 41 degrees, intermediate from 28,
tan from 10, brown from -30, dark below. It is read from the photo as it is, and dim or reddish light makes skin darker:
about a third of the photos in the group `dark` show people with dark skin, the others fair skin in such light. So the
rows compare faces as pictures show them, not kinds of people. Turn is that of the label. Measured by
`python -m training.measure.subgroups` at commit {commit}.
"""
NOT_MEASURED = "\n**Not measured:**\n\n"


def page() -> str:
    """The text of docs/models.md."""
    cards = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(catalogue.WEIGHTS.glob("*.json"))}
    del cards[Path(catalogue.SUMS).stem]
    parts = [HEAD, _common(cards), _groups(json.loads(SUBGROUPS.read_text("utf-8")))]
    parts += [_card(name, card, cards) for name, card in cards.items()]
    return "\n".join(parts)


def _common(cards: Mapping[str, Any]) -> str:
    """What all cards say, once; with the names of the models where they differ."""
    lines = ["## For all models\n"]
    for title in SAME:
        texts: dict[str, list[str]] = {}
        for name, card in cards.items():
            texts.setdefault(_bullets(dict(sections(card))[title]), []).append(name)
        for text, names in texts.items():
            who = "" if len(texts) == 1 else f" ({', '.join(f'`{name}`' for name in names)})"
            lines.append(f"**{title}**{who}\n\n{text}\n")
    return "\n".join(lines)


def _groups(table: Mapping[str, Any]) -> str:
    rows, methods = table["rows"], list(table["rows"][0]["methods"])
    out = [GROUPS.format(faces=rows[0]["faces"], commit=table["commit"])]
    out.append(f"| group | faces |{''.join(f' `{method}` |' for method in methods)}")
    out.append("|---|---|" + "---|" * len(methods))
    for row in rows:
        label = row["group"] if row["what"] == "all" else f"{row['what']}: {row['group']}"
        cells = "".join(f" {_cell(row['methods'][method])} |" for method in methods)
        out.append(f"| {label} | {row['faces']} |{cells}")
    listed = _bullets(f"{what}: {why}." for what, why in table["not_measured"].items())
    return "\n".join(out) + "\n" + NOT_MEASURED + listed + "\n"


def _cell(numbers: Mapping[str, Any]) -> str:
    share, low, high = numbers["found_percent"]
    median = numbers["median_deg"]
    angle = "too few" if median is None else f"{median[0]:.2f}° ({median[1]:.2f} to {median[2]:.2f})"
    return f"{share:g} % ({low:g} to {high:g}), {angle}"


def _card(name: str, card: Mapping[str, Any], cards: Mapping[str, Any]) -> str:
    """One model; of INT8 ones only what differs from the float ones."""
    twin = dict(sections(cards[name.removesuffix(INT8)])) if name.endswith(INT8) else {}
    lines = [f"## {name}\n"]
    if twin:
        lines.append(f"`{name.removesuffix(INT8)}` with weights and activations in INT8, for CPUs.\n")
    for title, texts in sections(card):
        if title not in SAME and twin.get(title) != texts:
            lines.append(f"**{title}**\n\n{_bullets(texts)}\n")
    return "\n".join(lines)


def _bullets(lines) -> str:
    return "\n".join(f"- {line}" for line in lines)


def main() -> None:
    PAGE.write_text(page())
    print(f"written   {PAGE}")


if __name__ == "__main__":
    main()
