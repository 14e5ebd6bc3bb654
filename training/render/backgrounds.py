"""Pictures without anybody: views of the environments, half of them with plain things in front.

    python -m training.render.backgrounds --out DIR --images N

For whole-image networks, and for crops without a face, where no photographs are used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.data.shards import ShardWriter
from training.render import assets, light, post, sample

WIDTH, HEIGHT = 384, 320
MOST_THINGS, SKIN_SHARE = 8, 0.3
SKIN_RGB = np.array([200.0, 150.0, 120.0])


def picture(rng: np.random.Generator, environments: list[light.Environment]) -> np.ndarray:
    """One picture (HEIGHT, WIDTH, 3) uint8 RGB."""
    environment = environments[rng.integers(len(environments))]
    _, exposure, _, _, R_world_camera = sample.sample_light(rng, environment)
    K = sample.pinhole(rng.uniform(35, 110), WIDTH, HEIGHT)
    image = (255 * light.encode(environment.view(K, WIDTH, HEIGHT, R_world_camera) * exposure)).astype(np.uint8)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, MOST_THINGS + 1)):
            image = with_thing(rng, image)
    return post.degrade(rng, image)


def with_thing(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """An ellipse or a polygon in front, shaded, some with the colour of skin."""
    if rng.random() < SKIN_SHARE:
        colour = SKIN_RGB * np.exp(rng.normal(-0.3, 0.4)) * np.exp(rng.normal(0, 0.08, 3))
    else:
        colour = rng.uniform(0, 255, 3)
    mask = np.zeros(image.shape[:2], np.uint8)
    centre = rng.uniform([0, 0], [WIDTH, HEIGHT])
    axes = np.exp(rng.uniform(np.log(4), np.log(120), 2))
    if rng.random() < 0.5:
        box = (tuple(map(float, centre)), tuple(map(float, 2 * axes)), float(rng.uniform(0, 180)))
        cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
    else:
        corners = centre + axes * rng.normal(0, 1, (rng.integers(3, 7), 2))
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255, cv2.LINE_AA)
    coarse = rng.uniform(0.5, 1.3, (3, 3)).astype(np.float32)
    shade = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
    share = mask[..., None].astype(np.float32) / 255
    return np.clip(image * (1 - share) + share * shade * colour, 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["train", "test"], help="leave out, or use only, assets.HELD_OUT")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    environments = [e for e in light.load_environments(args.data) if assets.in_split(e.name, args.split)]
    writer = ShardWriter(args.out)
    for i in range(args.images):
        image = picture(np.random.default_rng([args.seed, 7, i]), environments)
        writer.add(post.encode_jpeg(image, 93), "", f"background seed {args.seed} index {i}", [])
    writer.flush()
    print(f"{args.images} pictures without a face")


if __name__ == "__main__":
    main()
