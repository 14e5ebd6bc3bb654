"""Random expressions of ICT-FaceKit heads: mouths, brows, lids and gaze chosen apart, or a few units by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NEAR_NEUTRAL, BY_CHANCE = 0.3, 0.12  # shares of faces
SIDES = ("L", "R")
CLOSED = 0.8  # eyeBlink from which an eye counts as closed
LOOK_DOWN_CLOSES = 0.8  # an eyeLookDown of 1 lowers the lid as much as this eyeBlink
# chance, then units with their highest weights; units without a side come with both, a little unequal
MOUTHS: dict[str, tuple[float, dict[str, float]]] = {
    "rest": (0.14, {}),
    "smile": (0.14, {"mouthSmile": 1.0, "cheekSquint": 0.7, "eyeSquint": 0.5, "mouthDimple": 0.4}),
    "laugh": (0.1, {"mouthSmile": 1.0, "jawOpen": 0.6, "cheekSquint": 0.9, "eyeSquint": 0.6, "mouthUpperUp": 0.4}),
    "open": (0.12, {"jawOpen": 1.0}),
    "surprise": (0.06, {"jawOpen": 0.8, "browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 1.0}),
    "frown": (0.07, {"mouthFrown": 1.0, "browDown": 0.9, "mouthShrugLower": 0.5, "browInnerUp": 0.3}),
    "pucker": (0.07, {"mouthPucker": 1.0, "mouthFunnel": 0.4}),
    "funnel": (0.05, {"mouthFunnel": 1.0, "jawOpen": 0.4}),
    "sneer": (0.05, {"noseSneer": 1.0, "mouthUpperUp": 0.9, "browDown": 0.7, "cheekSquint": 0.6}),
    "press": (0.05, {"mouthPress": 1.0, "mouthRollLower": 0.6, "mouthRollUpper": 0.6}),
    "stretch": (0.04, {"mouthStretch": 1.0, "mouthLowerDown": 0.8, "jawOpen": 0.4}),
    "puff": (0.03, {"cheekPuff": 1.0, "mouthPress": 0.4}),
    "aside": (0.04, {}),
    "speech": (0.04, {}),
}
SPEECH = {
    **{"jawOpen": 0.5, "mouthClose": 0.3, "mouthFunnel": 0.6, "mouthPucker": 0.6, "mouthSmile": 0.4},
    **{"mouthStretch": 0.5, "mouthLowerDown": 0.6, "mouthUpperUp": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},
    **{"mouthShrugLower": 0.4, "mouthShrugUpper": 0.4},
}
BROWS: dict[str, tuple[float, dict[str, float]]] = {
    "rest": (0.55, {}),
    "up": (0.13, {"browInnerUp": 0.9, "browOuterUp": 0.9}),
    "down": (0.14, {"browDown": 1.0}),
    "inner": (0.1, {"browInnerUp": 1.0, "browDown": 0.3}),
    "outer": (0.08, {"browOuterUp": 1.0}),
}
LIDS = {"open": 0.48, "lowered": 0.2, "closed": 0.16, "one": 0.06, "wide": 0.1}


def sample_expression(rng: np.random.Generator, names: Sequence[str]) -> np.ndarray:
    """(53,) weights in 0..1 by name; left and right are the subject's."""
    e = dict.fromkeys(names, 0.0)
    kind = rng.random()
    if kind < NEAR_NEUTRAL:
        for name in rng.choice(list(names), 6, replace=False):
            e[str(name)] = float(rng.uniform(0, 0.12))
    elif kind < NEAR_NEUTRAL + BY_CHANCE:
        for name in rng.choice(list(names), rng.integers(2, 7), replace=False):
            e[str(name)] = float(rng.uniform(0, 1))
    else:
        _mouth(rng, e)
        _put(rng, e, BROWS[_pick(rng, {name: chance for name, (chance, _) in BROWS.items()})][1])
    _lids(rng, e, neutral=kind < NEAR_NEUTRAL)
    _gaze(rng, e)
    return np.array([e[name] for name in names])


