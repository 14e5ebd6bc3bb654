"""opnet: rotation as a quaternion with a Gaussian in its tangent space, place and size with theirs, box, 68 landmarks.

Source: OpNet (opentrack, arXiv 2407.05357): its grey MobileNet v1, its heads and losses; or the shared trunk. Unlike
it: landmarks are the mean head and 50 directions that are learnt with the rest, instead of a morphable model's; they
count by L1, and box and landmarks have no Gaussian. Its covariance is that of the right error, log(q^-1 q*) in the
head; the exported factor is that of the left one in the camera, of information R (L L')^-1 R', made in the graph.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from hpe_core.geometry import so3
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from training.losses.crop6dof import landmark_error, landmark_weights, no_face
from training.networks import crop6dof
from training.networks._trunks.method import (
    CROP_M,
    Backbone,
    DeployedRotation,
    MethodConfig,
    shares,
    spec,
)
from training.networks._trunks.mobilenet_v1 import MobileNetV1

COLUMNS = {name: span for name, span in crop6dof.SPEC["columns"].items() if name != "visibility"}
SPEC = spec("opnet", COLUMNS)
FREE_BATCH = True
BATCHES, STEPS = "crops", 6000
WEIGHTS = {
    "rotation": 1.0,
    "norm": 1e-6,
    "centre": 0.25,
    "size": 0.25,
    "box": 0.01,
    "landmarks": 0.7,
    "shape": 0.001,
    "rotation_nll": 0.005,
    "place_nll": 0.005,
    "no_face": 0.02,
}
UNIT_M = CROP_M / 2.0  # a crop spans [-1, 1]
SHAPES, SHAPE_UNIT_M = 50, 0.01
LEAST_STD = 0.01  # on the diagonal of both factors: radians, and units of the crop
OUTLIERS = 0.001  # share of errors that are uniform over
ROTATION_VOLUME, PLACE_VOLUME = 4.0 * math.pi**4 / 3.0, 4.0
PARTS = {"quat": 4, "centre": 2, "size": 1, "box": 4, "shape": SHAPES, "rotation_factor": 7, "place_factor": 7}
LOWER = ((0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1))  # order of a factor's numbers


@dataclass(frozen=True)
class Config(MethodConfig):
    """Which trunk."""

    OWN_SIDE: ClassVar[int] = 129
    COLUMNS: ClassVar[dict[str, list[int]]] = COLUMNS


def grey(crops: torch.Tensor) -> torch.Tensor:
    """Crops (N, S, S, 3) uint8 BGR -> (N, 1, S, S) brightness in [-0.5, 0.5)."""
    weights = torch.tensor([0.114, 0.587, 0.299], device=crops.device)
    return ((crops.float() * weights).sum(-1) / 256.0 - 0.5)[:, None]


def positive(x: torch.Tensor) -> torch.Tensor:
    """Smooth and above 0; 1 at 0."""
    return F.elu(x) + 1.0


class OpNet(nn.Module):
    """Features, one linear layer for everything, and the shapes of heads."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, MobileNetV1, grey)
        self.heads = nn.Linear(self.backbone.features, sum(PARTS.values()))
        with torch.no_grad():
            self.heads.bias.zero_()
            self.heads.bias[3] = math.log(0.1)
        mean = torch.tensor(REFERENCE_LANDMARKS_M - FACE_CENTRE_M, dtype=torch.float32)
        self.mean_m = nn.Parameter(mean.flatten())
        self.shapes = nn.Parameter(torch.randn(SHAPES, mean.numel()) / SHAPES**0.5)

    def forward(self, crops: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, side, side, 3) uint8 -> a dict, in units of the crop, which spans [-1, 1]; see `parts`."""
        return self.parts(self.heads(self.backbone(crops)).float())

    def parts(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the heads' numbers (N, 75) say.

        quat (N, 4) (x, y, z, w) with w > 0 and norm (N,) before it was made 1; centre (N, 2), size (N,) against the
        crop's, box (N, 4) its centre and half size, shape (N, 50), lower Cholesky factors rotation_factor (N, 3, 3) of
        the right error and place_factor (N, 3, 3) of (centre, size), landmarks_m (N, 204).
        """
        part = dict(zip(PARTS, raw.split(list(PARTS.values()), 1), strict=True))
        quat = torch.cat([part["quat"][:, :3], positive(part["quat"][:, 3:])], 1)
        norm = quat.norm(dim=1, keepdim=True)
        size = positive(part["size"])
        found = {
            "quat": quat / norm,
            "norm": norm[:, 0],
            "centre": part["centre"],
            "size": size[:, 0],
            "box": torch.cat([part["box"][:, :2], positive(part["box"][:, 2:])], 1),
            "shape": part["shape"],
            "rotation_factor": factor(part["rotation_factor"]),
            "place_factor": factor(part["place_factor"]),
        }
        R = matrix_from_quat(found["quat"])
        head_m = (self.mean_m + SHAPE_UNIT_M * part["shape"] @ self.shapes).unflatten(1, (-1, 3))
        place_m = torch.cat([UNIT_M * part["centre"], torch.zeros_like(size)], 1)
        points_m = size[..., None] * (head_m @ R.transpose(1, 2)) + place_m[:, None]
        return found | {"landmarks_m": points_m.flatten(1)}


