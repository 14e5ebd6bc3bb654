"""Textures for ICT-FaceKit heads from drawn MakeHuman people, without any photograph.

    python -m training.render.heads.drawn_skins --out FILE.npz

A person with another shape, skin, brows and beard each is drawn from the front in even light. ICT-FaceKit's face is
fitted to the exact landmarks, and the picture is read at every texel of it, as `skins` does with photographs. The file
is of the same kind, so `--skins FILE.npz --photo-share 0.5` gives half of the people ICT-FaceKit's shape.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.data.shards import packed
from training.render import assets, sample
from training.render.gl import Scene
from training.render.heads.ict import IctModel
from training.render.heads.skins import JPEG_QUALITY, MODES, Baker, fit
from training.render.studio import Studio

SIDE_PX, HFOV_DEG, FACE_PX = 768, 20.0, 380.0
EXPOSURE = 0.75  # of a white matt surface


def portrait(studio: Studio, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """A neutral, bald person from the front in even light: image (768, 768, 3) BGR, landmarks (68, 2) px."""
    rng = np.random.default_rng([seed, 6, number])
    look = replace(studio.model.sample(rng), expression={}, extras=(), hair=None)
    head = studio.load(look)
    K = sample.pinhole(HFOV_DEG, SIDE_PX, SIDE_PX)
    R = aflw2000.to_matrix(EulerDeg(yaw=0.0, pitch=0.0, roll=0.0))
    depth_m = K[0, 0] * REFERENCE_LENGTH_M / FACE_PX
    t_m = [0, 0, depth_m] - R @ FACE_CENTRE_M
    even = np.zeros((9, 3))
    even[0] = np.pi / 0.282095  # radiance 1 from everywhere
    dark = np.zeros((2, 3))
    scene = Scene(
        K,
        SIDE_PX,
        SIDE_PX,
        R,
        t_m,
        np.zeros(3),
        studio.model.pivot_m,
        even,
        EXPOSURE,
        dark + [0.0, 0.0, -1.0],
        dark,
        gloss=0.0,
    )
    rgba = studio.renderer.draw(head.parts, look, replace(scene, hat_plane=head.hat_plane))
    image, cover = rgba[..., 2::-1].astype(np.float32), rgba[..., 3:].astype(np.float32) / 255
    skin = np.median(image[cover[..., 0] == 1], 0)  # beside a face that is slimmer than ICT-FaceKit's
    return (image + (1 - cover) * skin).astype(np.uint8), studio.landmarks(head, scene, sample.label(K, R, t_m)).px


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["train", "test"], help="leave out, or use only, assets.HELD_OUT")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    studio, model = Studio(args.data, args.split), IctModel(args.data)
    baker, jpegs, people = Baker(model), [], []
    basis = np.concatenate([model.identity[:MODES], model.expression])  # (B, V, 3)
    for number in range(args.count):
        image, landmarks = portrait(studio, args.seed, number)
        v, camera, _ = fit(model, basis, landmarks)
        texture = baker.bake(image, v, camera)
        if texture is not None:
            jpegs.append(cv2.imencode(".jpg", texture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
            people.append(f"drawn{args.seed}-{number}")
    np.savez(args.out, **packed(jpegs), person=np.array(people))  # pyright: ignore[reportArgumentType]
    print(f"{len(jpegs)} textures of {args.count} people")


if __name__ == "__main__":
    main()
