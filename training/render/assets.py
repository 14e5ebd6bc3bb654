"""Reads MakeHuman meshes (.obj), fitted proxies (.mhclo), morph targets, textures and HDRI environments.

Lengths here are MakeHuman's decimetres, y up, +z out of the face, x to the subject's left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_matrix

from hpe_core.errors import HpeError

DEFAULT_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
HAIR = ("bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04")
EYES = ("blue", "bluegreen", "brown", "brownlight", "deepblue", "green", "grey", "ice", "lightblue")

HELD_OUT = {  # what only test renders use; shards made before 21 November 2026 used everything
    "old_darkskinned_female_diffuse",
    "young_lightskinned_female_diffuse3",
    "middleage_lightskinned_male_diffuse2",
    "ponytail01",
    "short04",
    "kiara_1_dawn_1k",
    "st_fagans_interior_1k",
}


def in_split(name: str, split: str | None) -> bool:
    """Whether a skin, hair style or environment belongs to the split "train" or "test"; None: everything does."""
    return split is None or (name in HELD_OUT) == (split == "test")


def require(path: Path) -> Path:
    """Return path, or raise an HpeError that names what is missing."""
    if not path.exists():
        raise HpeError(f"data missing: {path} (pass --data, the folder that holds heads/ and hdri/)")
    return path


@dataclass
class Surface:
    """A triangle mesh whose corners are split at texture seams."""

    vertex: np.ndarray  # (n,) index of the geometric vertex behind each corner
    uv: np.ndarray  # (n, 2) float32, v up
    triangles: np.ndarray  # (m, 3) int32 into the n corners
    n_vertices: int  # geometric vertices

    @cached_property
    def _accumulate(self) -> csr_matrix:
        geometric = self.vertex[self.triangles]
        row, col = geometric.ravel(), np.repeat(np.arange(len(geometric)), 3)
        return csr_matrix((np.ones(len(row), np.float32), (row, col)), (self.n_vertices, len(geometric)))

    def turned(self) -> Surface:
        """The same with the other side of its triangles out."""
        return replace(self, triangles=np.ascontiguousarray(self.triangles[:, ::-1]))

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Area-weighted vertex normals. vertices (V, 3) -> (V, 3), unit length, zero where nothing is attached."""
        a, b, c = np.moveaxis(vertices[self.vertex[self.triangles]], 1, 0)
        n = self._accumulate @ np.cross(b - a, c - a)
        return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)


@dataclass
class Obj:
    vertices: np.ndarray  # (V, 3)
    uv: np.ndarray  # (T, 2)
    faces: list[list[tuple[int, int]]]  # (vertex, uv) corners
    groups: dict[str, list[int]] = field(default_factory=dict)

    def surface(self, keep=None) -> Surface:
        """Triangulate the faces for which keep(face vertex indices) holds."""
        corner_id: dict[tuple[int, int], int] = {}
        triangles = []
        for face in self.faces if keep is None else [f for f in self.faces if keep([v for v, _ in f])]:
            ids = [corner_id.setdefault(corner, len(corner_id)) for corner in face]
            triangles += [(ids[0], ids[k], ids[k + 1]) for k in range(1, len(ids) - 1)]
        corners = np.array(list(corner_id))
        return Surface(
            corners[:, 0], self.uv[corners[:, 1]].astype(np.float32), np.array(triangles, np.int32), len(self.vertices)
        )


def load_obj(path: Path) -> Obj:
    vertices, uv, faces, groups, group = [], [], [], {}, "all"
    for line in require(path).read_text().splitlines():
        key, *values = line.split() or [""]
        if key == "v":
            vertices.append([float(x) for x in values[:3]])
        elif key == "vt":
            uv.append([float(x) for x in values[:2]])
        elif key == "g":
            group = values[0]
        elif key == "f":
            groups.setdefault(group, []).append(len(faces))
            faces.append([tuple(int(x) - 1 for x in corner.split("/")[:2]) for corner in values])
    return Obj(np.array(vertices), np.array(uv), faces, groups)


@dataclass
class Proxy:
    """Hair, brows, lashes, eyes: v = sum_k w_k base[i_k] + scale * offset (MakeHuman .mhclo)."""

    name: str
    surface: Surface
    texture: Path
    reference: np.ndarray  # (n, 3) base vertex indices
    weight: np.ndarray  # (n, 3)
    offset: np.ndarray  # (n, 3)
    scale: list[tuple[int, int, float]]  # per axis: scale = |base[a] - base[b]| / c

    def fit(self, base: np.ndarray) -> np.ndarray:
        """base (V, 3) -> proxy vertices (n, 3)."""
        scale = [abs(base[a, k] - base[b, k]) / c for k, (a, b, c) in enumerate(self.scale)]
        return np.einsum("nk,nkd->nd", self.weight, base[self.reference]) + self.offset * scale


def load_proxy(folder: Path, texture: Path | None = None) -> Proxy:
    mhclo = next(require(folder).glob("*.mhclo"))
    scale, rows, in_verts = {}, [], False
    for line in mhclo.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scale[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        in_verts |= words[0] == "verts"
        if in_verts and words[0].isdigit():
            rows.append([float(w) for w in words])
    rows = np.array([r if len(r) == 9 else [r[0]] * 3 + [1, 0, 0, 0, 0, 0] for r in rows])
    obj = load_obj(next(folder.glob("*.obj")))
    return Proxy(
        folder.name,
        obj.surface(),
        texture or next(folder.glob("*.png")),
        rows[:, :3].astype(int),
        rows[:, 3:6],
        rows[:, 6:],
        [scale[k] for k in "xyz"],
    )


def load_texture(path: Path) -> np.ndarray:
    """-> (h, w, 4) uint8 RGBA, sRGB, premultiplied, first row at v = 0."""
    image = cv2.imdecode(np.fromfile(require(path), np.uint8), cv2.IMREAD_UNCHANGED)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    image[..., :3] = (image[..., :3].astype(np.uint16) * image[..., 3:] + 127) // 255
    return np.ascontiguousarray(image[::-1])


class Targets:
    """Morph targets: name -> (vertex indices, offsets in decimetres)."""

    def __init__(self, path: Path):
        data = np.load(require(path))
        self.names = sorted({key.split("|")[0] for key in data.files})
        self._table = {n: (data[n + "|i"], data[n + "|d"].astype(np.float64)) for n in self.names}

    def add(self, vertices: np.ndarray, weights: dict[str, float]) -> np.ndarray:
        """vertices (V, 3) -> a morphed copy."""
        out = vertices.copy()
        for name, weight in weights.items():
            index, delta = self._table[name]
            out[index] += weight * delta
        return out