def factor(raw: torch.Tensor) -> torch.Tensor:
    """Lower Cholesky factor (N, 3, 3) of a covariance from seven numbers (N, 7): a scale and what it scales."""
    scaled = positive(raw[:, :1]) * torch.cat([positive(raw[:, 1:4]), raw[:, 4:]], 1)
    xx, yy, zz, yx, zx, zy = scaled.unbind(1)
    none = torch.zeros_like(xx)
    least = LEAST_STD
    rows = [xx + least, none, none, yx, yy + least, none, zx, zy, zz + least]
    return torch.stack(rows, 1).unflatten(1, (3, 3))


def whitened(rows: torch.Tensor, L: torch.Tensor) -> torch.Tensor:
    """Rows (N, K, 3), each as L^-1 row, by lower triangular matrices L (N, 3, 3)."""
    x, y, z = rows.unbind(-1)
    xx, yy, zz, yx, zx, zy = (L[:, i, j, None] for i, j in LOWER)
    x = x / xx
    y = (y - yx * x) / yy
    return torch.stack([x, y, (z - zx * x - zy * y) / zz], -1)


def precision_factor(L: torch.Tensor, R: torch.Tensor) -> torch.Tensor:
    """SPEC's precision_factor (N, 6), of the left error, from the factor L (N, 3, 3) of the right error's covariance.

    True = R exp(e) = exp(R e) R, so that the information (L L')^-1 of e becomes A A' with A = R L^-T. Its lower factor
    comes of A's rows by Gram-Schmidt, which keeps more digits than Cholesky of A A'.
    """
    x, y, z = whitened(R, L).unbind(1)  # N 3
    xx = x.norm(dim=1, keepdim=True)
    x = x / xx
    yx, zx = (y * x).sum(1, keepdim=True), (z * x).sum(1, keepdim=True)
    y, z = y - yx * x, z - zx * x
    yy = y.norm(dim=1, keepdim=True)
    y = y / yy
    zy = (z * y).sum(1, keepdim=True)
    zz = (z - zy * y).norm(dim=1, keepdim=True)
    return torch.cat([xx.log(), yy.log(), zz.log(), yx, zx, zy], 1)


