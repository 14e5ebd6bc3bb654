"""Random people: MakeHuman's shapes and expressions, hair, clothes and what they wear."""

from __future__ import annotations

import numpy as np

RACES, GENDERS = ("african", "asian", "caucasian"), ("female", "male")
WEIGHTS = ("minweight", "averageweight", "maxweight")
SHAPE_FOLDERS = ("cheek", "chin", "ears", "eyes", "eyebrows", "forehead", "head", "mouth", "neck", "nose")
SHAPE_SKIP = (
    "trans-in",
    "trans-out",
    "head-trans",
    "head-angle",
    "head-age",
    "neck-trans",
    "scale-vert",
    "eyefold-",
    "pointed",
    "nubian",
)
EXTRAS = {"glasses": 0.22, "mask": 0.08, "hat": 0.1, "hand": 0.05}  # chances


def sample_shape(rng, skin: str, names: list[str], groups: list) -> tuple[dict[str, float], bool, bool]:
    """MakeHuman's targets with weights of a random person of that skin, whether male, whether dark.

    names: of all targets; groups: their `shape_groups`.
    """
    age_name, _, gender = skin.split("_")[:3]
    dark = "dark" in skin
    male = float(np.clip((gender == "male") + rng.normal(0, 0.15), 0, 1))
    old = {"young": rng.uniform(0, 0.25), "middleage": rng.uniform(0.2, 0.6), "old": rng.uniform(0.6, 1.0)}[age_name]
    child = rng.uniform(0.2, 0.8) if age_name == "young" and rng.random() < 0.25 else 0.0
    ages = {"young": (1 - old) * (1 - child), "old": old * (1 - child), "child": child}
    race = rng.dirichlet([6, 0.6, 0.6] if dark else [0.5, 3, 4])
    fat = np.clip(rng.normal(0, 0.45), -1, 1)
    weight = dict(zip(WEIGHTS, (max(-fat, 0), 1 - abs(fat), max(fat, 0)), strict=True))
    shape = macro_weights(dict(zip(RACES, race, strict=True)), {"male": male, "female": 1 - male}, ages, weight)
    for alternatives in groups:
        if rng.random() < 0.45:
            left_right = alternatives[rng.integers(len(alternatives))]
            amount = min(abs(rng.normal(0, 0.27)), 0.8)
            shape |= {n: float(np.clip(amount + rng.normal(0, 0.08), 0, 1.1)) for n in left_right}
    for name in rng.choice([n for n in names if n.startswith("asym/asym-")], 6, replace=False):
        shape[str(name)] = float(rng.uniform(0, 0.5))
    return shape, male > 0.5, dark


def macro_weights(race, gender, age, weight) -> dict[str, float]:
    """MakeHuman's macro targets: race x gender x age, and gender x age x weight at average muscle."""
    out = {
        f"macrodetails/{r}-{g}-{a}": wr * wg * wa
        for r, wr in race.items()
        for g, wg in gender.items()
        for a, wa in age.items()
    }
    out |= {
        f"macrodetails/universal-{g}-{a}-averagemuscle-{w}": wg * wa * ww
        for g, wg in gender.items()
        for a, wa in age.items()
        for w, ww in weight.items()
    }
    return {k: float(v) for k, v in out.items() if v > 1e-3}


def mean_shape() -> dict[str, float]:
    """The adult that fixes size and orientation: all races and both genders in equal parts."""
    third, half = dict.fromkeys(RACES, 1 / 3), dict.fromkeys(GENDERS, 0.5)
    return macro_weights(third, half, {"young": 0.75, "old": 0.25}, {"averageweight": 1.0})


def shape_groups(names: list[str]) -> list[list[tuple[str, ...]]]:
    """Alternatives that exclude each other (incr / decr ...), each a tuple of targets set together (left and right)."""
    groups: dict[str, dict[str, list[str]]] = {}
    for name in names:
        folder, _, leaf = name.partition("/")
        if folder not in SHAPE_FOLDERS or any(s in name for s in SHAPE_SKIP):
            continue
        both = leaf[2:] if leaf[:2] in ("l-", "r-") else leaf
        stem = "-".join(both.split("-")[:-1]) or both
        groups.setdefault(f"{folder}/{stem}", {}).setdefault(both, []).append(name)
    return [[tuple(pair) for pair in sides.values()] for _, sides in sorted(groups.items())]


def sample_expression(rng) -> dict[str, float]:
    """Expression units with weights; most faces are near neutral."""
    e: dict[str, float] = {}

    def put(chance, high, *units, low=0.0):
        if rng.random() < chance:
            e.update({f"expression/units/caucasian/{u}": float(rng.uniform(low, high)) for u in units})

    put(0.35, 1.0, "mouth-open")
    put(0.45, 1.0, "mouth-corner-puller")
    put(0.15, 0.8, "mouth-pursing")
    put(0.15, 0.8, "mouth-retraction")
    put(0.15, 0.8, "mouth-depression")
    put(0.10, 0.7, "mouth-upward-retraction")
    for unit in ("eye-{}-slit", "eye-{}-opened-up", "eyebrows-{}-up", "eyebrows-{}-down", "eyebrows-{}-inner-up"):
        put(0.2, 0.8, *(unit.format(side) for side in ("left", "right")))
    put(0.12, 1.0, "eye-left-closure", "eye-right-closure", low=0.7)
    return e


def sample_hair(rng, male: bool, allowed) -> str | None:
    if rng.random() < (0.15 if male else 0.03):
        return None
    short, long = ("short01", "short02", "short04"), ("bob02", "braid01", "long01", "ponytail01", "short03")
    usual, other = (short, long) if male else (long, short)
    wanted = [h for h in (usual if rng.random() < 0.9 else other) if h in allowed]
    return str(rng.choice(wanted or list(allowed)))


def sample_hair_colour(rng, dark: bool, old: bool) -> np.ndarray:
    """Linear RGB."""
    colours = [0.012, 0.010, 0.009], [0.09, 0.045, 0.022], [0.42, 0.27, 0.12], [0.24, 0.07, 0.02], [0.4, 0.4, 0.4]
    # black, brown, blond, red, grey
    p = [0.85, 0.12, 0.01, 0.01, 0.01] if dark else [0.3, 0.35, 0.2, 0.07, 0.08]
    if old:
        p = [0.25, 0.2, 0.1, 0.05, 0.4]
    colour = np.array(colours[rng.choice(5, p=p)])
    if rng.random() < 0.03:
        colour = rng.uniform(0.02, 0.6, 3)
    return np.clip(colour * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.08, 3)), 0, 0.9)


def sample_cloth(rng) -> np.ndarray:
    value = rng.uniform(0.01, 0.8, (2, 1))
    return np.clip(value * (1 - rng.uniform(0, 0.9, (2, 1)) * rng.random((2, 3))), 0, 1)
