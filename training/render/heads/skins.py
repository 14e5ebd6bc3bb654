"""Photo textures for ICT-FaceKit heads.

    python -m training.render.heads.skins --photos SHARDS --out FILE.npz

It needs an environment of its own: mediapipe==0.10.21, numpy<2.

MediaPipe's face mesh gives the landmarks of a near-frontal photo; ICT identity, expression and a weak-perspective
camera are fitted to them; the photo is read at every texel of the face. Where the surface turns away from the camera,
the other half of the face and then the mean skin colour take over; coarse shading is divided out.
Keys of the file: blob, offset (JPEG textures, 512 x 1024, the right half for the back of the head), person.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from scipy.spatial.transform import Rotation

from training.data.shards import packed, read_shards
from training.render import assets
from training.render.heads.ict import LANDMARKS, PITCH_ICT_DEG, IctModel

BAKE_TILT_DEG = 9.0  # tilt of ICT's axes in which the limits of the texture are given
TEXTURE_PX, JPEG_QUALITY = 512, 92
MAX_YAW_DEG, MAX_PITCH_DEG, MIN_SIZE_PX = 22, 18, 90
MODES, PRIOR, EXPRESSION_PRIOR, NOISE_M = 50, 1.0, 0.25, 0.0015
# MediaPipe's points for the 68; brows are the mean of two rows. Its jaw line is not ICT's: only the chin is used.
MESH_OF_68 = [127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356, 70, 63, 105, 66, 107]
MESH_OF_68 += [336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387]
MESH_OF_68 += [263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]
LOWER_BROW = [46, 53, 52, 65, 55, 285, 295, 282, 283, 276]
USED = np.array([8, *range(17, 68)])


def landmarks_of_mesh(mesh: np.ndarray) -> np.ndarray:
    """MediaPipe's (468, >= 2) -> (68, 2)."""
    out = mesh[MESH_OF_68, :2].copy()
    out[17:27] = 0.6 * out[17:27] + 0.4 * mesh[LOWER_BROW, :2]
    return out


def fit(model: IctModel, basis: np.ndarray, px: np.ndarray):
    """Landmarks (68, 2) -> vertices (V, 3) in the head frame, metres; camera (R (3, 3), scale px/m, shift (2,)), with
    px = scale (R v)_xy + shift; distances (L,) between fitted and given landmarks, metres.

    Alternates the camera and the ridge regression of identity and expression.
    """
    landmarks = basis[:, LANDMARKS[USED]].astype(float)  # (B, L, 3)
    sigma = np.concatenate([np.full(MODES, PRIOR), np.full(len(model.expression), EXPRESSION_PRIOR)])
    coefficients, target = np.zeros(len(basis)), px[USED]
    for _ in range(8):
        X = model.neutral[LANDMARKS[USED]] + np.tensordot(coefficients, landmarks, 1)
        R, scale, shift = weak_perspective(X, target)
        rest = (target - shift) / scale - (model.neutral[LANDMARKS[USED]] @ R.T)[:, :2]
        A = np.einsum("blk,jk->ljb", landmarks, R[:2]).reshape(-1, len(basis))
        normal = A.T @ A / NOISE_M**2 + np.diag(sigma**-2)
        coefficients = np.linalg.solve(normal, A.T @ rest.ravel() / NOISE_M**2)
        coefficients[:MODES] = np.clip(coefficients[:MODES], -2.5, 2.5)
        coefficients[MODES:] = np.clip(coefficients[MODES:], 0, 1)
    residual = np.linalg.norm((X @ R.T)[:, :2] - (target - shift) / scale, axis=1)
    v = model.neutral + np.tensordot(coefficients.astype(np.float32), basis, 1)
    return v, (R, scale, shift), residual


def weak_perspective(X: np.ndarray, px: np.ndarray):
    """Scaled orthographic camera of points X (L, 3) seen at px (L, 2)."""
    X0, p0 = X - X.mean(0), px - px.mean(0)
    A = np.linalg.lstsq(X0, p0, rcond=None)[0].T  # (2, 3)
    scale = np.linalg.norm(A, axis=1).mean()
    U, _, Vt = np.linalg.svd(A, full_matrices=False)
    R = U @ Vt
    R = np.vstack([R, np.cross(R[0], R[1])])
    return R, scale, px.mean(0) - scale * (R @ X.mean(0))[:2]


