"""The paper's feed-forward network: an encoder predicts the rows of the pose factors, three heads turn them to angles.

First each head learns to invert its curves on points 0.1 degrees apart; then the encoder learns the rows from random
faces of the model (identity, pose and noise drawn again each time), and at the end encoder and heads go on together.
The epoch with the smallest validation error is kept, and everything becomes one ONNX graph from landmarks to a
rotation.
"""

import itertools
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from hpe_core.errors import HpeError
from hpe_core.network_card import CARD_KEY
from hpe_core.nlml import angles as euler
from hpe_core.nlml.bases import CURVES
from training.nlml import curves as curve_fits
from training.nlml import tucker

OPSET = 17
RANK = 3
SPEC = {
    "name": "nlml_ff",
    "input": "float32 (N, M, 4): landmarks x, y, z and visibility, any origin and size",
    "output": "float32 (N, 12): R_local row by row, then yaw, pitch, roll of the training grid's order in degrees",
}


class Head(nn.Module):
    """Angle (radians) of one row of a factor."""

    def __init__(self, rank, width, low, high):
        super().__init__()
        self.middle, self.half = 0.5 * (low + high), 0.5 * (high - low)
        self.layers = nn.Sequential(
            nn.Linear(rank, width), nn.ReLU(), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width),
            nn.ReLU(), nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, rows):
        return self.middle + self.half * self.layers(rows)[..., 0]


