"""A method that learnt from published crops, tested as it was published: the crops of its recipe, from labelled boxes.

    python -m training.measure.methods.published MODEL.onnx --recipe config/training/hopenet.yaml \\
        --protocol aflw2000 --data AFLW2000

Prints the Euler MAE with its parts, MAEV and geodesic errors. Rotations are compared as the set states them; nothing is
folded at 180 degrees, and a refused answer counts as the mean pose. BIWI's boxes are those of the labelled heads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpe_core import backends
from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.bootstrap import group_interval
from hpe_core.evaluation.errors.metrics import euler_error_deg, geodesic_deg, maev_deg
from hpe_core.evaluation.images.protocols import PROTOCOLS, samples_of
from hpe_core.inference import Backend
from training import recipes
from training.data.folders import Labelled, labelled
from training.data.published import middle_crop
from training.measure.methods.cost import BATCH, rotations
from training.measure.methods.scores import Answers


def answers_of(network: Backend, faces: Sequence[Labelled], loose: recipes.Loose) -> Answers:
    """What a network says of the published crops of faces; a sequence is one person."""
    side, R = network.input_shape[1], []
    for i in range(0, len(faces), BATCH):
        part = faces[i : i + BATCH]
        R.append(rotations(network, np.array([middle_crop(f.sample.image(), f.box_px, loose, side) for f in part])))
    person = np.array([face.sample.sequence or face.sample.name for face in faces])
    return Answers.of(np.concatenate(R), np.array([face.R for face in faces]), person)


def report(answers: Answers) -> list[str]:
    """Lines of text, degrees with 95 % intervals over sequences or unrelated images."""
    signed = np.abs(euler_error_deg(answers.R, answers.R_true))
    lines = ["{:<12}{:.2f} / {:.2f} / {:.2f}".format("yaw/pitch/roll", *signed.mean(0))]
    values = {"Euler MAE": signed.mean(-1), "MAEV": maev_deg(answers.R, answers.R_true)}
    for name, errors in (values | {"geodesic": geodesic_deg(answers.R, answers.R_true)}).items():
        ends = group_interval(errors, answers.person)
        lines.append(f"{name:<16}{errors.mean():.2f}" + ("" if ends is None else " ({:.2f} to {:.2f})".format(*ends)))
    return [*lines, f"{'faces':<16}{len(answers.R)}, no answer for {int(answers.refused.sum())}"]


def main(argv: Sequence[str] | None = None) -> int:
    p = argparse.ArgumentParser(
        "python -m training.measure.methods.published",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", type=Path)
    p.add_argument("--recipe", required=True)
    p.add_argument("--protocol", choices=PROTOCOLS, required=True)
    p.add_argument("--data", required=True, help="folder of the protocol's data set")
    args = p.parse_args(argv)
    try:
        protocol, recipe = PROTOCOLS[args.protocol], recipes.load(args.recipe)
        if recipe.crop != recipes.PUBLISHED:
            raise HpeError(f"{args.recipe} has no published crops: measure it by `hpe eval dataset`")
        known = [(s, protocol.reason_to_skip(s)) for s in samples_of(protocol.dataset, args.data)]
        faces = [labelled(sample, args.data) for sample, reason in known if reason is None]
        if not faces:
            raise HpeError(f"protocol {args.protocol} has no image in {args.data}")
        network = backends.create("onnxruntime", args.model, threads=1)
        answers = answers_of(network, faces, getattr(recipe, protocol.dataset))
    except HpeError as error:
        print(f"published: error: {error}", file=sys.stderr)
        return 2
    print("\n".join([*report(answers), f"{'skipped':<16}{len(known) - len(faces)}"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
