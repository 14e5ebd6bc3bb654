"""docs/models.md: the cards of the shipped models, and who was measured how well.

    python -m docs.make_cards

Run it after a change of training/cards or of the weights; a test compares the page with the cards.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
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
# Model cards

<!-- written by python -m docs.make_cards -->

The cards of the shipped models, as `hpe models NAME` prints them (`--json`: every number). The code is Apache-2.0;
what the weights may be used for depends on what they were trained on. Which method to take:
[Models and how to choose](choose.md).
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
COMPARISON = """\
## Methods for comparison

Other people's methods, each trained here. `--model NAME` takes one as crop network behind `head6dof`. Their weights lie
in `hpe_core/weights/zoo` of a source checkout and are in no wheel.
"""


def page() -> str:
    """The text of docs/models.md."""
    cards, zoo = _cards(catalogue.WEIGHTS), _cards(catalogue.WEIGHTS / catalogue.ZOO)
    parts = [HEAD, _common(cards | zoo), _groups(json.loads(SUBGROUPS.read_text("utf-8")))]
    parts += [_card(name, card, cards) for name, card in cards.items()]
    return "\n".join(parts + _comparison(zoo))


def _cards(folder: Path) -> dict[str, Any]:
    """Name -> card of the weights in a folder."""
    paths = sorted(path for path in folder.glob("*.json") if path.name != catalogue.SUMS)
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


def _comparison(zoo: Mapping[str, Any]) -> list[str]:
    """The methods for comparison: what all their cards say, then each one's own lines. Nothing without any."""
    if not zoo:
        return []
    said = [{(title, line) for title, lines in sections(card) for line in lines} for card in zoo.values()]
    everywhere = set.intersection(*said)
    first = sections(next(iter(zoo.values())))
    parts = [
        COMPARISON,
        *_paragraphs([(title, [line for line in lines if (title, line) in everywhere]) for title, lines in first]),
    ]
    return parts + [_card(name, card, zoo, "###", everywhere) for name, card in zoo.items()]


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


def _card(
    name: str,
    card: Mapping[str, Any],
    cards: Mapping[str, Any],
    heading: str = "##",
    told: Collection[tuple[str, str]] = (),
) -> str:
    """One model, without the pairs (title, line) that were told; of INT8 ones only what differs from the float ones."""
    twin = dict(sections(cards[name.removesuffix(INT8)])) if name.endswith(INT8) else {}
    lines = [f"{heading} {name}\n"]
    if twin:
        lines.append(f"`{name.removesuffix(INT8)}` with weights and activations in INT8, for CPUs.\n")
    own = [(title, texts) for title, texts in sections(card) if twin.get(title) != texts]
    lines += _paragraphs((title, [text for text in texts if (title, text) not in told]) for title, texts in own)
    return "\n".join(lines)


def _paragraphs(titled: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """A paragraph for each title with lines, but for SAME, which _common has."""
    return [f"**{title}**\n\n{_bullets(lines)}\n" for title, lines in titled if lines and title not in SAME]


def _bullets(lines) -> str:
    return "\n".join(f"- {line}" for line in lines)


def main() -> None:
    PAGE.write_text(page())
    print(f"written   {PAGE}")


if __name__ == "__main__":
    main()
