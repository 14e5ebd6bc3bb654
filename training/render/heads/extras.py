"""Glasses, face masks, hats and hands: small procedural surfaces fitted to a head. Head frame, metres."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from training.render.assets import Surface
from training.render.heads.head import Look, Part


@lru_cache
def grid_surface(rows: int, columns: int, closed: bool = False) -> Surface:
    """Triangulated rows x columns grid; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    triangles = np.stack([a, b, a + columns, b, b + columns, a + columns], -1).reshape(-1, 3)
    n = rows * columns
    return Surface(np.arange(n), np.zeros((n, 2), np.float32), triangles.astype(np.int32), n)


def tube(name: str, path: np.ndarray, radius_m: float, colour, closed: bool = False, sides: int = 6) -> Part:
    """A round tube along a path (n, 3)."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    if not closed:
        ahead[[0, -1]] = path[1] - path[0], path[-1] - path[-2]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0.0, 0.05, 1.0] if closed else [0.1, 1.0, 0.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(ahead, side)
    a = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(a)[:, None, None] * side + np.sin(a)[:, None, None] * up  # (sides, n, 3)
    surface = grid_surface(sides + 1, len(path), closed)
    return Part(
        name,
        "solid",
        surface,
        (path + radius_m * np.concatenate([ring, ring[:1]])).reshape(-1, 3),
        colour=tuple(colour),
    )


def ears(face: np.ndarray) -> np.ndarray:
    """Where temples and straps end: (2, 3), left and right, on top of the ears."""
    near = face[(np.abs(face[:, 1] - 0.01) < 0.02) & (face[:, 2] > 0.06) & (face[:, 2] < 0.14)]
    x = np.abs(near[:, 0]).max() - 0.012
    return np.array([[x, -0.005, 0.105], [-x, -0.005, 0.105]])


def glasses(rng, face: np.ndarray, eyes: np.ndarray) -> list[Part]:
    """face (V, 3) vertices, eyes (2, 3) centres, left first."""
    frame = rng.uniform(0.005, 0.4, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(0.004, 0.06))
    dark = rng.random() < 0.35
    width, height = rng.uniform(0.022, 0.028), rng.uniform(0.016, 0.025)
    thick, power = rng.choice([0.0008, 0.0015, 0.0025]), rng.choice([2.0, 3.0, 4.0])
    a = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    outline = np.stack(
        [
            np.sign(np.cos(a)) * np.abs(np.cos(a)) ** (2 / power) * width,
            np.sign(np.sin(a)) * np.abs(np.sin(a)) ** (2 / power) * height,
        ],
        -1,
    )
    parts, rims = [], []
    for k, (eye, ear) in enumerate(zip(eyes, ears(face), strict=True)):
        around = face[
            (np.abs(face[:, 0] - eye[0]) < width)
            & (np.abs(face[:, 1] - eye[1]) < height)
            & (np.abs(face[:, 0]) > 0.016)
        ]
        z = around[:, 2].min() - 0.003
        side = np.sign(eye[0])
        rim = np.column_stack(
            [
                eye[0] + side * 0.001 + outline[:, 0],
                eye[1] + 0.003 + outline[:, 1],
                z + 0.12 * np.maximum(side * outline[:, 0], 0),
            ]
        )
        rims.append(rim)
        parts.append(tube(f"rim{k}", rim, thick, frame, closed=True))
        disc = np.concatenate([np.tile(rim.mean(0), (1, 36, 1)), rim[None]]).reshape(-1, 3)
        parts.append(
            Part(
                f"lens{k}",
                "lens",
                grid_surface(2, 36, True),
                disc,
                colour=tuple(rng.uniform(0.002, 0.05, 3)),
                opacity=rng.uniform(0.75, 1.0) if dark else 0.08,
            )
        )
        outer = rim[np.argmax(side * rim[:, 0] - 0.5 * rim[:, 1])]
        parts.append(tube(f"temple{k}", np.linspace(outer, ear, 6), max(thick, 0.0015), frame))
    left, right = rims
    inner = [left[np.argmin(left[:, 0] + 0.5 * left[:, 1])], right[np.argmax(right[:, 0] - 0.5 * right[:, 1])]]
    middle = np.mean(inner, 0) + [0, -0.003, -0.002]
    parts.append(tube("bridge", np.array([inner[0], middle, inner[1]]), thick, frame))
    return parts


def mask(rng, face: np.ndarray) -> list[Part]:
    """A face mask: a grid of radii about a vertical axis inside the head, pushed outside of the face."""
    rows, columns, axis_z = 14, 25, 0.085
    top, bottom, wide = rng.uniform(0.025, 0.05), rng.uniform(0.118, 0.135), np.radians(rng.uniform(52, 68))
    angle, height = np.meshgrid(np.linspace(-wide, wide, columns), np.linspace(0, 1, rows))
    high = (
        bottom
        + (top + 0.35 * (1 - np.cos(angle)) * 0.05 - bottom) * (1 - height)
        - 0.012 * (angle / wide) ** 2 * height
    )
    v = face[(face[:, 2] < axis_z) & (face[:, 1] > 0) & (face[:, 1] < 0.15)]
    v_angle, v_radius = np.arctan2(v[:, 0], axis_z - v[:, 2]), np.hypot(v[:, 0], v[:, 2] - axis_z)
    near = ((angle.ravel()[:, None] - v_angle) / 0.16) ** 2 + ((high.ravel()[:, None] - v[:, 1]) / 0.012) ** 2 < 1
    radius = np.where(near, v_radius, 0).max(1).reshape(rows, columns)
    radius = np.maximum(radius, 0.06) + 0.004
    for _ in range(3):
        p = np.pad(radius, 1, mode="edge")
        radius = np.maximum((p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4, radius - 0.001)
    points = np.stack([radius * np.sin(angle), high, axis_z - radius * np.cos(angle)], -1)
    colour = [(0.75, 0.78, 0.8), (0.25, 0.5, 0.65), (0.01, 0.01, 0.01), tuple(rng.uniform(0, 0.7, 3))][rng.integers(4)]
    parts = [Part("mask", "solid", grid_surface(rows, columns), points.reshape(-1, 3), colour=colour)]
    for k, ear in enumerate(ears(face)):
        column = -1 if k == 0 else 0
        for row in (0, -1):
            path = np.linspace(points[row, column], ear + [0, 0.02, 0], 5)
            parts.append(tube(f"strap{k}{row}", path, 0.0012, colour))
    return parts


def hat(rng, head: np.ndarray, hair_m: float) -> tuple[list[Part], np.ndarray]:
    """Beanie, cap or hat with a brim. head (V, 3) skin vertices -> parts, plane (4,) beyond which hair is hidden."""
    skull = head[(head[:, 1] < -0.03) & (np.abs(head[:, 0]) < 0.1)]
    gap = 0.004 + hair_m
    rx, top = np.abs(skull[:, 0]).max() + gap, skull[:, 1].min() - gap - rng.uniform(0, 0.02)
    front, back = skull[:, 2].min() - gap, skull[:, 2].max() + gap
    zc, rz = (front + back) / 2, (back - front) / 2
    slope, rim = rng.uniform(0.1, 0.35), rng.uniform(-0.055, -0.028)  # rim: height at the middle of the head + slope
    rim_y = rim + slope * (zc - front)
    theta, phi = np.meshgrid(np.linspace(0, 2 * np.pi, 32, endpoint=False), np.linspace(0, np.pi / 2, 9), indexing="xy")
    bulge = np.cos(phi) ** rng.uniform(0.5, 0.9)
    x, z = rx * bulge * np.sin(theta), zc - rz * bulge * np.cos(theta)
    y = rim_y + (top - rim_y) * np.sin(phi) + slope * (z - zc) * (1 - np.sin(phi))
    colour = rng.uniform(0, 0.6) * (1 - rng.uniform(0, 0.8) * rng.random(3))
    parts = [
        Part("hat", "solid", grid_surface(9, 32, True), np.stack([x, y, z], -1).reshape(-1, 3), colour=tuple(colour))
    ]
    kind = rng.choice(["beanie", "cap", "brim"])
    if kind != "beanie":
        reach, span = (0.07, np.radians(75)) if kind == "cap" else (rng.uniform(0.03, 0.08), np.pi)
        a, r = np.meshgrid(np.linspace(-span, span, 33), np.linspace(0, 1, 4), indexing="xy")
        out = reach * r * (np.cos(a * (np.pi / 2) / span) ** 0.6 if kind == "cap" else 1)
        bx, bz = (rx + out) * np.sin(a), zc - (rz + out) * np.cos(a)
        by = rim_y + slope * (bz - zc) + 0.15 * out - 0.002
        parts.append(
            Part(
                "brim",
                "solid",
                grid_surface(4, 33),
                np.stack([bx, by, bz], -1).reshape(-1, 3),
                colour=tuple(colour * rng.uniform(0.5, 1.3)),
            )
        )
    normal = np.array([0.0, -1.0, slope])
    return parts, np.array([*normal, -rim_y + 0.003 + slope * zc])


def hand(rng, face: np.ndarray, colour) -> list[Part]:
    """Fingers (four capsules) that touch the lower face or a cheek from below or from the side."""
    tip = np.array([rng.uniform(-0.06, 0.06), rng.uniform(0.02, 0.12), 0.0])
    near = face[np.hypot(face[:, 0] - tip[0], face[:, 1] - tip[1]) < 0.025]
    tip[2] = near[:, 2].min() - 0.012 if len(near) else 0.0
    reach = np.array([rng.uniform(-0.7, 0.7), 1.0, rng.uniform(-0.6, 0.1)])
    reach /= np.linalg.norm(reach)
    across = np.cross(reach, [0, 0, 1])
    parts = []
    for k, length in enumerate((0.9, 1.0, 0.95, 0.8)):
        start = tip + across * 0.017 * (k - 1.5) + reach * 0.03 * (1 - length)
        t = np.linspace(0, 1, 12)[:, None] ** 1.5
        path = start + reach * 0.17 * t + np.array([0, 0, -0.02]) * np.sin(np.pi * t)
        finger = tube(f"finger{k}", path, 1.0, colour, sides=8)
        width = np.interp(t[:, 0], [0, 0.03, 0.1, 1], [0.003, 0.0065, 0.0082, 0.0105])
        offset = finger.vertices.reshape(-1, 12, 3) - path
        finger.vertices = (path + offset * width[:, None]).reshape(-1, 3)
        parts.append(finger)
    return parts


def wear(look: Look, skin: np.ndarray, eyes: np.ndarray) -> tuple[list[Part], np.ndarray]:
    """What covers the head: skin (V, 3) vertices, eyes (2, 3) centres, left first -> parts, hat plane (4,)."""
    rng, parts, plane = np.random.default_rng(look.extras_seed), [], np.array([0.0, 0.0, 0.0, 1.0])
    if "glasses" in look.extras:
        parts += glasses(rng, skin, eyes)
    if "mask" in look.extras:
        parts += mask(rng, skin)
    if "hat" in look.extras:
        cap, plane = hat(rng, skin, 0.008 if look.hair else 0.0)
        parts += cap
    if "hand" in look.extras:
        colour = np.array([0.5, 0.3, 0.22]) * look.skin_tint * (0.2 if "dark" in look.skin else 1.0)
        parts += hand(rng, skin, np.clip(colour, 0, 1))
    return parts, plane
