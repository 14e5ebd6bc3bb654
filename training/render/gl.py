"""Draws head parts with moderngl on EGL, without a window. Output is premultiplied, display-encoded RGBA."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "0")  # llvmpipe: one process per core beats threads

import cv2
import moderngl
import numpy as np

from hpe_core.errors import HpeError
from training.render.assets import load_texture
from training.render.heads.head import Part

NEAR_M, FAR_M, SUPERSAMPLE = 0.05, 30.0, 2
MAX_PHOTOS = 12  # textures of photos kept in memory
KINDS = {"skin": 0, "eye": 1, "hair": 2, "brow": 3, "solid": 4, "lens": 5}

VERTEX = """
#version 330
uniform mat3 R; uniform vec3 t; uniform vec4 K; uniform vec2 size; uniform vec2 clip;
uniform vec3 body_axis; uniform float body_angle; uniform vec3 pivot; uniform float bias;
in vec3 in_pos; in vec3 in_normal; in vec2 in_uv; in float in_ao; in float in_cloth; in float in_rest;
in float in_beard;
out vec3 p; out vec3 n; out vec2 uv; out float ao; out float cloth; out float rest; out float beard; out vec3 h;
vec3 turn(vec3 v, float a) {
    return v * cos(a) + cross(body_axis, v) * sin(a) + body_axis * dot(body_axis, v) * (1.0 - cos(a));
}
void main() {
    float w = smoothstep(0.0, 0.09, in_pos.y - 0.14 + 0.45 * max(in_pos.z, 0.0));   // 0 on the head, 1 on the body
    vec3 q = pivot + turn(in_pos - pivot, w * body_angle);
    h = in_pos;
    p = R * q + t; n = R * turn(in_normal, w * body_angle);
    uv = in_uv; ao = in_ao; cloth = in_cloth; rest = in_rest; beard = in_beard;
    float z = p.z - bias;
    gl_Position = vec4(2.0 * (K.xy * p.xy + (K.zw + 0.5) * p.z) / size - p.z,
                       p.z * ((clip.y + clip.x) * z - 2.0 * clip.x * clip.y) / ((clip.y - clip.x) * z), p.z);
}
"""
FRAGMENT = """
#version 330
uniform int kind; uniform int stage;                    // stage 0: opaque, 1: the blended rest
uniform sampler2D image; uniform bool textured; uniform vec3 colour; uniform float keep; uniform vec3 tint;
uniform vec3 cloth_colour[2]; uniform float stripe; uniform float paint; uniform vec4 hat;
uniform vec3 sh[9]; uniform float exposure; uniform vec3 light_dir[2]; uniform vec3 light[2];
uniform float gloss; uniform float saturation;
in vec3 p; in vec3 n; in vec2 uv; in float ao; in float cloth; in float rest; in float beard; in vec3 h;
out vec4 f;
vec3 to_linear(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 encode(vec3 c) {
    c = 1.0 - exp(-1.6 * max(c, 0.0));
    return mix(12.92 * c, 1.055 * pow(max(c, 1e-9), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
}
vec3 irradiance(vec3 d) {
    vec3 e = 0.282095 * sh[0] + 0.488603 * (sh[1] * d.y + sh[2] * d.z + sh[3] * d.x)
        + 1.092548 * (sh[4] * d.x * d.y + sh[5] * d.y * d.z + sh[7] * d.x * d.z)
        + 0.315392 * sh[6] * (3.0 * d.z * d.z - 1.0) + 0.546274 * sh[8] * (d.x * d.x - d.y * d.y);
    return max(e, 0.06 * 0.282095 * sh[0]);
}
void main() {
    vec3 v = normalize(-p), m = normalize(n);
    if (dot(m, v) < 0.0) m = -m;
    vec4 tex = textured ? texture(image, uv) : vec4(1.0);
    float alpha = tex.a;
    if (kind == 2 && dot(hat.xyz, h) > hat.w) discard;
    if (kind == 1 && alpha < 0.5) discard;
    if (kind == 2 || kind == 3) {
        if (kind == 2) alpha = clamp(alpha * 1.3, 0.0, 1.0);
        if (stage == 0 && alpha < 0.6) discard;
        if (stage == 1 && (alpha >= 0.6 || alpha < 0.02)) discard;
        if (stage == 0) alpha = max(alpha, 0.9);
    }
    vec3 base = to_linear(tex.rgb / max(tex.a, 0.02));
    float spec = 0.0, power = 20.0, wrap = 0.3, shade = ao;
    if (kind == 0) {
        base = mix(vec3(dot(base, vec3(0.3, 0.6, 0.1))), base, saturation) * tint; spec = 0.035 * gloss; wrap = 0.35;
        float speckle = fract(sin(dot(floor(h * 1000.0), vec3(12.9898, 78.233, 37.719))) * 43758.5453);
        base = mix(base, colour, clamp(beard * (0.6 + 0.45 * speckle), 0.0, 0.95));
        if (cloth > 0.0) {
            float s = stripe > 0.0 ? step(0.5, fract(rest / (2.0 * stripe))) : 0.0;
            base = mix(cloth_colour[0], cloth_colour[1], s); spec = 0.0;
        }
    } else if (kind == 1) { spec = 0.08; power = 300.0; base *= 0.8; }
    else if (kind == 2) {
        float l = dot(base, vec3(0.3, 0.6, 0.1)) / paint;
        base = mix(colour * clamp(l, 0.15, 2.2), base, keep); spec = 0.05; power = 14.0; wrap = 0.5;
    } else { base = colour; spec = kind == 3 ? 0.0 : 0.04 * gloss; if (kind == 3) wrap = 0.6; }
    if (kind == 5) { alpha = keep; spec = 0.2; power = 120.0; }
    vec3 c = base / 3.14159 * irradiance(m) * shade;
    for (int i = 0; i < 2; i++) {
        float ndl = dot(m, light_dir[i]);
        vec3 w = kind == 0 ? vec3(wrap, 0.55 * wrap, 0.4 * wrap) : vec3(wrap);  // red travels furthest in skin
        vec3 diffuse = max((ndl + w) / (1.0 + w), 0.0);
        float s = pow(max(dot(m, normalize(v + light_dir[i])), 0.0), power) * (power + 8.0) / 25.0 * step(0.0, ndl);
        c += light[i] * (base / 3.14159 * diffuse + 0.1 * spec * s) * min(1.2 * shade, 1.0);
    }
    float fresnel = 0.25 * spec + 0.5 * min(spec * 4.0, 1.0) * pow(1.0 - max(dot(m, v), 0.0), 5.0);
    c += fresnel * irradiance(reflect(-v, m)) / 3.14159 * shade;
    f = vec4(encode(c * exposure) * alpha, alpha);
}
"""


@dataclass
class Scene:
    """Camera, pose and light of one image. Lengths in metres, vectors in the camera frame unless named otherwise."""

    K: np.ndarray
    width: int
    height: int
    R_camera_head: np.ndarray
    t_camera_head_m: np.ndarray
    body_rotvec: np.ndarray  # rotation of the body relative to the head, head frame
    pivot_m: np.ndarray  # head frame
    sh: np.ndarray  # (9, 3)
    exposure: float = 1.0
    light_dirs: np.ndarray = field(default_factory=lambda: np.tile([0.0, 0.0, -1.0], (2, 1)))  # towards the light
    lights: np.ndarray = field(default_factory=lambda: np.zeros((2, 3)))
    gloss: float = 1.0
    hat_plane: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))  # hair beyond it is hidden


class Renderer:
    def __init__(self, textures: dict):
        """textures: name -> file, or a function that returns what assets.load_texture does."""
        try:
            self.ctx = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:
            raise HpeError(f"no EGL context ({error}); install libegl1 and libgl1-mesa-dri") from error
        self.ctx.front_face = "cw"  # image rows go down
        self.program = self.ctx.program(VERTEX, FRAGMENT)
        self._uniforms = set(self.program)
        self._paths, self._textures, self._meshes, self._targets, self._depth = textures, {}, {}, {}, {}
        self.paint = {}  # median luminance of each texture, linear

    def _target(self, width, height):
        if (width, height) not in self._targets:
            size = (width, height)
            colour, self._depth[size] = self.ctx.texture(size, 4), self.ctx.depth_texture(size)
            self._targets[size] = self.ctx.framebuffer([colour], self._depth[size])
        return self._targets[width, height]

    def _texture(self, name):
        if name not in self._textures:
            source = self._paths[name]
            image = load_texture(source) if isinstance(source, Path) else source()
            self._drop_old_photos()
            t = self.ctx.texture(image.shape[1::-1], 4, image.tobytes())
            t.build_mipmaps()
            t.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            self._textures[name] = t
            if np.any(solid := image[::4, ::4, 3] > 200):
                self.paint[name] = float(np.median((image[::4, ::4, :3][solid] / 255) ** 2.2 @ [0.3, 0.6, 0.1])) + 1e-3
        return self._textures[name]

    def _drop_old_photos(self):
        photos = [n for n in self._textures if n.startswith("photo")]
        for name in photos[: len(photos) - MAX_PHOTOS + 1]:
            self._textures.pop(name).release()

    def _mesh(self, part: Part):
        key = (part.name, id(part.surface))
        if key not in self._meshes:
            s = part.surface
            dynamic = self.ctx.buffer(reserve=len(s.vertex) * 40, dynamic=True)
            uv = self.ctx.buffer(s.uv.tobytes())
            index = self.ctx.buffer(s.triangles.astype("i4").tobytes())
            layout = [
                (dynamic, "3f 3f 1f 1f 1f 1f", "in_pos", "in_normal", "in_ao", "in_cloth", "in_rest", "in_beard"),
                (uv, "2f", "in_uv"),
            ]
            self._meshes[key] = (dynamic, self.ctx.vertex_array(self.program, layout, index), s)
        return self._meshes[key][:2]

    def upload(self, parts: list[Part]):
        """Send vertices and normals of one head to the GL buffers; needed once per head, not per image."""
        for part in parts:
            s, dynamic = part.surface, self._mesh(part)[0]
            n = len(part.vertices)
            columns = [
                part.vertices,
                s.normals(part.vertices),
                np.ones(n) if part.ao is None else part.ao,
                np.full(n, -1.0) if part.cloth is None else part.cloth,
                np.zeros(n) if part.rest is None else part.rest,
                np.zeros(n) if part.beard is None else part.beard,
            ]
            dynamic.write(np.column_stack(columns).astype("f4")[s.vertex].tobytes())

    def set(self, **uniforms):
        for name, value in uniforms.items():
            if name in self._uniforms:
                value = np.ascontiguousarray(value, "f4") if isinstance(value, np.ndarray) else value
                if isinstance(value, np.ndarray):
                    self.program[name].write(value.tobytes())
                else:
                    self.program[name].value = value

    def draw(self, parts: list[Part], look, scene: Scene) -> np.ndarray:
        """-> (height, width, 4) uint8 RGBA, premultiplied, alpha = coverage by head, body and occluders."""
        self.begin(scene)
        self.add(parts, look, scene)
        return self.read(scene)

    def begin(self, scene: Scene):
        """Start an empty picture."""
        self._target(scene.width * SUPERSAMPLE, scene.height * SUPERSAMPLE).use()
        self.ctx.clear(0, 0, 0, 0, depth=1.0)

    def read(self, scene: Scene) -> np.ndarray:
        """What was drawn since `begin`: (height, width, 4) uint8 RGBA, premultiplied."""
        s = SUPERSAMPLE
        raw = self._target(scene.width * s, scene.height * s).read(components=4)
        raw = np.frombuffer(raw, np.uint8).reshape(scene.height * s, scene.width * s, 4)
        return cv2.resize(raw, (scene.width, scene.height), interpolation=cv2.INTER_AREA)

    def seen(self, scene: Scene, points_m: np.ndarray, tolerance_m: float = 0.0035) -> np.ndarray:
        """Which points (N, 3), camera frame, the last drawing left visible: inside the image, and nothing drawn more
        than tolerance_m before them in at least one of the 3 x 3 samples around them. -> (N,) bool."""
        w, h = scene.width * SUPERSAMPLE, scene.height * SUPERSAMPLE
        depth_m = self.depth_m(scene)
        p = points_m @ scene.K.T
        pixel = np.floor((p[:, :2] / p[:, 2:] + 0.5) * SUPERSAMPLE).astype(int)
        inside = (p[:, 2] > NEAR_M) & ((pixel >= 0) & (pixel < [w, h])).all(1)
        window = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
        around = np.clip(pixel[:, None] + window, 0, [w - 1, h - 1])  # (N, 9, 2)
        drawn = depth_m[around[..., 1], around[..., 0]].max(1)
        return inside & (points_m[:, 2] < drawn + tolerance_m)

    def depth_m(self, scene: Scene) -> np.ndarray:
        """Metres along the optical axis of the last drawing, (SUPERSAMPLE h, SUPERSAMPLE w); FAR_M: nothing."""
        w, h = scene.width * SUPERSAMPLE, scene.height * SUPERSAMPLE
        ndc = 2.0 * np.frombuffer(self._depth[w, h].read(), np.float32).reshape(h, w).astype(float) - 1.0
        return 2 * NEAR_M * FAR_M / (FAR_M + NEAR_M - ndc * (FAR_M - NEAR_M))

    def add(self, parts: list[Part], look, scene: Scene):
        """Draw one uploaded head into the picture; the farthest comes first."""
        ctx, target = self.ctx, self._target(scene.width * SUPERSAMPLE, scene.height * SUPERSAMPLE)
        target.use()
        ctx.enable(moderngl.DEPTH_TEST)
        ctx.disable(moderngl.CULL_FACE | moderngl.BLEND)
        angle = float(np.linalg.norm(scene.body_rotvec))
        self.set(
            R=scene.R_camera_head.T,
            t=scene.t_camera_head_m,
            size=(float(scene.width), float(scene.height)),
            K=np.array([scene.K[0, 0], scene.K[1, 1], scene.K[0, 2], scene.K[1, 2]]),
            clip=(NEAR_M, FAR_M),
            body_axis=scene.body_rotvec / max(angle, 1e-9),
            body_angle=angle,
            pivot=scene.pivot_m,
            sh=scene.sh,
            exposure=float(scene.exposure),
            light_dir=scene.light_dirs,
            light=scene.lights,
            gloss=float(scene.gloss),
            hat=scene.hat_plane,
            tint=np.asarray(look.skin_tint),
            saturation=float(look.skin_saturation),
            cloth_colour=look.cloth_colours,
            stripe=float(look.stripe_dm),
        )
        for part in parts:
            if part.kind not in ("lens", "brow"):
                self._draw_part(part, look, 0)
        target.depth_mask = False  # brows, lashes and clear lenses cover nothing
        for part in parts:
            if part.kind == "brow":
                self._draw_part(part, look, 0)
        ctx.enable(moderngl.BLEND)
        ctx.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        for part in parts:
            if part.kind in ("hair", "brow", "lens"):
                target.depth_mask = part.kind == "lens" and part.opacity > 0.5
                self._draw_part(part, look, 1)
        target.depth_mask = True

    def _draw_part(self, part: Part, look, stage: int):
        if part.texture:
            self._texture(part.texture).use(0)
        hair = part.kind in ("hair", "skin")  # a beard has the colour of the hair
        self.set(
            kind=KINDS[part.kind],
            stage=stage,
            textured=bool(part.texture),
            colour=np.asarray(look.hair_colour if hair else part.colour, float),
            keep=float(look.hair_keep if hair else part.opacity),
            bias=0.004 if part.kind == "brow" else 0.0,
            paint=self.paint.get(part.texture, 1.0),
        )
        if part.kind == "skin":  # closed surfaces: half of the triangles need no shading
            self.ctx.enable(moderngl.CULL_FACE)
        self._mesh(part)[1].render()
        self.ctx.disable(moderngl.CULL_FACE)
