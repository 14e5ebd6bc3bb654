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


def write_shard(path: Path, pictures: list, sources: list[str]):
    """Keys: see the training README; those of renders: alpha_*, landmarks_*, K, R_camera_head, t_camera_head_m."""
    from training.render.post import encode_jpeg

    jpegs = [encode_jpeg(p.image, 93) for p in pictures]
    alphas = [cv2.imencode(".png", p.alpha)[1].tobytes() for p in pictures]
    faces = [face for p in pictures for face in p.faces]
    labels, landmarks = [f.label for f in faces], [f.landmarks for f in faces]

    def column(objects, name, kind=np.float32):
        return np.array([getattr(o, name) for o in objects], kind)

    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(
            file,
            blob=np.frombuffer(b"".join(jpegs), np.uint8),
            offset=offsets(jpegs),
            alpha_blob=np.frombuffer(b"".join(alphas), np.uint8),
            alpha_offset=offsets(alphas),
            person=np.array(["+".join(f.person for f in p.faces) for p in pictures]),
            source=np.array(sources),
            face_image=np.repeat(np.arange(len(pictures), dtype=np.int32), [len(p.faces) for p in pictures]),
            rot_std_deg=np.full(len(faces), 0.5, np.float32),
            **{n: column(labels, n) for n in ("R_local", "centre_px", "size_px", "weight")},
            **{n: column(labels, n) for n in ("K", "R_camera_head", "t_camera_head_m")},
            landmarks_px=column(landmarks, "px"),
            landmarks_z_m=column(landmarks, "z_m"),
            landmarks_visible=column(landmarks, "visible", np.uint8),
        )
    part.rename(path)  # a shard is complete or absent


def offsets(chunks: list[bytes]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(c) for c in chunks])]).astype(np.int64)


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
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    starts = range(0, args.images, args.shard)
    jobs = [
        (args.out / f"shard_{args.first_shard + k:04d}.npz", args.seed, i, min(i + args.shard, args.images), args.size)
        + (args.view, tuple(args.people))
        for k, i in enumerate(starts)
    ]
    studio_options = (args.data, args.split, args.skins, args.photo_share)
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
