"""Tucker decomposition of the training tensor, read in pieces of identities; deterministic, also with missing cells.

Sequentially truncated: factors of the pose modes come from their Gram matrices, which are summed over the pieces; the
identities are decomposed after the poses are projected away, when little is left of the tensor. So a tensor larger than
memory costs two passes over its file. tensorly does the identities' part; its own `tucker` wants the
whole tensor in memory (a test compares the two).
"""

from dataclasses import dataclass

import numpy as np
import tensorly
from tensorly.tenalg import multi_mode_dot

MODES = ("identity", "yaw", "pitch", "roll", "features")


class Pieces:
    """A tensor's identities in pieces that fit into memory, missing cells filled by a reconstruction.

    points: (I, Y, P, R, F), an array or a memory map; weights(rows) -> (n, Y, P, R, F) in 0..1, None where everything
    is measured; memory_gb: the share of memory that one piece with its copies may take; prepare(rows, piece) -> piece.
    """

    def __init__(self, points, weights=None, memory_gb=0.05, prepare=None):
        self.shape, self.weights = points.shape, weights
        self._points, self._prepare = points, prepare
        row = int(np.prod(self.shape[1:])) * 4 * 6  # float32, with temporaries
        self._rows = int(np.clip(memory_gb * 1e9 // row, 1, self.shape[0]))
        self.reconstruct = None  # rows -> (n, Y, P, R, F), set once there is something to fill from

    def __iter__(self):
        for start in range(0, self.shape[0], self._rows):
            rows = slice(start, min(start + self._rows, self.shape[0]))
            yield rows, self._piece(rows)

    def _piece(self, rows):
        """float32 (n, Y, P, R, F) of some identities."""
        points = self._points
        if isinstance(points, np.memmap):  # a fresh map per piece: pages that were read do not stay in our memory
            points = np.memmap(points.filename, points.dtype, "r", points.offset, points.shape)
        piece = np.array(points[rows], np.float32)
        if self._prepare is not None:
            piece = self._prepare(rows, piece).astype(np.float32)
        if self.weights is not None and self.reconstruct is not None:
            w = self.weights(rows).astype(np.float32)
            piece = w * piece + (1 - w) * self.reconstruct(rows).astype(np.float32)
        return piece


def pose_grams(pieces):
    """Gram matrices [(Y, Y), (P, P), (R, R)] of the tensor's pose modes, and its energy (sum of squares).

    Products of views, without unfolding: each is summed in float32 over one row of a mode and in float64 beyond.
    """
    y, p, r, f = pieces.shape[1:]
    views = ((1, y, p * r * f), (y, p, r * f), (y * p, r, f))
    grams, energy = [np.zeros((n, n)) for n in (y, p, r)], 0.0
    for _, piece in pieces:
        for row in piece:
            for gram, view in zip(grams, views, strict=True):
                A = row.reshape(view)
                gram += (A @ A.swapaxes(1, 2)).sum(0, dtype=float)
        energy += squares(piece)
    return grams, energy


def leading(gram, rank=0, energy=1.0):
    """Leading eigenvectors (n, r) of a Gram matrix with fixed signs, and all its singular values (n,), largest first.

    rank 0 takes as few as hold `energy` of the whole.
    """
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if not rank:
        rank = rank_for(values, energy)
    rank = min(rank, len(values))
    return fixed_signs(vectors[:, :rank]), np.sqrt(values)


def rank_for(values, energy):
    """Smallest number of `values` (squared singular values, largest first) that sum to a share `energy` of all."""
    share = np.cumsum(values) / max(np.sum(values), 1e-300)
    return int(min(np.searchsorted(share, energy - 1e-12) + 1, len(values)))


def fixed_signs(columns):
    """Columns (n, r) with signs such that each one's largest entry is positive; of equal ones the first decides.

    Signs of singular vectors are arbitrary: without this, two runs (or two libraries) give mirrored factors, and
    networks trained on the one do not fit the other.
    """
    magnitude = np.abs(columns)
    nearly = magnitude >= magnitude.max(0) * (1.0 - 1e-9)
    first = np.argmax(nearly, 0)
    signs = np.where(columns[first, np.arange(columns.shape[1])] < 0, -1.0, 1.0)
    return columns * signs


def projected(pieces, Q):
    """(I, K, F): the tensor with its cells (Y P R) projected on orthonormal columns Q (Y P R, K); and its energy."""
    out, energy = np.empty((pieces.shape[0], Q.shape[1], pieces.shape[4])), 0.0
    small = Q.T.astype(np.float32)
    for rows, piece in pieces:
        cells = piece.reshape(len(piece), -1, pieces.shape[4])
        out[rows] = small @ cells
        energy += squares(piece)
    return out, energy


def squares(array):
    """Sum of the squares of a float32 array, added up in float64 without a copy of it."""
    flat = array.reshape(-1)
    return float(np.einsum("i,i->", flat, flat, dtype=float))


def identity_mode(Z, rank, energy, mean_first):
    """Mean (K, F), directions (r, K, F) and coordinates (I, r) of identities Z (I, K, F), and singular values.

    With mean_first the directions span what differs from the mean; else the mean is that of the coordinates, as in the
    paper. Directions are scaled so that the coordinates have unit covariance.
    """
    n = len(Z)
    mean = Z.mean(0) if mean_first else np.zeros_like(Z[0])
    rest = Z - mean
    flat = tensorly.unfold(rest, 0)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    most = min(n - 1 if mean_first else n, max(int(np.sum(values > 1e-12 * values[0])), 1))
    U = fixed_signs(vectors[:, : min(rank or rank_for(values, energy), most)])
    core = multi_mode_dot(rest, [U.T], modes=[0])
    u0 = U.mean(0)
    if mean_first:  # the coordinates are centred and uncorrelated: keep the order of the singular values
        root, z = np.eye(U.shape[1]) / np.sqrt(n - 1), (U - u0) * np.sqrt(n - 1)
    else:
        w, V = np.linalg.eigh(np.cov(U.T, ddof=1).reshape(U.shape[1], -1))
        w, V = w[::-1], V[:, ::-1]
        keep = w > 1e-12 * w[0]
        root = V[:, keep] * np.sqrt(w[keep])  # u = u0 + root z, z ~ N(0, 1)
        z = (U - u0) @ (V[:, keep] / np.sqrt(w[keep]))
    return mean + np.tensordot(u0, core, 1), np.tensordot(root.T, core, 1), z, np.sqrt(values)


@dataclass(frozen=True, eq=False)
class PoseFactors:
    """factors: [(Y, ry), (P, rp), (R, rr)] orthonormal; singular: [(Y,), (P,), (R,)]; energy: of the tensor."""

    factors: list
    singular: list
    energy: float

    @property
    def kept(self):
        """Share of the tensor's energy in each mode's kept columns (3,)."""
        return [
            float(np.sum(s[: f.shape[1]] ** 2) / np.sum(s**2)) for f, s in zip(self.factors, self.singular, strict=True)
        ]


def pose_factors(pieces, rank=0, energy=1.0):
    """PoseFactors of the tensor by ranks or energy."""
    grams, total = pose_grams(pieces)
    pairs = [leading(gram, rank, energy) for gram in grams]
    return PoseFactors([p[0] for p in pairs], [p[1] for p in pairs], total)


def kron3(factors):
    """(Y P R, ry rp rr) Kronecker product of three factors, in the order of the tensor's cells."""
    f, g, h = factors
    return np.einsum("ai,bj,ck->abcijk", f, g, h).reshape(len(f) * len(g) * len(h), -1)
