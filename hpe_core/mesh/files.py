"""Meshes as files for other programs: Wavefront OBJ and binary glTF (GLB), metres, y up.

Both have the camera as origin, x to the right, y up and z towards the camera, as viewers and glTF want it: the camera
optical frame turned by half about x. Somebody who faces the camera so looks along z, at the depth that was measured.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from hpe_core.mesh.face_mesh import FaceMesh
from hpe_core.mesh.head_model import EYE_LEFT, EYE_RIGHT, MOUTH, SKIN, TEETH

PART_NAMES = {SKIN: "skin", EYE_LEFT: "eye_left", EYE_RIGHT: "eye_right", MOUTH: "mouth", TEETH: "teeth"}
_Y_UP = np.array([1.0, -1.0, -1.0], np.float32)
_MAGIC, _JSON, _BINARY = b"glTF", b"JSON", b"BIN\x00"  # of the format, version 2.0
_FLOAT32, _UINT32, _ARRAY, _ELEMENTS, _TRIANGLES = 5126, 5125, 34962, 34963, 4


def obj_of(mesh: FaceMesh, name: str) -> bytes:
    """The content of an OBJ file: vertices, normals, and triangles by the part of the head they are of."""
    vertices, normals = mesh.vertices_m * _Y_UP, mesh.normals * _Y_UP
    lines = [f"o {name}"]
    lines += ["v {:.6f} {:.6f} {:.6f}".format(*row) for row in vertices.tolist()]
    lines += ["vn {:.4f} {:.4f} {:.4f}".format(*row) for row in normals.tolist()]
    for part, triangles in _by_part(mesh):
        lines.append(f"g {part}")
        lines += ["f {0}//{0} {1}//{1} {2}//{2}".format(*row) for row in (triangles + 1).tolist()]
    return "\n".join([*lines, ""]).encode("ascii")


def glb_of(mesh: FaceMesh, name: str) -> bytes:
    """The content of a GLB file: one mesh with a primitive for each part of the head."""
    buffer = bytearray()
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def stored(array: np.ndarray, kind: str, component: int, target: int, **more: Any) -> int:
        views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": array.nbytes, "target": target})
        buffer.extend(array.tobytes())
        count = len(array) if kind == "VEC3" else array.size
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": component, "count": count, "type": kind} | more
        )
        return len(accessors) - 1

    vertices = np.ascontiguousarray(mesh.vertices_m * _Y_UP, "<f4")
    length = np.linalg.norm(mesh.normals, axis=1, keepdims=True)
    normals = np.where(length > 0.0, mesh.normals, np.array([0.0, 0.0, -1.0])) * _Y_UP  # glTF wants unit normals
    limits = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    attributes = {
        "POSITION": stored(vertices, "VEC3", _FLOAT32, _ARRAY, **limits),
        "NORMAL": stored(np.ascontiguousarray(normals, "<f4"), "VEC3", _FLOAT32, _ARRAY),
    }
    primitives = []
    for _, triangles in _by_part(mesh):
        indices = stored(np.ascontiguousarray(triangles, "<u4"), "SCALAR", _UINT32, _ELEMENTS)
        primitives.append({"attributes": attributes, "indices": indices, "mode": _TRIANGLES})
    scene = {
        "asset": {"version": "2.0", "generator": "hpe_ros"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": primitives}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(buffer)}],
    }
    text = json.dumps(scene, separators=(",", ":")).encode()
    chunks = _chunk(_JSON, text, b" ") + _chunk(_BINARY, bytes(buffer), b"\0")
    return _MAGIC + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes, padding: bytes) -> bytes:
    content += padding * (-len(content) % 4)
    return struct.pack("<I", len(content)) + kind + content


def _by_part(mesh: FaceMesh) -> list[tuple[str, np.ndarray]]:
    """Triangles (T, 3) of each part that has any."""
    of_triangle = mesh.model.part[mesh.triangles[:, 0]]
    return [(name, mesh.triangles[of_triangle == part]) for part, name in PART_NAMES.items() if part in of_triangle]


# how a mesh becomes a file, by its suffix
FORMATS: dict[str, Callable[[FaceMesh, str], bytes]] = {"obj": obj_of, "glb": glb_of}
