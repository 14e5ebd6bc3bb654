"""Loss of dense: crop6dof's of the pose; where a render knows its shape: vertices, identity, expression and gaze. Where
landmarks are known: those of the head model laid into the crop by the pose, and how far lids and lips are open.
Elsewhere priors.
"""

import torch
from torch.nn import functional as F

from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.data import head_basis
from training.losses import crop6dof
from training.losses.head6dof import matrix_from_sixd
from training.networks.crop6dof import LANDMARKS

POSE = ("rotation", "points", "consistency", "centre", "size")  # terms of crop6dof's loss
WEIGHTS = {name: crop6dof.WEIGHTS[name] for name in POSE} | {
    "landmarks": 24.0,
    "vertices": 60.0,
    "identity": 2.0,
    "expression": 16.0,
    "gaze": 2.0,
    "openings": 4.0,
    "same_face": 0.3,
    "sparsity": 0.05,
    "identity_prior": 0.01,
}
EXACT_STD_DEG = 1.0  # below it a label is a render's
# pairs of landmarks on the upper and lower lids, and on the inner lips
PAIRS = ((37, 38, 43, 44, 61, 62, 63), (41, 40, 47, 46, 67, 66, 65))
LID_PAIRS = 4
OPENING_M = 0.01
KNOWN_GAZE_BLINK = 0.7  # above it a lid hides the eye
_CENTRE_M = torch.tensor(FACE_CENTRE_M, dtype=torch.float32)
_BASIS = head_basis.load()
_BLINKS = [_BASIS.names.index(name) for name in ("eyeBlink_L", "eyeBlink_R")]
_IDENTITIES = len(_BASIS.mirror) - len(_BASIS.names)


def loss_terms(rows: torch.Tensor, labels: dict[str, torch.Tensor], config) -> dict[str, torch.Tensor]:
    """Dict of scalars from rows (N, C), in `config.columns`, and label tensors of `training.data.crops.random_view`.

    Views 2k and 2k + 1 show one face. Faces without SHAPE_KEYS have NaN there.
    """
    rows = rows.cpu()
    out = {name: rows[:, a:b] for name, (a, b) in config.columns.items()}
    shape = canonical(labels)
    known = torch.isfinite(shape["expression"][:, 0])
    exact = labels["rot_std_deg"] < EXACT_STD_DEG
    true_face = _BASIS.face(torch.nan_to_num(shape["identity"]), torch.nan_to_num(shape["expression"]))
    face = _BASIS.face(out["identity"], out["expression"])
    place = labels["R_local"], torch.exp(labels["log_size"])[:, None], labels["centre_m"], labels["per_range"]
    found = matrix_from_sixd(out["sixd"]), torch.exp(out["log_size"]), out["centre_m"], labels["per_range"]
    out["landmarks_m"] = in_crop(face[:, :LANDMARKS], *found)
    # landmarks of other renders are other points
    marks = torch.where((exact & ~known)[:, None, None], torch.nan, labels["landmarks_m"])
    own = labels | {"landmarks_m": torch.where(known[:, None, None], in_crop(true_face[:, :LANDMARKS], *place), marks)}
    return (
        crop6dof.pose_terms(out, labels)
        | {"landmarks": crop6dof.landmark_error(out["landmarks_m"], own)}
        | shape_terms(out, shape, face, true_face, known.float())
        | {"openings": _openings(out["landmarks_m"].reshape(-1, LANDMARKS, 3), own, known)}
        | _same_face(out, labels)
        | _priors(out, (~known & (labels["no_face"] == 0)).float())
    )


