"""The head model that ships (training.deploy.head_model) as tensors, at the vertices that training looks at."""

from dataclasses import dataclass

import numpy as np
import torch

from hpe_core.catalogue import WEIGHTS

HEAD_MODEL = WEIGHTS / "head_model.npz"
DENSE_VERTICES, SKIN = 400, 0


@dataclass(frozen=True)
class HeadBasis:
    """K of its vertices, in metres, head frame."""

    mean: torch.Tensor  # (K, 3)
    basis: torch.Tensor  # (93, K, 3): identity, then expression
    mirror: torch.Tensor  # (93,) index of each coefficient in the mirror image
    mirror_sign: torch.Tensor  # (93,)
    names: tuple[str, ...]  # of the expressions
    landmarks: np.ndarray  # (68,) rows

    def face(self, identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """(N, 40), (N, 53) -> vertices (N, K, 3)."""
        return self.mean + torch.tensordot(torch.cat([identity, expression], 1), self.basis, 1)


def load() -> HeadBasis:
    """The landmarks, then DENSE_VERTICES of the skin, evenly by number."""
    with np.load(HEAD_MODEL) as d:
        skin = np.flatnonzero(d["part"] == SKIN)
        marks = d["landmark_vertices"]
    dense = skin[np.linspace(0, len(skin) - 1, DENSE_VERTICES).astype(int)]
    return _basis(np.r_[marks, dense], np.arange(len(marks)))


def skin() -> HeadBasis:
    """All vertices of the skin, as they are in the file."""
    with np.load(HEAD_MODEL) as d:
        return _basis(np.flatnonzero(d["part"] == SKIN), d["landmark_vertices"])


def _basis(rows: np.ndarray, landmarks: np.ndarray) -> HeadBasis:
    with np.load(HEAD_MODEL) as d:
        basis = np.concatenate([d["identity"][:, rows], d["expression"][:, rows]]).astype(np.float32)
        names = tuple(str(name) for name in d["expression_names"])
        sign = np.r_[d["identity_mirror"], np.ones(len(names))].astype(np.float32)
        mean = d["mean"][rows]
    modes = len(sign) - len(names)
    index = np.r_[np.arange(modes), modes + np.array([names.index(other_side(name)) for name in names])]
    tensor = torch.from_numpy
    return HeadBasis(tensor(mean), tensor(basis), tensor(index), tensor(sign), names, landmarks)


def other_side(name: str) -> str:
    """The expression of the other side of the face: `eyeBlink_R` of `eyeBlink_L`, `jawRight` of `jawLeft`."""
    for left, right in (("_L", "_R"), ("Left", "Right")):
        if name.endswith(left):
            return name.removesuffix(left) + right
        if name.endswith(right):
            return name.removesuffix(right) + left
    return name