class Encoder(nn.Module):
    """Normalised landmarks (N, 3 M) -> three rows of RANK standardised factor entries (N, 9)."""

    def __init__(self, inputs, hidden):
        super().__init__()
        widths = [inputs, hidden, hidden // 2, hidden // 4]
        parts = []
        for a, b in itertools.pairwise(widths):
            parts += [nn.Linear(a, b), nn.ReLU()]
        self.layers = nn.Sequential(*parts, nn.Linear(widths[-1], 3 * RANK))

    def forward(self, x):
        return self.layers(x)


class FeedForward(nn.Module):
    """Landmarks with visibility (N, M, 4) -> rows of SPEC."""

    def __init__(self, landmarks, settings, limits_deg, order):
        super().__init__()
        self.order = order
        limits = np.radians(limits_deg)
        self.encoder = Encoder(3 * landmarks, settings.hidden)
        self.heads = nn.ModuleList(Head(RANK, settings.heads, float(a), float(b)) for a, b in limits)

    def angles(self, x):
        """Yaw, pitch, roll (N, 3) in radians and factor rows (N, 9) of landmarks (N, M, 4)."""
        rows = self.encoder(normalised(x))
        return torch.stack([head(rows[:, RANK * a : RANK * (a + 1)]) for a, head in enumerate(self.heads)], -1), rows

    def forward(self, x):
        angles, _ = self.angles(x)
        R = rotation(angles, self.order)
        return torch.cat([R.reshape(-1, 9), angles * (180.0 / np.pi)], -1)


def normalised(x):
    """Landmarks (N, M, 4) with mean 0 and root mean square radius 1 over all of them, flat (N, 3 M)."""
    points = x[..., :3] - x[..., :3].mean(1, keepdim=True)
    radius = torch.sqrt((points * points).sum(-1).mean(1)).clamp(min=1e-9)
    return (points / radius[:, None, None]).flatten(1)


def rotation(angles, order):
    """Rotations (N, 3, 3) of yaw, pitch, roll (N, 3) in radians; hpe_core.nlml.angles in torch."""
    product = None
    for axis, sign, which in euler.ORDERS[order]:
        c, s = torch.cos(sign * angles[:, which]), torch.sin(sign * angles[:, which])
        one, zero = torch.ones_like(c), torch.zeros_like(c)
        turn = {
            0: (one, zero, zero, zero, c, -s, zero, s, c),
            1: (c, zero, s, zero, one, zero, -s, zero, c),
            2: (c, -s, zero, s, c, zero, zero, zero, one),
        }[axis]
        turn = torch.stack(turn, -1).reshape(-1, 3, 3)
        product = turn if product is None else product @ turn
    return product


class FactorRows:
    """Standardised rows of the tensor's pose factors as functions of the angles."""

    def __init__(self, tensor, settings):
        pieces = tucker.Pieces(tensor.points, None, settings.memory_gb)
        factors = tucker.pose_factors(pieces, RANK).factors
        self.coefficients, self._scale = [], []
        for grid, factor in zip(tensor.grids_deg, factors, strict=True):
            self.coefficients.append(curve_fits.fit_columns("fourier", np.radians(grid), factor, 2)[0])
            values = CURVES["fourier"](np.radians(np.linspace(grid[0], grid[-1], 200)), self.coefficients[-1])[0]
            self._scale.append((values.mean(0), np.maximum(values.std(0), 1e-9)))

    def of(self, axis, angles_rad):
        """(N, RANK) rows of one axis at angles (N,)."""
        mean, std = self._scale[axis]
        return (CURVES["fourier"](angles_rad, self.coefficients[axis])[0] - mean) / std


class Faces:
    """Random faces of a model: landmarks with visibility (n, M, 4), angles (n, 3) rad; noise as the model has it."""

    def __init__(self, model, tensor):
        self._model, self._tensor = model, tensor
        self._visible = np.asarray(tensor.visible).reshape(-1, tensor.visible.shape[-1])
        self._measured = np.asarray(tensor.measured).reshape(-1)

    def draw(self, rng, count):
        model, tensor = self._model, self._tensor
        limits = np.radians(tensor.limits_deg)
        angles = rng.uniform(limits[:, 0], limits[:, 1], (count, 3))
        R = euler.matrix_from_angles(angles, tensor.order)
        points = model.points(R, rng.normal(size=(count, model.identities)))
        cells = [
            np.argmin(np.abs(np.radians(grid)[None] - angles[:, axis, None]), 1)
            for axis, grid in enumerate(tensor.grids_deg)
        ]
        person = rng.integers(len(tensor.identities), size=count)
        flat = np.ravel_multi_index((person, *cells), tensor.measured.shape)
        visible = np.where(self._measured[flat, None], self._visible[flat] / 255.0, 1.0)
        noise = model.noise_std.reshape(-1, 3) * (1.0 + (model.hidden_noise - 1.0) * (1.0 - visible))[..., None]
        points = points + noise * rng.normal(size=points.shape)
        return np.concatenate([points, visible[..., None]], -1).astype(np.float32), angles.astype(np.float32)


def train(model, tensor, fit_settings, settings, folder, say=print):
    """Train, keep the best epoch, write `ff.onnx` into the folder; returns its path. Goes on from `last.pt`."""
    if model.normalisation != "free":
        raise HpeError("the feed-forward network is trained on models of normalisation 'free'")
    folder = Path(folder)
    there = [name for name in ("ff.onnx", "log.jsonl", "tmp.pt") if os.path.lexists(folder / name)]
    if there and not (folder / "last.pt").is_file():
        raise HpeError(f"{folder} holds {', '.join(there)} but no last.pt to go on from: take another --out")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    rows, faces = FactorRows(tensor, fit_settings), Faces(model, tensor)
    net = FeedForward(model.landmarks, settings, tensor.limits_deg, tensor.order)
    facts = {"train": asdict(settings), "landmarks": model.landmarks}
    steps = max(settings.samples // settings.batch, 1)
    optimiser = torch.optim.AdamW(net.encoder.parameters(), lr=settings.lr, weight_decay=1e-4)
    optimiser.add_param_group({"params": net.heads.parameters(), "weight_decay": 0.0})
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * steps, settings.lr * 0.01)
    held_x, held_angles = (torch.from_numpy(a) for a in faces.draw(np.random.default_rng([settings.seed, 9]), 2000))
    start, best = 0, (np.inf, None)
    last = folder / "last.pt"
    if last.is_file():
        saved = torch.load(last, weights_only=True)
        if saved["facts"] != facts:
            raise HpeError(f"{last} belongs to other settings; take another --out or delete it")
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        start, best = saved["epoch"], (saved["best"], saved["best_net"])
    else:
        for axis in range(3):
            error = _train_head(net.heads[axis], rows, axis, np.radians(tensor.limits_deg[axis]), settings)
            say(f"head of {('yaw', 'pitch', 'roll')[axis]}: {error:.3f} deg on its curves")
    log = open(folder / "log.jsonl", "a")
    for epoch in tqdm(range(start, settings.epochs), initial=start, total=settings.epochs, unit="epoch"):
        rng, total = np.random.default_rng([settings.seed, 1, epoch]), 0.0
        together = epoch >= settings.epochs // 2
        for _ in range(steps):
            x, angles = faces.draw(rng, settings.batch)
            target = np.concatenate([rows.of(a, angles[:, a]) for a in range(3)], -1).astype(np.float32)
            predicted, factor_rows = net.angles(torch.from_numpy(x))
            loss = torch.mean((factor_rows - torch.from_numpy(target)) ** 2)
            if together:
                wanted = rotation(torch.from_numpy(angles), tensor.order)
                loss = 0.1 * loss + torch.mean((rotation(predicted, tensor.order) - wanted) ** 2)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        with torch.no_grad():
            found = rotation(net.angles(held_x)[0], tensor.order)
            chord = torch.linalg.norm(found - rotation(held_angles, tensor.order), dim=(1, 2))
            error = float(torch.rad2deg(2 * torch.asin((chord / 8**0.5).clamp(max=1))).mean())
        if error < best[0]:
            best = (error, {k: v.clone() for k, v in net.state_dict().items()})
        log.write(json.dumps({"epoch": epoch + 1, "loss": total / steps, "validation_deg": error}) + "\n")
        log.flush()
        state = {
            "net": net.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
            "best": best[0],
            "best_net": best[1],
            "facts": facts,
        }
        torch.save(state, folder / "tmp.pt")
        (folder / "tmp.pt").replace(last)
    if best[1] is None:
        raise HpeError("no epoch gave a finite error")
    net.load_state_dict(best[1])
    say(f"best epoch: {best[0]:.3f} deg on random faces of the model")
    return export(net, folder / "ff.onnx", facts | {"validation_deg": round(best[0], 3)})


def _train_head(head, rows, axis, limits, settings):
    """Invert the curves of one axis; returns the mean error in degrees."""
    angles = np.arange(limits[0], limits[1], np.radians(0.1))
    x = torch.from_numpy(rows.of(axis, angles).astype(np.float32))
    y = torch.from_numpy(angles.astype(np.float32))
    optimiser = torch.optim.Adam(head.parameters(), lr=3e-3)
    steps = max(200, min(1500, settings.epochs * 40))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 1e-5)
    for _ in range(steps):
        loss = torch.mean((head(x) - y) ** 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return float(torch.rad2deg((head(x) - y).abs().mean()))


def export(net, path, facts):
    """Write encoder and heads as one ONNX graph with its card; returns the path."""
    import onnx

    net.eval()
    landmarks = facts["landmarks"]
    example = torch.randn(1, landmarks, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (example,),
            str(path),
            input_names=["landmarks"],
            output_names=["rows"],
            dynamic_axes={"landmarks": {0: "faces"}, "rows": {0: "faces"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, json.dumps({"name": "nlml_ff", "spec": SPEC} | facts)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
