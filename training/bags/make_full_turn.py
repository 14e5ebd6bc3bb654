"""Write the pictures of a head that turns once around, with its true poses, for the tests.

python -m training.bags.make_full_turn [--data ../shared/data] [--out test/hpe_core/pipeline/full_turn]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from hpe_core.geometry import so3
from training.render import assets, sample
from training.render.studio import Studio

WIDTH, HEIGHT, HFOV_DEG, COLUMNS, STEP_DEG, JPEG_QUALITY = 240, 180, 40.0, 10, 6, 72
OUT = Path(__file__).resolve().parents[2] / "test" / "hpe_core" / "pipeline" / "full_turn"


def render_turn(studio: Studio, seed: int):
    """(images (h, w, 3) uint8 BGR, R_camera_head (N, 3, 3), t_camera_head_m (N, 3)): head and body turn together."""
    look = replace(studio.model.sample(np.random.default_rng(seed)), extras=())
    head, environment = studio.load(look), studio.environments[seed % len(studio.environments)]
    K, neck = sample.pinhole(HFOV_DEG, WIDTH, HEIGHT), np.array([0.02, 0.07, 0.75])
    images, rotations, places = [], [], []
    for yaw_deg in range(0, 360, STEP_DEG):
        R = so3.matrix_from_rotvec([0.0, np.radians(yaw_deg), 0.0])
        t = neck - R @ studio.model.pivot_m
        label = sample.label(K, R, t)
        scene, R_world_camera = sample.sample_scene(
            np.random.default_rng(seed), label, WIDTH, environment, studio.model.pivot_m
        )
        scene = replace(scene, height=HEIGHT, body_rotvec=np.zeros(3))
        images.append(studio.compose(look, head, scene, environment, R_world_camera)[0][..., ::-1])
        rotations.append(R)
        places.append(t)
    return images, np.array(rotations), np.array(places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    images, R, t = render_turn(Studio(args.data), args.seed)
    sheet = np.vstack([np.hstack(images[k : k + COLUMNS]) for k in range(0, len(images), COLUMNS)])
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out / "frames.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    truth = {
        "width": WIDTH,
        "height": HEIGHT,
        "hfov_deg": HFOV_DEG,
        "R_camera_head": R.round(9).tolist(),
        "t_camera_head_m": t.round(6).tolist(),
    }
    (args.out / "truth.json").write_text(json.dumps(truth) + "\n")


if __name__ == "__main__":
    main()
