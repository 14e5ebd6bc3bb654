"""Ambient occlusion per vertex from depth maps of many directions: computed once per hair style on the mean head."""

from __future__ import annotations

import moderngl
import numpy as np

from hpe_core.geometry.lookat import lookat_rotation
from training.render.gl import Renderer
from training.render.heads.head import Part
from training.render.light import _DIRECTIONS

MAP_PX, HALF_WIDTH_M, CENTRE_M, BIAS_M = 192, 0.24, np.array([0.0, 0.02, 0.08]), 0.004

VERTEX = """
#version 330
uniform mat4 M; in vec3 in_pos; in vec2 in_uv; out vec2 uv;
void main() { uv = in_uv; gl_Position = M * vec4(in_pos, 1.0); }
"""
FRAGMENT = """
#version 330
uniform sampler2D image; uniform bool textured; in vec2 uv;
void main() { if (textured && texture(image, uv).a < 0.5) discard; }
"""


def ambient_occlusion(renderer: Renderer, parts: list[Part]) -> dict[str, np.ndarray]:
    """Share of the cosine-weighted hemisphere that each vertex sees: part name -> (V,) in [0, 1]."""
    ctx = renderer.ctx
    program = ctx.program(VERTEX, FRAGMENT)
    depth = ctx.depth_texture((MAP_PX, MAP_PX))
    target = ctx.framebuffer(depth_attachment=depth)
    casters = []
    for part in parts:
        s = part.surface
        buffers = [
            (ctx.buffer(part.vertices[s.vertex].astype("f4").tobytes()), "3f", "in_pos"),
            (ctx.buffer(s.uv.tobytes()), "2f", "in_uv"),
        ]
        index = ctx.buffer(s.triangles.astype("i4").tobytes())
        if part.kind in ("skin", "hair", "solid"):
            casters.append((part, ctx.vertex_array(program, buffers, index)))
    normals = {p.name: p.surface.normals(p.vertices) for p in parts}
    seen = {p.name: np.zeros(len(p.vertices)) for p in parts}
    total = {p.name: np.full(len(p.vertices), 1e-9) for p in parts}
    for direction in _DIRECTIONS:
        R = lookat_rotation(-direction)  # looks along -direction: depth grows away from the light
        M = np.eye(4)
        M[:3, :3] = R / HALF_WIDTH_M
        M[2, :3] /= 2.0
        M[:3, 3] = -M[:3, :3] @ CENTRE_M
        program["M"].write(np.ascontiguousarray(M.T, "f4").tobytes())
        target.use()
        ctx.enable(moderngl.DEPTH_TEST)
        ctx.disable(moderngl.CULL_FACE | moderngl.BLEND)
        target.clear(depth=1.0)
        for part, mesh in casters:
            program["textured"].value = part.kind == "hair"
            if part.kind == "hair":
                renderer._texture(part.texture).use(0)
            mesh.render()
        z = np.frombuffer(depth.read(), np.float32).reshape(MAP_PX, MAP_PX)
        for part in parts:
            q = (part.vertices + 0.002 * normals[part.name]) @ M[:3, :3].T + M[:3, 3]
            u = np.clip(((q[:, :2] + 1) / 2 * MAP_PX).astype(int), 0, MAP_PX - 1)
            outside = np.abs(q[:, :2]).max(1) > 1
            lit = outside | (q[:, 2] / 2 + 0.5 < z[u[:, 1], u[:, 0]] + BIAS_M / (4 * HALF_WIDTH_M))
            cosine = normals[part.name] @ direction
            weight = np.maximum(np.abs(cosine) if part.kind == "hair" else cosine, 0)
            seen[part.name] += weight * lit
            total[part.name] += weight
    gain = {p.name: 2.0 if p.kind == "hair" else 1.0 for p in parts}  # hair was counted over the whole sphere
    floor = {p.name: 0.3 if p.kind == "solid" else 0.08 for p in parts}  # an open mouth lets light in to the teeth
    return {name: np.clip(gain[name] * seen[name] / total[name], floor[name], 1.0) for name in seen}
