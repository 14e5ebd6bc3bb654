"""Render training shards: python -m training.render.make_shards --out DIR --images N --seed S

Deterministic: image i depends on (seed, i) only, not on --jobs or --shard.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from training.render import assets

_studio = None


def _init(data, split):
    global _studio
    cv2.setNumThreads(1)
    from training.render.studio import Studio

    _studio = Studio(data, split)


def render_shard(job) -> int:
    """Write one shard_XXXX.npz (keys: see the module tests); returns the number of images."""
    path, seed, first, last, size = job
    from training.render.post import encode_jpeg

    pictures = [_studio.picture(seed, i, size) for i in range(first, last)]
    jpegs = [encode_jpeg(p.image, 93) for p in pictures]
    alphas = [cv2.imencode(".png", p.alpha)[1].tobytes() for p in pictures]
    labels = [p.label for p in pictures]
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(
            file,
            blob=np.frombuffer(b"".join(jpegs), np.uint8),
            offset=offsets(jpegs),
            alpha_blob=np.frombuffer(b"".join(alphas), np.uint8),
            alpha_offset=offsets(alphas),
            person=np.array([p.person for p in pictures]),
            source=np.array([f"render seed {seed} index {i}" for i in range(first, last)]),
            face_image=np.arange(len(pictures), dtype=np.int32),
            R_local=np.array([a.R_local for a in labels], np.float32),
            centre_px=np.array([a.centre_px for a in labels], np.float32),
            size_px=np.array([a.size_px for a in labels], np.float32),
            rot_std_deg=np.full(len(labels), 0.5, np.float32),
            weight=np.array([a.weight for a in labels], np.float32),
            landmarks_px=np.array([p.landmarks.px for p in pictures], np.float32),
            landmarks_z_m=np.array([p.landmarks.z_m for p in pictures], np.float32),
            landmarks_visible=np.array([p.landmarks.visible for p in pictures], np.uint8),
        )
    part.rename(path)  # a shard is complete or absent
    return len(pictures)


def offsets(chunks: list[bytes]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(c) for c in chunks])]).astype(np.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="image side, pixels")
    parser.add_argument("--shard", type=int, default=512, help="images per shard")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--split", choices=["train", "test"], help="leave out, or use only, assets.HELD_OUT")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    starts = range(0, args.images, args.shard)
    jobs = [
        (args.out / f"shard_{k:04d}.npz", args.seed, i, min(i + args.shard, args.images), args.size)
        for k, i in enumerate(starts)
    ]
    started = time.monotonic()
    with (
        multiprocessing.get_context("spawn").Pool(args.jobs, _init, (args.data, args.split)) as pool,
        Progress() as progress,
    ):
        bar = progress.add_task("images", total=args.images)
        for count in pool.imap_unordered(render_shard, jobs):
            progress.update(bar, advance=count)
    seconds = time.monotonic() - started
    print(f"{args.images} images in {seconds:.1f} s: {args.images / seconds:.1f} images/s with {args.jobs} processes")


if __name__ == "__main__":
    main()
