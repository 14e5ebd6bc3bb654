"""A model card as readable text: titles with paragraphs, for the terminal and for docs/models.md."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpe_core.evaluation.errors.bootstrap import interval

TITLES = (
    ("task", "What it does"),
    ("intended_use", "Intended use"),
    ("out_of_scope_use", "Not for"),
    ("privacy", "Privacy"),
    ("permission", "What you may do with the weights"),
    ("limits", "Limits"),
)
GIMBAL_LOCK = "image02773.jpg"  # listed, but in no mean of Euler angles
SETS = {"aflw2000_dev16": "AFLW2000-3D, 16 images", "lfw_test": "LFW, held-out people", "video_headmove": "a video"}


def sections(card: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(title, lines) of a card (the JSON object in a model file), in the order in which people ask.

    The machine's parts are left out, and so is what a card lacks.
    """
    found = [(title, _lines(card[key])) for key, title in TITLES if key in card]
    found.append(("Training data, licence of each part", [_data(entry) for entry in card.get("data", [])]))
    found.append(("Measured", [*_measured(card.get("metrics", {})), *_lines(card.get("chosen_on", []))]))
    found.append(("Training", [*_lines(card.get("history", [])), *_commit(card)]))
    return [(title, lines) for title, lines in found if lines]


def _lines(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(line) for line in value]


def _data(entry: Mapping[str, str]) -> str:
    use = entry.get("labels") or entry.get("use") or ""
    return f"{entry['name']} ({entry['licence']}){f': {use}' if use else ''}"


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    """One line per set of images that this project knows; others stand in the JSON."""
    out = []
    for name, title in SETS.items():
        numbers = metrics.get(name)
        if not isinstance(numbers, Mapping):
            continue
        if "euler_mae_deg" in numbers:
            out.append(f"{title}: found {numbers['found']} of {numbers['images']}, {_mae(numbers)}")
        elif "geodesic_to_label_median_deg" in numbers:
            out.append(
                f"{title}: found {numbers['found']} of {numbers['images']}, from the consensus of the baselines "
                f"{numbers['geodesic_to_label_median_deg']} degrees (median), "
                f"{numbers['geodesic_to_label_p95_deg']} (95th percentile)"
            )
        elif "exactly_one_face_same_id" in numbers:
            frames, same = numbers["frames"], numbers["exactly_one_face_same_id"]
            out.append(f"{title} of one person: one face with one id in {same} of {frames} frames")
    return out


def _mae(numbers: Mapping[str, Any]) -> str:
    """The mean error of the Euler angles with its 95 % interval over the images."""
    each = [np.mean(errors) for name, errors in numbers.get("per_image_deg", {}).items() if name != GIMBAL_LOCK]
    bounds = interval(np.mean, np.array(each))
    spread = f", 95 % CI {bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else ""
    return f"Euler MAE {numbers['euler_mae_deg'][3]} degrees{spread}, without the image near gimbal lock"


def _commit(card: Mapping[str, Any]) -> list[str]:
    commit = str(card.get("training", {}).get("commit", ""))
    dirty = " (with changes that were not committed)" if commit.endswith("+") else ""
    return [f"Code of the training: commit {commit.removesuffix('+')}{dirty}"] if commit else []
