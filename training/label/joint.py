"""Joint adjustment of many views of one head: one rigid set of landmarks, a pose for each view (bundle adjustment).

    python -m training.label.joint --shards DIR --out DIR

Copies a folder of shards with landmarks (training.label.landmarks); faces of one series, whose `source` is the same up
to the last "_", are adjusted together, and R_local becomes the mean of the label and of the adjustment.
What a teacher says of one view has no part in the rotations between the views of a series: they follow from how the
visible landmarks move against each other. The start and the zero come from the labels, of which the mean over the views
near the front stays as it is. Faces that cannot be adjusted keep their labels and are counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from hpe_core.errors import HpeError
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from hpe_core.geometry.so3 import matrix_from_rotvec, project_to_rotation, skew
from hpe_core.io.shards import LABEL, LANDMARKS
from training.data import shards

MEAN_POINTS_M = REFERENCE_LANDMARKS_M - FACE_CENTRE_M
# jaw, brows, nose and eyes, mouth: the jaw of detectors slides along the outline when the head turns, the mouth moves
WEIGHT = np.repeat([0.1, 0.6, 1.0, 0.3], [17, 10, 21, 20])
LEAST_VIEWS, LEAST_LANDMARKS = 8, 12
NOISE_M = 0.003  # of a landmark across the line of sight on the head; the loss is robust from here on
SHAPE_STD_M = 0.004  # how far a person's landmarks lie from the mean ones, per axis
SIZE_STD = 0.05  # how far the size of a head in one view is from that of its start, ln
PER_RANGE, PER_RANGE_STD = 1.0, 0.5  # 1 / m: one over the distance of the head, the same for a series
ZERO_TURN_DEG = 25  # views turned by less keep their mean rotation
STD_FLOOR_DEG = 1.5
ROUNDS, DONE = 60, 1e-6  # of the solver; the relative gain that is none
PER_VIEW = 6  # parameters: rotation vector, ln size, place


@dataclass(frozen=True, eq=False)
class Views:
    """V views of one head: its landmarks and the start of its poses."""

    px: np.ndarray  # (V, 68, 2)
    weight: np.ndarray  # (V, 68) 1 = a landmark that is seen, 0 = one that is not
    R_local: np.ndarray  # (V, 3, 3)
    centre_px: np.ndarray  # (V, 2)
    size_px: np.ndarray  # (V,)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Poses of the V views, and the head that they have in common."""

    R_local: np.ndarray  # (V, 3, 3)
    centre_px: np.ndarray  # (V, 2)
    size_px: np.ndarray  # (V,)
    rot_std_deg: np.ndarray  # (V,)
    points_m: np.ndarray  # (68, 3) head frame, from the face centre
    residual_m: np.ndarray  # (V,) rms distance of the seen landmarks


def adjusted(views: Views) -> Adjusted:
    """The poses and the shape that explain the landmarks of all views best, in a virtual camera turned to each face.

    Raises HpeError for fewer than LEAST_VIEWS views.
    """
    count = len(views.px)
    if count < LEAST_VIEWS:
        raise HpeError(f"{count} views of a head, at least {LEAST_VIEWS} are needed to adjust them together")
    metre_per_px = REFERENCE_LENGTH_M / views.size_px
    seen_m = (np.nan_to_num(views.px) - views.centre_px[:, None]) * metre_per_px[:, None, None]
    weight = views.weight * WEIGHT
    state = _State(views.R_local, np.zeros(count), np.zeros((count, 2)), MEAN_POINTS_M, PER_RANGE)
    normal, damping = np.zeros(0), 1e-3
    cost = _cost(state, seen_m, weight)
    for _ in range(ROUNDS):
        normal, slope = _normal_equations(state, seen_m, weight)
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slope)
        moved = state.moved(step)
        new_cost = _cost(moved, seen_m, weight)
        damping = damping / 5 if new_cost < cost else damping * 10
        if new_cost < cost:
            done = cost - new_cost < DONE * cost
            state, cost = moved, new_cost
            if done:
                break
    apart = np.linalg.norm(state.projected()[0] - seen_m, axis=-1)
    share = views.weight / np.maximum(views.weight.sum(1, keepdims=True), 1e-9)
    zero = _zero(state.R, views.R_local)
    return Adjusted(
        R_local=state.R @ zero,
        centre_px=views.centre_px + state.place_m / metre_per_px[:, None],
        size_px=views.size_px * np.exp(state.log_size),
        rot_std_deg=_rotation_std_deg(normal, count),
        points_m=state.points_m @ zero,
        residual_m=np.sqrt((share * apart**2).sum(1)),
    )