class Baker:
    """Maps of the face texture: the triangle and the barycentric weights of each texel."""

    def __init__(self, model: IctModel):
        self.model, n = model, TEXTURE_PX
        surface = model.surfaces["skin"]
        face = surface.triangles[(surface.uv[surface.triangles, 0] < 0.5).all(1)]
        self.triangles = surface.vertex[face]
        texel = np.stack([surface.uv[face, 0] * 2, 1 - surface.uv[face, 1]], -1) * n - 0.5
        self.triangle = np.full((n, n), -1, np.int32)
        for k, t in enumerate(texel):
            cv2.fillConvexPoly(self.triangle, np.round(t * 16).astype(np.int32), int(k), shift=4)
        rows, columns = np.nonzero(self.triangle >= 0)
        t = texel[self.triangle[rows, columns]]
        u, v, p = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0], np.column_stack([columns, rows]) - t[:, 0]
        det = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        det = np.where(np.abs(det) < 1e-9, 1e-9, det)
        a, b = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / det, (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / det
        self.weights = np.clip(np.column_stack([1 - a - b, a, b]), 0, 1)
        self.weights /= self.weights.sum(1, keepdims=True)
        self.rows, self.columns = rows, columns
        upright = model.neutral @ Rotation.from_euler("x", BAKE_TILT_DEG - PITCH_ICT_DEG, degrees=True).as_matrix().T
        corners = upright[self.triangles[self.triangle[rows, columns]]]
        self.x, y, z = np.einsum("nk,nkd->dn", self.weights, corners)
        self.y = y
        self.use = np.clip((y + 0.062) / 0.015, 0, 1)  # not what is above the forehead,
        self.use *= np.clip((0.120 - 0.6 * (z - 0.02) - y) / 0.015, 0, 1)  # below the jaw,
        self.use *= np.clip((0.1 - z) / 0.015, 0, 1)  # on the ears and behind them

    def bake(self, image: np.ndarray, v: np.ndarray, camera) -> np.ndarray | None:
        """image BGR -> texture (512, 1024, 3) BGR."""
        R, scale, shift = camera
        corners = self.triangles[self.triangle[self.rows, self.columns]]
        point = np.einsum("nk,nkd->nd", self.weights, v[corners]) @ R.T
        normal = np.einsum("nk,nkd->nd", self.weights, self.model.surfaces["skin"].normals(v)[corners]) @ R.T
        at = np.zeros((TEXTURE_PX, TEXTURE_PX, 2), np.float32)
        at[self.rows, self.columns] = scale * point[:, :2] + shift
        colour = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[self.rows, self.columns]
        facing = -normal[:, 2]
        weight = np.clip((facing - 0.25) / 0.35, 0, 1) * self.use
        sure = (facing > 0.75) & (self.y > -0.03) & (self.y < 0.09)
        skin = np.median(colour[sure], 0)
        near = np.abs(colour - skin).max(1) < 45
        below_eyes = (np.abs(np.abs(self.x) - 0.035) < 0.015) & (np.abs(self.y - 0.021) < 0.009)  # dark glasses
        if near[sure].mean() < 0.5 or near[below_eyes].mean() < 0.6 or not 25 < skin.mean() < 235:
            return None
        fit_at = sure & near
        basis = np.column_stack([np.ones(len(normal)), normal])
        shade = np.linalg.lstsq(basis[fit_at], colour[fit_at].mean(1), rcond=None)[0]
        gain = np.clip(skin.mean() / np.maximum(basis @ shade, 20), 0.75, 1.35)
        n = TEXTURE_PX
        out, seen = np.zeros((n, n, 3), np.float32), np.zeros((n, n), np.float32)
        out[self.rows, self.columns] = colour * gain[:, None]
        seen[self.rows, self.columns] = weight
        mirrored = cv2.GaussianBlur(seen, (0, 0), 2)[:, ::-1] * np.clip(1.2 - 2 * seen, 0, 1)
        total = seen + mirrored + 0.02
        face = (out * seen[..., None] + out[:, ::-1] * mirrored[..., None] + 0.02 * skin) / total[..., None]
        cover = cv2.GaussianBlur(np.clip(seen + mirrored, 0, 1), (0, 0), 3)[..., None]
        rng = np.random.default_rng(0)
        grain = cv2.GaussianBlur(rng.normal(0, 1, (n, 2 * n, 1)).astype(np.float32), (0, 0), 1.5)[..., None] * 8
        full = np.broadcast_to(skin.astype(np.float32), (n, 2 * n, 3)) + grain
        full[:, :n] = face * cover + full[:, :n] * (1 - cover)
        return np.clip(full, 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="shards of training.label.make_shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()

    from training.label.profile import FaceMesh

    model, mesh_of = IctModel(args.data), FaceMesh()
    baker, people, jpegs, tried = Baker(model), [], [], 0
    basis = np.concatenate([model.identity[:MODES], model.expression])  # (B, V, 3)
    for image, person, source, faces in track(read_shards(args.photos), "textures"):
        if len(jpegs) == args.limit:
            break
        if not faces or not source.startswith("lfw/") or person in people:
            continue
        label = max(faces, key=lambda f: f.weight * f.size_px)
        minus_pitch, yaw, _ = Rotation.from_matrix(label.R_local).as_euler("XYZ", degrees=True)
        if (
            not label.weight
            or label.size_px < MIN_SIZE_PX
            or abs(yaw) > MAX_YAW_DEG
            or abs(minus_pitch) > MAX_PITCH_DEG
        ):
            continue
        tried += 1
        mesh = mesh_of(image, label)
        if mesh is None:
            continue
        v, camera, residual = fit(model, basis, landmarks_of_mesh(mesh))
        if np.median(residual) > 0.003:
            continue
        texture = baker.bake(image, v, camera)
        if texture is None:
            continue
        people.append(person)
        jpegs.append(cv2.imencode(".jpg", texture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    np.savez(args.out, **packed(jpegs), person=np.array(people))
    print(f"{len(jpegs)} textures of {tried} photos")


if __name__ == "__main__":
    main()
