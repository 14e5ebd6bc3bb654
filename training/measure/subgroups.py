"""Faces found, and disagreement with the labels, by group of people: for the models' cards.

    python -m training.measure.subgroups --lfw-test DIR            (five methods, 1,000 photos: 3 min of one core)

DIR: shards of the photographs of LFW's test people, whom no network was trained on. Their labels are the consensus of
the baselines (training/label), so a disagreement is no error. Of each photo the largest face with a label counts.

The colour of a face is the individual typology angle (Chardon et al., 1991) of its middle as it is in the photo:
colours are not calibrated, so light and camera are in it as well as skin. Turn is that of the label. Nothing
else is known of the people: LFW comes without attributes, and all photos of UTKFace, whose names state age and gender,
were trained on. The result goes into training/cards/subgroups.json, which `python -m docs.make_cards` shows.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.bootstrap import interval
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.evaluate import answers_of, labelled_images, our_methods
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry.so3 import geodesic_angle
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from training.measure.sets import main_faces

OUT = Path(__file__).parents[1] / "cards" / "subgroups.json"
METHODS = ("fusion", "fusion_int8", "open", "nlml", "head6dof")
MIDDLE = (0.15, 0.85, 0.45, 0.68)  # of a face's box, left, right, top, bottom: cheeks and nose, no eyes, no mouth
COLOUR = "colour of the face in the photo"
ITA_DEG = {"light": (41, 90), "intermediate": (28, 41), "tan": (10, 28), "brown": (-30, 10), "dark": (-90, -30)}
TURN_DEG = {"up to 20 degrees": (0, 20), "20 to 40 degrees": (20, 40), "beyond 40 degrees": (40, 181)}
FEWEST = 20  # faces of a group that has a median
NOT_MEASURED = {
    "age, gender": "LFW comes without them, and every photo of UTKFace, whose names state them, was trained on",
    "skin colour of people": "photos are not colour-calibrated, and no source states it",
    "glasses, masks, headscarves": "no source states them for photos that were not trained on",
}


def typology_angle_deg(image: np.ndarray, box_px: np.ndarray) -> float:
    """Individual typology angle of the middle of a face: the lighter the skin, the larger; below 10 brown.

    image: (H, W, 3) uint8 BGR; box_px: (4,) x0, y0, x1, y1. NaN where the box lies outside the image.
    """
    left, right, top, bottom = MIDDLE
    origin, size = box_px[:2], box_px[2:] - box_px[:2]
    x0, y0, x1, y1 = np.round([*(origin + size * (left, top)), *(origin + size * (right, bottom))]).astype(int)
    patch = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if patch.size == 0:
        return float("nan")
    lab = cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_BGR2Lab).reshape(-1, 3)
    lightness, _, b = np.median(lab, 0)
    return float(np.degrees(np.arctan2(lightness - 50.0, max(b, 1e-3))))


def groups_of(samples: Sequence[Sample]) -> dict[tuple[str, str], np.ndarray]:
    """dict (what, group) -> (N,) bool: which Samples belong to it."""
    angle = np.array([typology_angle_deg(sample.image(), sample.box_px) for sample in samples])
    turn = np.degrees(geodesic_angle(np.stack([sample.R for sample in samples]), np.eye(3)))
    found = {("all", "all"): np.ones(len(samples), bool)}
    for what, values, bins in (
        ("colour of the face in the photo", angle, ITA_DEG),
        ("turn of the head", turn, TURN_DEG),
    ):
        found |= {(what, name): (values >= low) & (values < high) for name, (low, high) in bins.items()}
    return found


def summary(answers: Sequence[Answer]) -> dict[str, list[float] | None]:
    """Faces found in per cent and the median disagreement in degrees, each with its 95 % interval."""
    disagreement = [float(np.degrees(geodesic_angle(a.R, a.sample.R))) for a in answers if a.R is not None]
    count, found = len(answers), len(disagreement)
    out: dict[str, list[float] | None] = {"found_percent": wilson_percent(found, count), "median_deg": None}
    if found >= FEWEST:
        values = np.array(disagreement)
        low, high = interval(np.median, values) or (np.nan, np.nan)
        out["median_deg"] = [round(float(v), 2) for v in (np.median(values), low, high)]
    return out


def wilson_percent(found: int, count: int) -> list[float]:
    """A share in per cent and its 95 % interval (Wilson, 1927), which is right for shares near 100 % as well."""
    z, share = 1.96, found / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return [round(100 * float(v), 1) for v in (share, max(0.0, centre - half), min(1.0, centre + half))]


def table(samples: Sequence[Sample], answers: Mapping[str, Sequence[Answer]]) -> list[dict]:
    """One row per group with at least one face: what, group, faces, methods (name -> summary)."""
    rows = []
    for (what, name), belongs in groups_of(samples).items():
        if not belongs.any():
            continue
        members = np.flatnonzero(belongs)
        methods = {method: summary([found[int(i)] for i in members]) for method, found in answers.items()}
        rows.append({"what": what, "group": name, "faces": len(members), "methods": methods})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lfw-test", required=True, help="shard folder of the LFW test people")
    p.add_argument("--limit", type=int, default=1000)
    p.add_argument("--out", type=Path, default=OUT)
    args = p.parse_args(argv)
    commit = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True).stdout.strip()
    samples = main_faces(labelled_images(args.lfw_test, args.limit))
    if not samples:
        raise HpeError(f"{args.lfw_test} has no labelled face")
    methods = our_methods(METHODS)
    rows = table(samples, answers_of(methods, samples, DEFAULT_HFOV_DEG))
    values = {"photos": "LFW, held-out people", "commit": commit, "rows": rows, "not_measured": NOT_MEASURED}
    args.out.write_text(json.dumps(values, indent=1) + "\n")
    print(f"written   {args.out}: {len(samples)} faces, {len(rows)} groups")


if __name__ == "__main__":
    main()