@dataclass(frozen=True, eq=False)
class _State:
    """What is adjusted: of V views, and of the head."""

    R: np.ndarray  # (V, 3, 3)
    log_size: np.ndarray  # (V,)
    place_m: np.ndarray  # (V, 2)
    points_m: np.ndarray  # (68, 3)
    per_range: float

    def moved(self, step: np.ndarray) -> _State:
        """Moved by a step (6 V + 204 + 1,): per view the rotation vector, ln size and place; points; per_range."""
        views = PER_VIEW * len(self.R)
        own = step[:views].reshape(-1, PER_VIEW)
        return _State(
            matrix_from_rotvec(own[:, :3]) @ self.R,
            self.log_size + own[:, 3],
            self.place_m + own[:, 4:],
            self.points_m + step[views:-1].reshape(-1, 3),
            self.per_range + step[-1],
        )

    def projected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places (V, 68, 2) of the landmarks in metres at the start's size, the turned points (V, 68, 3), and how much
        nearer than the face centre each is, times the size (V, 68)."""
        turned = self.points_m @ np.swapaxes(self.R, -1, -2)
        nearer = np.exp(self.log_size[:, None]) / (1.0 + self.per_range * turned[..., 2])
        return nearer[..., None] * turned[..., :2] + self.place_m[:, None], turned, nearer


def _prior(state):
    """Residuals of the head's shape, of the sizes of the views and of the distance."""
    shape = (state.points_m - MEAN_POINTS_M).ravel() / SHAPE_STD_M
    return shape, state.log_size / SIZE_STD, (state.per_range - PER_RANGE) / PER_RANGE_STD


def _cost(state, seen_m, weight):
    """Half of the sum of squares, of landmarks by Cauchy's loss."""
    u = ((state.projected()[0] - seen_m) ** 2).sum(-1) / NOISE_M**2
    return 0.5 * (np.sum(weight * np.log1p(u)) + sum(np.sum(part**2) for part in _prior(state)))


def _normal_equations(state, seen_m, weight):
    """J'J (P, P) and J'r (P,) at the state, the landmarks weighed by the slope of Cauchy's loss."""
    places, turned, nearer = state.projected()
    apart = places - seen_m
    weight = weight / (1.0 + (apart**2).sum(-1) / NOISE_M**2) / NOISE_M**2
    count, points = weight.shape
    first = PER_VIEW * count
    # of the place by the turned point, (V, 68, 2, 3)
    by_turned = nearer[..., None, None] * np.eye(2, 3)
    by_turned[..., 2] -= (state.per_range / np.exp(state.log_size))[:, None, None] * (
        nearer[..., None] ** 2 * turned[..., :2]
    )
    own = np.zeros((count, points, 2, PER_VIEW))
    own[..., :3] = -by_turned @ skew(turned)
    own[..., 3] = places - state.place_m[:, None]
    own[..., 4:] = np.eye(2)
    by_point = by_turned @ state.R[:, None]
    by_range = -(nearer**2 * turned[..., 2] / np.exp(state.log_size)[:, None])[..., None] * turned[..., :2]
    H = np.zeros((first + 3 * points + 1,) * 2)
    for v in range(count):
        rows = slice(PER_VIEW * v, PER_VIEW * (v + 1))
        weighed = weight[v, :, None, None] * own[v]
        H[rows, rows] = np.einsum("pij,pik->jk", weighed, own[v])
        H[rows, first:-1] = np.einsum("pij,pik->jpk", weighed, by_point[v]).reshape(PER_VIEW, -1)
        H[rows, -1] = np.einsum("pij,pi->j", weighed, by_range[v])
    weighed = weight[..., None, None] * by_point
    blocks = np.einsum("vpij,vpik->pjk", weighed, by_point)
    for p in range(points):
        rows = slice(first + 3 * p, first + 3 * (p + 1))
        H[rows, rows] = blocks[p]
    H[first:-1, -1] = np.einsum("vpij,vpi->pj", weighed, by_range).ravel()
    H[-1, -1] = np.sum(weight[..., None] * by_range**2)
    H = np.triu(H) + np.triu(H, 1).T
    slope = np.concatenate(
        [
            np.einsum("vp,vpij,vpi->vj", weight, own, apart).ravel(),
            np.einsum("vpij,vpi->pj", weighed, apart).ravel(),
            [np.sum(weight[..., None] * by_range * apart)],
        ]
    )
    shape, sizes, distance = _prior(state)
    std = np.concatenate([np.full(3 * points, SHAPE_STD_M), np.full(count, SIZE_STD), [PER_RANGE_STD]])
    where = np.concatenate([first + np.arange(3 * points), PER_VIEW * np.arange(count) + 3, [len(slope) - 1]])
    H[where, where] += std**-2.0
    slope[where] += np.concatenate([shape, sizes, [distance]]) / std
    return H, slope


