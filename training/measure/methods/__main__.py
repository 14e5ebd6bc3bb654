"""All crop methods side by side: accuracy with intervals, directions, small and blurred faces, cost, known weaknesses.

    python -m training.measure.methods --photos DIR [DIR ...] --renders DIR [--models FILE_OR_FOLDER ...]

Models are exported files (training.deploy.export) or folders of such; without --models the shipped ones. Their cards
say which trunk they have: table (a) holds those on the shared trunk and crop6dof, table (b) those on their own. A model
whose config says decode "published" is shown only where that decode fails.

--photos: shards of held-out people, whose labels are a consensus of published networks; --renders: shards of unseen
rendered people with exact labels (choose on one set, judge on another). Each method sees the same --faces faces of a
set, drawn once, and the same places (training/measure/methods/faces.py); networks of more than 5 M parameters see the
first --large-faces of them. The numbers go into bench/methods.csv, and from there into the marked places of
docs/methods.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from hpe_core import backends, catalogue
from hpe_core.cli.tools.bench import cpu_name
from hpe_core.errors import HpeError
from hpe_core.inference import Backend
from hpe_core.network_card import CROP
from training.fit import commit
from training.measure.methods import page, weaknesses
from training.measure.methods.cost import LARGE, cost_of, parameters_of, rotations
from training.measure.methods.faces import Face, blurred, crops_of, faces_of, people_of, rotations_of, shrunk
from training.measure.methods.scores import GEODESIC, Answers, Score, mean_score, scores, within_limits

HARDER = {"40 px faces": shrunk, "blurred": blurred}
REFERENCE = "crop6dof"


@dataclass(frozen=True, eq=False)
class Model:
    """One exported network: table (page.SHARED or page.OWN), whether it decodes as published, steps it was trained."""

    name: str
    path: Path
    network: Backend
    table: str
    published: bool
    steps: int | None
    parameters: int


def models_of(paths: Sequence[Path]) -> list[Model]:
    """Models of files and folders, by name. Raises HpeError when there is none, one is no crop network, or two have the
    same name, trunk and decode."""
    files = [file for path in paths for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])]
    models = [_model(file) for file in files if not file.stem.endswith("_int8")]
    if not models:
        raise HpeError(f"no exported model in {', '.join(map(str, paths))}")
    seen: dict[tuple[str, str, bool], Path] = {}
    for model in models:
        other = seen.setdefault((model.name, model.table, model.published), model.path)
        if other != model.path:
            raise HpeError(
                f"{model.path} and {other} are both {model.name} on its {model.table} trunk: give one of them"
            )
    return sorted(models, key=lambda model: (page.order(model.name), model.table != page.SHARED))


def _model(path: Path) -> Model:
    network = backends.create("onnxruntime", path, threads=1)
    card = network.card
    if card.kind != CROP or "sixd" not in card.columns:
        raise HpeError(f"{path} must take face crops and give a rotation (column sixd), got a network for {card.kind}s")
    config, training = card.raw.get("config", {}), card.raw.get("training", {})
    table = page.SHARED if config.get("trunk", page.SHARED) == page.SHARED else page.OWN
    published = config.get("decode") == "published"
    return Model(card.name, path, network, table, published, training.get("step"), parameters_of(path))


class Sets:
    """The faces of every set, and the crops of them that one kind of input needs, kept for the next model."""

    def __init__(self, photos: Sequence[Path], renders: Path, count: int, large_count: int) -> None:
        self.faces = {folder.name: faces_of(folder, count) for folder in (*photos, renders)}
        self.renders, self._large_count = renders.name, large_count
        self._crops: dict[tuple[str, int, float], np.ndarray] = {}

    def faces_for(self, model: Model, name: str) -> list[Face]:
        """The faces of a set that a model sees."""
        return self.faces[name][: self._large_count if model.parameters > LARGE else None]

    def crops_for(self, model: Model, name: str) -> np.ndarray:
        """Crops (N, S, S, 3) of those faces."""
        side, crop_m = model.network.input_shape[1], model.network.card.shown_m
        if (name, side, crop_m) not in self._crops:
            self._crops[name, side, crop_m] = crops_of(self.faces[name], side, crop_m)
        return self._crops[name, side, crop_m][: len(self.faces_for(model, name))]

    def answers(self, model: Model, name: str) -> Answers:
        """What a model says of the faces of a set."""
        faces = self.faces_for(model, name)
        return Answers.of(rotations(model.network, self.crops_for(model, name)), rotations_of(faces), people_of(faces))


def harder(model: Model, sets: Sets) -> Iterator[Score]:
    """Geodesic errors on the renders made small and blurred, of heads whose angles are below 99 degrees."""
    faces, crops = sets.faces_for(model, sets.renders), sets.crops_for(model, sets.renders)
    R_true, person = rotations_of(faces), people_of(faces)
    chosen = within_limits(R_true)
    for title, change in HARDER.items():
        R = rotations(model.network, change(crops[chosen], model.network.card.shown_m))
        yield mean_score(sets.renders, title, GEODESIC, Answers.of(R, R_true[chosen], person[chosen]))


def measure(models: Sequence[Model], sets: Sets) -> list[page.Row]:
    """All rows of the three tables."""
    rows: list[page.Row] = []
    by_table: dict[str, dict[str, Answers]] = {page.SHARED: {}, page.OWN: {}}
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            began = time.monotonic()
            name = f"{model.name}, published decode" if model.published else model.name
            found = {one: sets.answers(model, one) for one in sets.faces}
            on_renders = found[sets.renders]
            rows += page.rows_of(page.WEAKNESSES[model.table], name, weaknesses.backs(on_renders))
            if not model.published:
                by_table[model.table][name] = on_renders
                all_scores = [score for one, answers in found.items() for score in scores(one, answers)]
                rows += page.rows_of(model.table, name, [*all_scores, *harder(model, sets)])
                rows += page.rows_of(page.WEAKNESSES[model.table], name, weaknesses.pole(on_renders))
                crops = sets.crops_for(model, sets.renders)
                cost = cost_of(model.path, crops, Path(folder), model.parameters)
                rows += page.cost_rows(model.table, name, {"steps": model.steps, **asdict(cost)})
            print(f"{name}, {model.table} trunk: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for table, answers in by_table.items():
        for method, score in weaknesses.edges(answers):
            rows += page.rows_of(page.WEAKNESSES[table], method, [score])
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        "python -m training.measure.methods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--models", nargs="+", type=Path, help="exported models, or folders of them")
    p.add_argument("--photos", nargs="+", type=Path, required=True, help="folders of shards of held-out people")
    p.add_argument("--renders", type=Path, required=True, help="folder of shards of unseen rendered people")
    p.add_argument("--faces", type=int, default=400, help="faces of each set")
    p.add_argument("--large-faces", type=int, default=100, help="those that a network of more than 5 M parameters sees")
    p.add_argument("--out", type=Path, default=page.RESULTS)
    p.add_argument("--page", type=Path, default=page.PAGE, help="document whose marked places are filled")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    cv2.setNumThreads(1)
    began = time.monotonic()
    try:
        zoo, own = catalogue.WEIGHTS / "zoo", catalogue.WEIGHTS / f"{REFERENCE}.onnx"
        models = models_of(args.models or [own, zoo])
        sets = Sets(args.photos, args.renders, args.faces, args.large_faces)
        rows = measure(models, sets)
        where = {"date": date.today().isoformat(), "commit": commit(), "hardware": cpu_name()}
        page.write(args.out, rows, where)
        page.fill(args.page, args.out)
    except HpeError as error:
        print(f"methods: error: {error}", file=sys.stderr)
        return 2
    print(f"written   {args.out}, {args.page}: {len(models)} models in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