def canonical(labels: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """identity, expression and gaze of what the view shows: of the mirror image where the view is mirrored."""
    identity, expression, gaze = labels["identity"][:, :_IDENTITIES], labels["expression"], labels["gaze_rad"]
    both = torch.cat([identity, expression], 1)
    mirrored = labels["mirrored"][:, None] > 0
    both = torch.where(mirrored, both[:, _BASIS.mirror] * _BASIS.mirror_sign, both)
    gaze = torch.where(mirrored, mirrored_gaze(gaze), gaze)
    return {"identity": both[:, :_IDENTITIES], "expression": both[:, _IDENTITIES:], "gaze": gaze}


def mirrored_gaze(gaze: torch.Tensor) -> torch.Tensor:
    """(N, 4) gaze of the mirror image: the eyes change places, yaw its sign."""
    return gaze[:, [2, 3, 0, 1]] * torch.tensor([-1.0, 1.0, -1.0, 1.0])


def in_crop(face_m, R, size, centre_m, per_range):
    """Points (N, K, 3) of the head frame -> (N, K, 3) as `landmarks_m` of a crop: image metres from its middle at the
    face's depth, seen from 1 / per_range (N,) metres, and the depth beyond the face's centre.

    size (N, 1): ratio of the face's to the crop's scale; centre_m (N, 2): its place.
    """
    p = (face_m - _CENTRE_M) @ R.transpose(1, 2)
    xy = p[..., :2] / (1.0 + per_range[:, None] * p[..., 2]).clamp(min=0.3)[..., None]
    return torch.cat([size[:, None] * xy + centre_m[:, None], size[:, None] * p[..., 2:]], -1)


def shape_terms(out, shape, face, true_face, known):
    """L1 of vertices in reference lengths, squared error of identity, cross-entropy of expression, L1 of the gaze of
    open eyes; known (N,) 1 where the label says them."""
    count = known.sum().clamp(min=1.0)
    vertices = (face - true_face).abs().sum(-1).mean(-1) / REFERENCE_LENGTH_M
    identity = (out["identity"] - torch.nan_to_num(shape["identity"])).square().mean(-1)
    true_expression = torch.nan_to_num(shape["expression"])
    # cross-entropy pulls at a weight near 0 as hard as at any other; through the sigmoid a distance would not
    said = out["expression"].clamp(1e-5, 1 - 1e-5)
    expression = F.binary_cross_entropy(said, true_expression, reduction="none").mean(-1)
    seen = (true_expression[:, _BLINKS] < KNOWN_GAZE_BLINK).float().repeat_interleave(2, 1) * known[:, None]
    gaze = (out["gaze"] - torch.nan_to_num(shape["gaze"])).abs() * seen
    return {
        "vertices": (known * vertices).sum() / count,
        "identity": (known * identity).sum() / count,
        "expression": (known * expression).sum() / count,
        "gaze": gaze.sum() / seen.sum().clamp(min=1.0),
    }


def _openings(marks, labels, exact):
    """L1 of the vector from the upper to the lower lids and lips in the image, where landmarks are known and seen; that
    of lids only of faces (N,) whose landmarks are exact: the face mesh does not see a blink."""
    upper, lower = (list(side) for side in PAIRS)
    target = labels["landmarks_m"][:, lower, :2] - labels["landmarks_m"][:, upper, :2]
    seen = (labels["visible"][:, upper] == 1) | (labels["visible"][:, lower] == 1)
    known = torch.isfinite(target).all(-1) & seen & (labels["weight"] > 0)[:, None]
    known[:, :LID_PAIRS] &= exact[:, None]
    error = (marks[:, lower, :2] - marks[:, upper, :2] - torch.nan_to_num(target)).abs().sum(-1) / OPENING_M
    return (known * error).sum() / known.sum().clamp(min=1)


def _same_face(out, labels):
    """Mean difference of identity and expression between the two views of each face."""
    both = torch.cat([out["identity"] * 0.1, out["expression"]], 1)
    mirrored = labels["mirrored"][:, None] > 0
    both = torch.where(mirrored, both[:, _BASIS.mirror] * _BASIS.mirror_sign, both)
    face = 1.0 - labels["no_face"][0::2]
    apart = (both[0::2] - both[1::2]).abs().mean(-1)
    return {"same_face": (face * apart).sum() / face.sum().clamp(min=1.0)}


def _priors(out, free):
    """Of faces (N,) 1 whose shape no label says: mean expression, mean squared identity."""
    count = free.sum().clamp(min=1.0)
    return {
        "sparsity": (free * out["expression"].mean(-1)).sum() / count,
        "identity_prior": (free * out["identity"].square().mean(-1)).sum() / count,
    }