def _rotation_std_deg(normal, count):
    """Standard deviations (V,) per axis, root mean square, of the rotations."""
    own = np.diag(np.linalg.inv(normal))[: PER_VIEW * count].reshape(count, PER_VIEW)
    return np.maximum(np.degrees(np.sqrt(own[:, :3].mean(1))), STD_FLOOR_DEG)


def _zero(R, R_start):
    """Rotation (3, 3) of the head's frame after which R (V, 3, 3) has the mean of R_start near the front."""
    front = R_start[:, 2, 2] > np.cos(np.radians(ZERO_TURN_DEG))
    if not front.any():
        raise HpeError(f"no view is turned by less than {ZERO_TURN_DEG} degrees: nothing says where the front is")
    return project_to_rotation((np.swapaxes(R[front], -1, -2) @ R_start[front]).sum(0))


def series_of(source: str) -> str:
    """The series that an image belongs to by its `source`: up to the last "_"."""
    return source.rpartition("_")[0]


def relabelled(parts: list[dict[str, np.ndarray]], counts: Counter) -> list[dict[str, np.ndarray]]:
    """Copies of the arrays of shards with the labels of all series adjusted; `counts` learns what became of each face.

    Adjusted labels are the mean of a face's own and the adjusted rotation: they err independently.
    """
    labels = {key: np.concatenate([part[key] for part in parts]).astype(float) for key in (*LABEL, *LANDMARKS)}
    series = np.concatenate([[series_of(str(part["source"][i])) for i in part["face_image"]] for part in parts])
    known = (labels["weight"] > 0) & np.isfinite(labels["landmarks_px"]).all((1, 2))
    seen = known[:, None] & (labels["landmarks_visible"] == 1)
    usable = seen.sum(1) >= LEAST_LANDMARKS
    counts["kept: too few landmarks seen"] += int(np.sum(~usable))
    for name in track(np.unique(series[usable]), "series"):
        faces = np.flatnonzero(usable & (series == name))
        if len(faces) < LEAST_VIEWS:
            counts[f"kept: fewer than {LEAST_VIEWS} views in the series"] += len(faces)
            continue
        own = {key: labels[key][faces] for key in LABEL}
        marks = labels["landmarks_px"][faces], seen[faces].astype(float)
        found = adjusted(Views(*marks, own["R_local"], own["centre_px"], own["size_px"]))
        labels["R_local"][faces] = project_to_rotation(own["R_local"] + found.R_local)
        labels["rot_std_deg"][faces] = np.maximum(own["rot_std_deg"] / 2, found.rot_std_deg)
        counts["adjusted"] += len(faces)
    ends = np.cumsum([len(part["face_image"]) for part in parts])[:-1]
    rows = zip(*(np.split(labels[key], ends) for key in LABEL), strict=True)
    new = [dict(zip(LABEL, one, strict=True)) for one in rows]
    return [part | shards.stored(label) for part, label in zip(parts, new, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=Path, required=True, help="shards with landmarks, whole series")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.out.resolve() == args.shards.resolve():
        raise HpeError("--out: name a folder other than --shards")
    paths = shards.shard_paths(args.shards)
    args.out.mkdir(parents=True, exist_ok=True)
    counts = Counter()
    for path, shard in zip(paths, relabelled([shards.read(path) for path in paths], counts), strict=True):
        shards.save(args.out / path.name, shard)
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), sep="\n")


if __name__ == "__main__":
    main()