def matrix_from_quat(quat: torch.Tensor) -> torch.Tensor:
    """Unit quaternions (N, 4) as (x, y, z, w) -> (N, 3, 3); the twin of hpe_core.geometry.so3.matrix_from_quat."""
    x, y, z, w = quat.unbind(1)
    rows = [
        *[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        *[2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        *[2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack(rows, 1).unflatten(1, (3, 3))


def tangent_error(quat: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """log(q^-1 q*) (N, 3) rad, in the head, of unit quaternions (N, 4): length at most pi, finite slope everywhere."""
    v, w, true_v, true_w = quat[:, :3], quat[:, 3:], true[:, :3], true[:, 3:]
    between = w * true_v - true_w * v - torch.linalg.cross(v, true_v)
    cosine = w * true_w + (v * true_v).sum(1, keepdim=True)
    sine = (between.square().sum(1, keepdim=True) + 1e-12).sqrt()
    return between * torch.where(cosine < 0.0, -1.0, 1.0) * 2.0 * torch.atan2(sine, cosine.abs()) / sine


def mixed_nll(error: torch.Tensor, L: torch.Tensor, volume: float) -> torch.Tensor:
    """-ln of a Gaussian (N,) with covariance L L' at error (N, 3), mixed with 0.001 of a uniform density."""
    log_det = L.diagonal(dim1=1, dim2=2).log().sum(-1)
    gaussian = -0.5 * whitened(error[:, None], L).square().sum((1, 2)) - log_det - 1.5 * math.log(2.0 * math.pi)
    uniform = torch.full_like(gaussian, math.log(OUTLIERS / volume))
    return -torch.logaddexp(gaussian + math.log(1.0 - OUTLIERS), uniform)


def log_centre_std_m(place_factor: torch.Tensor) -> torch.Tensor:
    """ln of the std per axis (N, 1) of the face centre across the line of sight, metres."""
    return 0.5 * (place_factor[:, :2].square().sum((1, 2)) / 2.0).log()[:, None] + math.log(UNIT_M)


def box_of(landmarks_m: torch.Tensor) -> torch.Tensor:
    """Centre and half size (N, 4) in units of the crop of landmarks (N, 68, 3)."""
    least, most = landmarks_m[..., :2].amin(1), landmarks_m[..., :2].amax(1)
    return torch.cat([least + most, most - least], 1) / (2.0 * UNIT_M)


def loss_terms(
    output: dict[str, torch.Tensor], labels: dict[str, torch.Tensor], config: Config
) -> dict[str, torch.Tensor]:
    """1 - <q, q*>^2, squared errors of place, size and box, L1 of landmarks, and both negative log-likelihoods."""
    output = {name: value.cpu() for name, value in output.items()}
    quat = torch.from_numpy(so3.quat_from_matrix(labels["R_local"].numpy())).to(output["quat"])
    share = shares(labels)
    centre_error = output["centre"] - labels["centre_m"] / UNIT_M
    size_error = output["size"] - labels["log_size"].exp()
    place_error = torch.cat([centre_error, size_error[:, None]], 1)
    whole = (landmark_weights(labels) > 0).all(1)
    box_error = (output["box"] - box_of(torch.nan_to_num(labels["landmarks_m"]))).square().sum(1)
    rotation_nll = mixed_nll(tangent_error(output["quat"], quat), output["rotation_factor"], ROTATION_VOLUME)
    return {
        "rotation": (share * (1.0 - (output["quat"] * quat).sum(1).square())).sum(),
        "norm": (1.0 - output["norm"]).square().mean(),
        "centre": (share * centre_error.square().sum(1)).sum(),
        "size": (share * size_error.square()).sum(),
        "box": (whole * box_error).sum() / whole.sum().clamp(min=1),
        "landmarks": landmark_error(output["landmarks_m"], labels),
        "shape": output["shape"].square().mean(),
        "rotation_nll": (share * rotation_nll).sum(),
        "place_nll": (share * mixed_nll(place_error, output["place_factor"], PLACE_VOLUME)).sum(),
        "no_face": no_face(log_centre_std_m(output["place_factor"]), labels),
    }


class Deployed(DeployedRotation):
    """As exported: rows (N, 221) in SPEC's columns."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return rows(self.net(crops))


def rows(output: dict[str, torch.Tensor]) -> torch.Tensor:
    """Rows (N, 221) in SPEC's columns from what the network gives."""
    R = matrix_from_quat(output["quat"])
    log_size = output["size"].log()[:, None]
    size_std = output["place_factor"][:, 2].norm(dim=1)
    parts = {
        "sixd": R[..., :2].transpose(1, 2).flatten(1),
        "precision_factor": precision_factor(output["rotation_factor"], R),
        "centre_m": UNIT_M * output["centre"],
        "log_size": log_size,
        "log_centre_std_m": log_centre_std_m(output["place_factor"]),
        "log_size_std": size_std.log()[:, None] - log_size,  # to first order
        "landmarks_m": output["landmarks_m"],
    }
    return torch.cat([parts[name] for name in COLUMNS], 1)


def build(config: Config | None = None) -> OpNet:
    """A fresh network with random weights."""
    return OpNet(config or Config())
