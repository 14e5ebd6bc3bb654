"""Textured head scans: OBJ and GLB files, read by trimesh, checked, as parts that the renderer draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from training.render.assets import Surface

KINDS = (".obj", ".glb")
SIDECARS = (".txt", ".npy")  # of the 68 landmarks
FEWEST_TRIANGLES = 100


@dataclass(frozen=True, eq=False)
class ScanPart:
    """One mesh of a scan. texture: (h, w, 4) uint8 RGBA premultiplied, first row at v = 0; None where it has a plain
    colour (3,), sRGB 0 to 1."""

    surface: Surface
    vertices: np.ndarray  # (V, 3) in the scan's units
    texture: np.ndarray | None
    colour: np.ndarray


@dataclass(frozen=True, eq=False)
class Scan:
    """A head as it was scanned, in its own axes and units; landmarks (68, 3) or None."""

    parts: list[ScanPart]
    landmarks: np.ndarray | None

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and triangles (T, 3) of all parts together."""
        first = np.cumsum([0] + [len(part.vertices) for part in self.parts])
        triangles = [
            part.surface.vertex[part.surface.triangles] + n for part, n in zip(self.parts, first, strict=False)
        ]
        return np.concatenate([part.vertices for part in self.parts]), np.concatenate(triangles)


def scan_files(folder: Path) -> list[Path]:
    """The scans in a folder and those below it, in order. Raises HpeError when there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file())
    if not found:
        raise HpeError(f"no {' or '.join(KINDS)} in {folder}")
    return found


def read_scan(path: Path) -> Scan:
    """The Scan in a file. Raises HpeError when its mesh is broken, or nothing of it has a texture."""
    import trimesh

    try:
        scene: Any = trimesh.load_scene(path, process=False)
        meshes = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
    except Exception as error:  # trimesh and what it reads with raise classes of their own
        raise HpeError(f"cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}") from error
    parts = [_part(mesh) for mesh in meshes if len(mesh.faces)]
    if sum(len(part.surface.triangles) for part in parts) < FEWEST_TRIANGLES:
        raise HpeError(f"its mesh is empty or nearly so (fewer than {FEWEST_TRIANGLES} triangles)")
    if all(part.texture is None for part in parts):
        raise HpeError("it has no texture")
    return Scan(parts, _landmarks(path))


def _part(mesh: Any) -> ScanPart:
    vertices, triangles = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    if not np.isfinite(vertices).all():
        raise HpeError(f"its mesh is broken: {np.count_nonzero(~np.isfinite(vertices).all(1))} vertices are no numbers")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise HpeError(f"its mesh is broken: a triangle of vertices {triangles.max()}, there are {len(vertices)}")
    uv, material = getattr(mesh.visual, "uv", None), getattr(mesh.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    usable = image is not None and uv is not None and len(uv) == len(vertices) and bool(np.isfinite(uv).all())
    same, vertex = np.unique(vertices, axis=0, return_inverse=True)  # corners at a texture seam are one vertex
    places = np.asarray(uv, np.float32) if usable else np.zeros((len(vertices), 2), np.float32)
    surface = Surface(vertex.ravel(), places, triangles.astype(np.int32), len(same))
    colour = np.asarray(getattr(material, "main_color", None) if material is not None else None)
    colour = colour[:3] / 255.0 if colour.shape == (4,) else np.full(3, 0.5)
    return ScanPart(surface, same, _pixels(image) if usable else None, colour)


def _pixels(image: Any) -> np.ndarray:
    pixels = np.asarray(image.convert("RGBA"))[::-1].astype(np.uint16)
    pixels[..., :3] = (pixels[..., :3] * pixels[..., 3:] + 127) // 255
    return np.ascontiguousarray(pixels.astype(np.uint8))


def _landmarks(path: Path) -> np.ndarray | None:
    """The 68 landmarks beside a scan: NAME.txt, a line of x y z each, or NAME.npy (68, 3)."""
    beside = [path.with_suffix(kind) for kind in SIDECARS if path.with_suffix(kind).is_file()]
    if not beside:
        return None
    try:
        points = np.load(beside[0]) if beside[0].suffix == ".npy" else np.loadtxt(beside[0], delimiter=None, ndmin=2)
        points = np.asarray(points, float)
    except (ValueError, OSError, EOFError) as error:
        raise HpeError(f"{beside[0].name} beside it holds no landmarks: {str(error).splitlines()[0]}") from error
    if points.shape != (68, 3) or not np.isfinite(points).all():
        raise HpeError(f"{beside[0].name} beside it must hold 68 x 3 numbers, it holds {points.shape}")
    return points
