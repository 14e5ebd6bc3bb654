"""Which cell answers for which face, and the loss of head6dof (methods: img2pose losses on a dense head)."""

import torch
from torch.nn import functional as F

from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, REFERENCE_POINTS_M
from training.networks.head6dof import cell_centres

WEIGHTS = {
    "score": 1.0,
    "centre": 2.0,
    "size": 1.0,
    "rotation": 4.0,
    "points": 2.0,
    "rotation_nll": 0.1,
    "size_nll": 0.1,
    "centre_nll": 0.1,
}
POSITIVE_RADIUS = 0.22  # of size_px
IGNORE_RADIUS = 0.45
LEVEL_RANGE_PX = ((0.0, 44.0), (36.0, 110.0), (90.0, 1e9))
LEVEL_SLACK = 1.5  # a face further out of a level's range is background there
_CENTRED_POINTS_M = torch.tensor(REFERENCE_POINTS_M - FACE_CENTRE_M, dtype=torch.float32)


def matrix_from_sixd(sixd):
    """(N, 6) -> (N, 3, 3), differentiable; the twin of hpe_core.geometry.so3.matrix_from_sixd."""
    x = _unit(sixd[:, :3])
    y = _unit(sixd[:, 3:] - (x * sixd[:, 3:]).sum(-1, keepdim=True) * x)
    (a, b, c), (d, e, f) = x.unbind(-1), y.unbind(-1)
    return torch.stack([x, y, torch.stack([b * f - c * e, c * d - a * f, a * e - b * d], -1)], -1)


def _unit(v):
    """Rows (N, 3) of length 1; by operators that every run time has."""
    return v / torch.sqrt(v.square().sum(-1, keepdim=True) + 1e-24)


def assign(faces, config):
    """Cell by cell: face index (L,) or -1, and a score mask (L,): 1 counts, 0 ignored.

    faces: dict of tensors of one image (centre_px (F, 2), size_px (F,), weight (F,)). A cell belongs to the nearest
    face, in units of its size, among those whose size is in the level's range.
    """
    owner, counts = [], []
    for stride, (low, high) in zip(config.strides, LEVEL_RANGE_PX, strict=True):
        centres = cell_centres(config.height // stride, config.width // stride, stride)
        if len(faces["size_px"]) == 0:
            owner.append(torch.full((len(centres),), -1))
            counts.append(torch.ones(len(centres)))
            continue
        size = faces["size_px"]
        distance = torch.cdist(centres, faces["centre_px"])
        relative = distance / size
        in_level = (size >= low) & (size < high)
        near = (relative < POSITIVE_RADIUS) | (distance < 0.71 * stride)
        claim = torch.where(near & in_level & (faces["weight"] > 0), relative, torch.inf)
        best, face = claim.min(1)
        positive = torch.isfinite(best)
        own_or_next = (size > low / LEVEL_SLACK) & (size < high * LEVEL_SLACK)
        close = (((relative < IGNORE_RADIUS) | (distance < 1.1 * stride)) & own_or_next).any(1)
        owner.append(torch.where(positive, face, -1))
        counts.append((positive | ~close).float())
    return torch.cat(owner), torch.cat(counts)


def loss_terms(
    raw_maps: list[torch.Tensor], faces_batch: list[dict[str, torch.Tensor]], config
) -> dict[str, torch.Tensor]:
    """Dict of scalar losses: score, centre, size, rotation, points, and the three uncertainty terms.

    raw_maps: network output; faces_batch: list of face dicts per image, as in `assign` with R_local, rot_std_deg too.
    """
    flat = torch.cat([m.flatten(2).transpose(1, 2) for m in raw_maps], 1).float().cpu()  # B L 13
    assigned = [assign(faces, config) for faces in faces_batch]
    owner = torch.stack([a[0] for a in assigned])
    counts = torch.stack([a[1] for a in assigned])
    positive = owner >= 0
    score_loss = focal_loss(flat[..., 0], positive.float())
    n = positive.sum().clamp(min=1)
    terms = {"score": (score_loss * counts).sum() / n}
    if not positive.any():
        return terms

    starts = torch.tensor([0] + [len(f["size_px"]) for f in faces_batch]).cumsum(0)[:-1]
    index = (owner + starts[:, None])[positive]
    target = {key: torch.cat([f[key] for f in faces_batch])[index] for key in faces_batch[0]}
    row = flat[positive]
    cells, strides, bases = _cell_table(config)
    location = positive.nonzero()[:, 1]
    size = target["size_px"]

    centre = cells[location] + strides[location, None] * row[:, 1:3]
    centre_error = (centre - target["centre_px"]) / size[:, None]
    log_size = torch.log(bases[location]) + row[:, 3]
    size_error = log_size - torch.log(size)
    R = matrix_from_sixd(row[:, 4:10])
    angle = geodesic(R, target["R_local"])
    shape = _CENTRED_POINTS_M.to(R)
    scaled = (torch.exp(size_error.clamp(-2, 2))[:, None, None] * (shape @ R.transpose(1, 2)))[..., :2]
    point_error = (scaled - (shape @ target["R_local"].transpose(1, 2))[..., :2]) / REFERENCE_LENGTH_M
    point_error = point_error + centre_error[:, None]

    # a face counts by the root of the number of its cells; certain labels count more
    share = 1.0 / torch.bincount(index, minlength=int(starts[-1]) + len(faces_batch[-1]["size_px"]))[index]
    share = share.sqrt() / (1.0 + (target["rot_std_deg"] / 6.0) ** 2)
    share = share / share.sum()
    terms |= {
        "centre": (share * centre_error.abs().sum(-1)).sum(),
        "size": (share * size_error.abs()).sum(),
        "rotation": (share * angle).sum(),
        "points": (share * point_error.abs().sum(-1).mean(-1)).sum(),
        "rotation_nll": (share * scalar_nll(angle.detach() ** 2 / 3.0, row[:, 10])).sum(),
        "size_nll": (share * scalar_nll(size_error.detach() ** 2, row[:, 11])).sum(),
        "centre_nll": (share * scalar_nll(centre_error.detach().square().mean(-1), row[:, 12])).sum(),
    }
    return terms


def focal_loss(logit, target, gamma=2.0, alpha=0.5):
    """Binary focal loss per element (Lin et al., ICCV 2017)."""
    bce = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    p_true = torch.exp(-bce)
    return 2.0 * torch.where(target > 0, alpha, 1.0 - alpha) * (1.0 - p_true) ** gamma * bce


def scalar_nll(mean_square, log_std):
    """Gaussian NLL per axis of a detached squared error: it moves only the uncertainty."""
    log_std = log_std.clamp(-6.0, 1.0)
    return 0.5 * mean_square * torch.exp(-2.0 * log_std) + log_std


def geodesic(R_a, R_b):
    """Angle (N,) rad; the stable form 2 asin(|Ra - Rb|_F / (2 sqrt 2)) with a finite slope at 0 and pi."""
    distance = torch.linalg.matrix_norm(R_a - R_b).clamp(min=1e-6)
    return 2.0 * torch.asin((distance / 2.8284272).clamp(max=0.9999))


def _cell_table(config):
    cells, strides, bases = [], [], []
    for stride, base in zip(config.strides, config.level_size_px, strict=True):
        c = cell_centres(config.height // stride, config.width // stride, stride)
        cells.append(c)
        strides.append(torch.full((len(c),), float(stride)))
        bases.append(torch.full((len(c),), base))
    return torch.cat(cells), torch.cat(strides), torch.cat(bases)
