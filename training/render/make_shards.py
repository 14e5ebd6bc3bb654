"""Render training shards: python -m training.render.make_shards --out DIR --images N --seed S

Deterministic: image i depends on (seed, i) only, not on --jobs or --shard.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from hpe_core.io.shards import name as shard_name
from training.data import shards
from training.data.labels import FaceLabel
from training.render import assets

_studio = None


def _init(*studio_options):
    global _studio
    cv2.setNumThreads(1)
    from training.render.studio import Studio

    _studio = Studio(*studio_options)


def render_shard(job) -> int:
    """Render and write one shard_XXXX.npz; returns the number of images."""
    path, seed, first, last, size, view, people = job
    if view:
        pictures = [_studio.view(seed, i, *view, people) for i in range(first, last)]
    else:
        pictures = [_studio.picture(seed, i, size) for i in range(first, last)]
    write_shard(path, pictures, [f"render seed {seed} index {i}" for i in range(first, last)])
    return len(pictures)


def write_shard(path: Path, pictures: list, sources: list[str]) -> None:
    """A shard (hpe_core.io.shards) of pictures, with masks, landmarks and exact poses."""
    from training.render.post import encode_jpeg

    faces = [face for picture in pictures for face in picture.faces]
    images = shards.packed([encode_jpeg(picture.image, 93) for picture in pictures])
    images |= shards.packed([cv2.imencode(".png", picture.alpha)[1].tobytes() for picture in pictures], "alpha_")
    images["person"] = np.array(["+".join(face.person for face in picture.faces) for picture in pictures])
    images["source"] = np.array(sources)
    labels = FaceLabel.stack([replace(face.label, landmarks=face.landmarks) for face in faces])
    shards.write(path, images, labels, np.repeat(np.arange(len(pictures)), [len(p.faces) for p in pictures]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="image side, pixels")
    parser.add_argument("--view", type=int, nargs=2, metavar=("W", "H"), help="full frames for tests, not squares")
    parser.add_argument("--people", type=int, nargs=2, default=(1, 1), help="least and most in a view")
    parser.add_argument("--first-shard", type=int, default=0, help="number of the first file")
    parser.add_argument("--shard", type=int, default=512, help="images per shard")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--split", choices=["train", "test"], help="leave out, or use only, assets.HELD_OUT")
    parser.add_argument("--skins", type=Path, help="photo textures, a file of training.render.heads.skins")
    parser.add_argument("--photo-share", type=float, default=0.5, help="share of people with photo textures")
    poses = parser.add_mutually_exclusive_group()
    poses.add_argument("--every-direction", action="store_true", help="flat yaw to +-180, pitch to +-60")
    poses.add_argument("--facing", action="store_true", help="mostly within 50 degrees of yaw, for expressions")
    parser.add_argument("--bare", action="store_true", help="no glasses, masks, hats and hands")
    parser.add_argument("--resume", action="store_true", help="keep the shards that are there")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    starts = range(0, args.images, args.shard)
    jobs = [
        (args.out / shard_name(args.first_shard + k), args.seed, i, min(i + args.shard, args.images), args.size)
        + (args.view, tuple(args.people))
        for k, i in enumerate(starts)
    ]
    jobs = [job for job in jobs if not (args.resume and job[0].exists())]
    studio_options = (args.data, args.split, args.skins, args.photo_share, args.every_direction)
    studio_options += (args.facing, args.bare)
    started = time.monotonic()
    with (
        multiprocessing.get_context("spawn").Pool(args.jobs, _init, studio_options) as pool,
        Progress() as progress,
    ):
        bar = progress.add_task("images", total=args.images)
        for count in pool.imap_unordered(render_shard, jobs):
            progress.update(bar, advance=count)
    seconds = time.monotonic() - started
    print(f"{args.images} images in {seconds:.1f} s: {args.images / seconds:.1f} images/s with {args.jobs} processes")


if __name__ == "__main__":
    main()