def _pick(rng, chances: dict[str, float]) -> str:
    p = np.array(list(chances.values()))
    return str(rng.choice(list(chances), p=p / p.sum()))


def _put(rng, e: dict[str, float], units: dict[str, float]) -> None:
    """Add units, all about as strong as each other; sides differ a little, in one face of six much."""
    strength = rng.uniform(0.15, 1)
    weaker = dict.fromkeys(SIDES, 1.0) | {str(rng.choice(SIDES)): rng.uniform(0, 0.7)}
    one_sided = rng.random() < 1 / 6
    for unit, high in units.items():
        amount = high * strength * rng.uniform(0.6, 1.2)
        for name in (unit,) if unit in e else tuple(f"{unit}_{side}" for side in SIDES):
            own = amount * weaker[name[-1]] if one_sided and name != unit else amount
            e[name] = float(np.clip(max(e[name], own + rng.normal(0, 0.04 * (own > 0))), 0, 1))


def _mouth(rng, e: dict[str, float]) -> None:
    kind = _pick(rng, {name: chance for name, (chance, _) in MOUTHS.items()})
    units = dict(MOUTHS[kind][1])
    if kind == "speech":
        units = {str(n): SPEECH[str(n)] for n in rng.choice(list(SPEECH), rng.integers(3, 6), replace=False)}
    elif kind == "aside":
        units = {str(rng.choice(["mouthLeft", "mouthRight", "jawLeft", "jawRight"])): 1.0, "jawForward": 0.4}
    _put(rng, e, units)
    if rng.random() < 0.15:
        e["jawOpen"] = max(e["jawOpen"], float(rng.uniform(0, 0.7)))
    e["mouthClose"] = min(e["mouthClose"], e["jawOpen"])  # it closes the lips of an open jaw


def _lids(rng, e: dict[str, float], neutral: bool) -> None:
    kind = "open" if neutral and rng.random() < 0.6 else _pick(rng, LIDS)
    blink = {
        "open": rng.uniform(0, 0.2),
        "lowered": rng.uniform(0.15, 0.7),
        "closed": rng.uniform(0.85, 1.0),
        "one": rng.uniform(0.9, 1.0),
        "wide": 0.0,
    }[kind]
    for side in rng.permutation(SIDES)[: 1 if kind == "one" else 2]:
        e[f"eyeBlink_{side}"] = float(np.clip(blink + rng.normal(0, 0.03), 0, 1))
    for side in SIDES:
        if kind == "wide":
            e[f"eyeWide_{side}"] = float(rng.uniform(0.2, 1))
        elif e[f"eyeBlink_{side}"] > 0.3:
            e[f"eyeWide_{side}"] = 0.0


def _gaze(rng, e: dict[str, float]) -> None:
    """Both eyes look the same way; what lowers a lid already counts towards its blink."""
    across, up = rng.normal(0, 0.35), rng.normal(0, 0.35)
    if rng.random() < 0.3:
        across, up = rng.normal(0, 0.05, 2)
    across, up = np.clip([across, up], -0.9, 0.9)  # to the subject's left, up
    for side, outward in zip(SIDES, (across, -across), strict=True):
        own = outward + rng.normal(0, 0.02)
        e[f"eyeLookOut_{side}"], e[f"eyeLookIn_{side}"] = float(max(own, 0)), float(max(-own, 0))
        e[f"eyeLookUp_{side}"], e[f"eyeLookDown_{side}"] = float(max(up, 0)), float(max(-up, 0))
        blink = f"eyeBlink_{side}"
        if e[blink] > CLOSED:
            e[f"eyeLookDown_{side}"] = 0.0
        e[blink] = min(e[blink], 1 - LOOK_DOWN_CLOSES * e[f"eyeLookDown_{side}"])
