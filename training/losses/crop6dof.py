"""Loss of crop6dof (methods: geodesic, calibration points, tangent-space Gaussian NLL, consistency of two views)."""

import math

import torch
from torch.nn import functional as F

from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, REFERENCE_POINTS_M
from training.losses.head6dof import geodesic, matrix_from_sixd, scalar_nll
from training.networks._trunks.method import shares
from training.networks.crop6dof import LANDMARKS

WEIGHTS = {
    "rotation": 4.0,
    "points": 2.0,
    "consistency": 3.0,
    "rotation_nll": 0.05,
    "centre": 2.0,
    "size": 1.0,
    "centre_nll": 0.05,
    "size_nll": 0.05,
    "landmarks": 4.0,
    "visibility": 0.2,
    "no_face": 0.3,
}
NO_FACE_CENTRE_STD_M = 0.012  # at least, twice of what confirms a face
HIDDEN_WEIGHT = 0.5  # of a landmark that is not seen, or whose visibility is unknown
_CENTRED_POINTS_M = torch.tensor(REFERENCE_POINTS_M - FACE_CENTRE_M, dtype=torch.float32)
_EYE = torch.eye(3)


def loss_terms(rows: torch.Tensor, labels: dict[str, torch.Tensor], config) -> dict[str, torch.Tensor]:
    """Dict of scalars from rows (N, C), in `config.columns`, and label tensors of `training.data.crops.random_view`.

    Views 2k and 2k + 1 show one face.
    """
    rows = rows.cpu()
    out = {name: rows[:, a:b] for name, (a, b) in config.columns.items()}
    own = {"no_face": no_face(out["log_centre_std_m"], labels)}
    return pose_terms(out, labels) | _uncertainty_terms(out, labels) | landmark_terms(out, labels) | own


def pose_terms(out: dict[str, torch.Tensor], labels: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Errors of rotation, place and size in columns of rows by name."""
    R, share = matrix_from_sixd(out["sixd"]), shares(labels)
    size_error, centre_error = _errors(out, labels)
    shape = _CENTRED_POINTS_M
    scaled = torch.exp(size_error.clamp(-1, 1))[:, None, None] * (shape @ R.transpose(1, 2))
    points = (scaled - shape @ labels["R_local"].transpose(1, 2)) / REFERENCE_LENGTH_M
    return {
        "rotation": (share * geodesic(R, labels["R_local"])).sum(),
        "points": (share * points.abs().mean((1, 2))).sum(),
        "consistency": _consistency(R, labels),
        "centre": (share * centre_error.abs().sum(-1)).sum(),
        "size": (share * size_error.abs()).sum(),
    }


def _uncertainty_terms(out, labels):
    """Gaussian NLL of rotation, place and size, whose errors are taken as given."""
    R, share = matrix_from_sixd(out["sixd"]).detach(), shares(labels)
    size_error, centre_error = (error.detach() for error in _errors(out, labels))
    centre_square = centre_error.square().mean(-1) * REFERENCE_LENGTH_M**2
    return {
        "rotation_nll": (share * rotation_nll(R, labels["R_local"], out["precision_factor"])).sum(),
        "centre_nll": (share * scalar_nll(centre_square, out["log_centre_std_m"][:, 0])).sum(),
        "size_nll": (share * scalar_nll(size_error**2, out["log_size_std"][:, 0])).sum(),
    }


def _errors(out, labels):
    """Of the size in ln (N,), and of the centre (N, 2) in reference lengths."""
    centre_error = (out["centre_m"] - labels["centre_m"]) / REFERENCE_LENGTH_M
    return out["log_size"][:, 0] - labels["log_size"], centre_error


def landmark_terms(out, labels):
    """L1 of the known landmarks in reference lengths, and cross-entropy of the known visibilities."""
    stated = (labels["visible"] < 2) & (landmark_weights(labels) > 0)
    bce = F.binary_cross_entropy_with_logits(out["visibility"], (labels["visible"] == 1).float(), reduction="none")
    return {
        "landmarks": landmark_error(out["landmarks_m"], labels),
        "visibility": (stated * bce).sum() / stated.sum().clamp(min=1),
    }


def landmark_weights(labels: dict[str, torch.Tensor]) -> torch.Tensor:
    """How much each landmark counts (N, 68): 0 unless it is known, in a face with a pose."""
    known = torch.isfinite(labels["landmarks_m"]).all(-1) & (labels["weight"] > 0)[:, None]
    return known.float() * torch.where(labels["visible"] == 1, 1.0, HIDDEN_WEIGHT)


def landmark_error(landmarks_m: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean L1 (a scalar, in reference lengths) of the known landmarks; landmarks_m (N, 204)."""
    weight = landmark_weights(labels)
    error = (landmarks_m.reshape(-1, LANDMARKS, 3) - torch.nan_to_num(labels["landmarks_m"])).abs().sum(-1)
    return (weight * error).sum() / REFERENCE_LENGTH_M / weight.sum().clamp(min=1.0)


def rotation_nll(R, R_true, precision_factor):
    """Gaussian NLL (N,) of the left error log(R_true R') under information L L'; L as in SPEC's precision_factor."""
    error = log_rotation(R_true @ R.transpose(1, 2))
    log_diagonal, below = precision_factor[:, :3].clamp(-2.0, 7.0), precision_factor[:, 3:]
    d = torch.exp(log_diagonal)
    x, y, z = error.unbind(-1)
    whitened = torch.stack(
        [d[:, 0] * x + below[:, 0] * y + below[:, 1] * z, d[:, 1] * y + below[:, 2] * z, d[:, 2] * z], -1
    )
    return 0.5 * whitened.square().sum(-1) - log_diagonal.sum(-1)


def log_rotation(R):
    """Rotation vector (N, 3) of (N, 3, 3), for errors well below pi."""
    axis = torch.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], -1) / 2.0
    sine = axis.norm(dim=-1).clamp(min=1e-7)
    angle = torch.atan2(sine, (R.diagonal(dim1=1, dim2=2).sum(-1) - 1.0) / 2.0)
    return axis * (angle / sine)[:, None]


def no_face(log_centre_std_m: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
    """By how much the network is too sure of the place of what is no face, in ln; log_centre_std_m (N, 1)."""
    short = F.relu(math.log(NO_FACE_CENTRE_STD_M) - log_centre_std_m[:, 0])
    return (labels["no_face"] * short).sum() / labels["no_face"].sum().clamp(min=1.0)


def _consistency(R, labels):
    """Mean angle between the two views of each face, both turned back to the photo; no label is needed."""
    back = labels["undo"] @ R
    mirror = torch.where(labels["mirrored"][:, None] > 0, torch.tensor([-1.0, 1.0, 1.0]), torch.ones(3))
    back = mirror[:, :, None] * back * mirror[:, None, :]
    face = 1.0 - labels["no_face"][0::2]
    return (face * geodesic(back[0::2], back[1::2])).sum() / face.sum().clamp(min=1.0)
