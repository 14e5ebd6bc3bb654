"""Training shards from textured head scans (OBJ, GLB): python -m training.render.objs --objs DIR --out SHARDS

Every scan is drawn over a grid of rotations, and at random ones, with exact labels. Its head frame and size come from
the 68 landmarks beside it (NAME.txt or NAME.npy: 68 rows x y z in its coordinates, iBUG order), else from a fit of
the mean face to its surface; any axes, in mm, cm, dm or m. Look at --sheet before you train on the result. A scan that
cannot be used is named with the reason, the others go on, and the exit code is 1. The person of a scan is the folder it
lies in, or its own name directly in DIR.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg
from hpe_core.io.shards import name as shard_name
from training.data.labels import FaceLandmarks
from training.render import post, sample
from training.render.contact_sheet import draw_axes, tiled
from training.render.gl import Renderer, Scene
from training.render.heads.head import Head, Look, Part
from training.render.light import Environment
from training.render.make_shards import write_shard
from training.render.scans import frame
from training.render.scans.read import Scan, read_scan, scan_files
from training.render.studio import Face, Picture, landmarks_in

PER_SHARD, ON_SHEET, SHEET_COLUMNS = 512, 4, 8
LEVEL = 0.5  # of the light from everywhere


def neutral_look() -> Look:
    """What leaves a scan's own colours as they are."""
    grey, nothing = np.full(3, 0.2), ""
    return Look(
        shape={},
        expression={},
        skin=nothing,
        skin_tint=np.ones(3),
        skin_saturation=1.0,
        hair=None,
        hair_colour=grey,
        hair_keep=1.0,
        brow=nothing,
        brow_colour=grey,
        lash=nothing,
        eye=nothing,
        collar=np.zeros(3),
        cloth_colours=np.tile(grey, (2, 1)),
        stripe_dm=0.0,
        size=1.0,
        beard=0.0,
        extras=(),
        extras_seed=0,
    )


def head_of(scan: Scan) -> tuple[Head, dict, frame.HeadFrame]:
    """The head of a scan in the head frame, metres; its textures by name; how it was laid there."""
    vertices, triangles = scan.mesh()
    if scan.landmarks is None:
        found = frame.by_surface(vertices, triangles)
        landmarks = np.full((68, 3), np.nan)
    else:
        found = frame.by_landmarks(scan.landmarks, vertices, triangles)
        landmarks = found.head_from_scan(scan.landmarks)
    parts, textures = [], {}
    for number, part in enumerate(scan.parts):
        surface = part.surface if found.outward else part.surface.turned()
        placed = found.head_from_scan(part.vertices)
        if part.texture is None:
            linear = tuple(float(value) ** 2.2 for value in part.colour)
            parts.append(Part(f"scan_{number}", "solid", surface, placed, colour=linear))
            continue
        name = f"scan_{number}"
        textures[name] = partial(np.asarray, part.texture)
        parts.append(Part(name, "skin", surface, placed, texture=name))
    return Head(parts, np.array([0.0, 0.0, 0.0, 1.0]), landmarks), textures, found


def even_light() -> Environment:
    """Light of one colour from everywhere: scans carry the light that they were taken in."""
    sh = np.zeros((9, 3))
    sh[0] = np.pi * LEVEL / 0.282095
    return Environment("even", np.full((2, 4, 3), LEVEL, np.float32), sh)


class ScanStudio:
    """Draws one scan."""

    def __init__(self, scan: Scan, backgrounds: list[Path]):
        self.head, textures, self.found = head_of(scan)
        self.renderer, self.look, self.light = Renderer(textures), neutral_look(), even_light()
        self.backgrounds = backgrounds
        self.renderer.upload(self.head.parts)

    def picture(self, rng: np.random.Generator, size: int, angles: EulerDeg | None, person: str) -> Picture:
        """A square image (size, size) of the scan with R_local at these angles, or at random ones."""
        label = sample.sample_label(rng, size, angles=angles)
        K, R, t = label.K, label.R_camera_head, label.t_camera_head_m
        assert K is not None and R is not None and t is not None  # every render's label has them
        sh, exposure, directions, lights, _ = sample.sample_light(rng, self.light)
        scene = Scene(
            K,
            size,
            size,
            R,
            t,
            np.zeros(3),
            np.zeros(3),
            sh,
            exposure,
            directions,
            lights,
            gloss=float(rng.uniform(0.0, 0.5)),
        )
        rgba = self.renderer.draw(self.head.parts, self.look, scene)
        behind, alpha = self._background(rng, size), rgba[..., 3]
        image = np.clip(rgba[..., :3] + behind * (1 - alpha[..., None] / 255) + 0.5, 0, 255).astype(np.uint8)
        landmarks = FaceLandmarks.unknown()
        if np.isfinite(self.head.landmarks).all():
            landmarks = landmarks_in(self.renderer, self.head, scene, label)
        return Picture(post.degrade(rng, image), alpha, [Face(label, landmarks, person)])

    def _background(self, rng, size):
        """(size, size, 3) RGB: a random square of a background image, or one colour."""
        if not self.backgrounds:
            return np.broadcast_to(rng.uniform(0, 255, 3), (size, size, 3))
        path = self.backgrounds[rng.integers(len(self.backgrounds))]
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise HpeError(f"background {path} is no image")
        side = int(min(image.shape[:2]) * rng.uniform(0.5, 1.0))
        y, x = (int(rng.integers(0, full - side + 1)) for full in image.shape[:2])
        return cv2.resize(image[y : y + side, x : x + side, ::-1], (size, size), interpolation=cv2.INTER_AREA).astype(
            float
        )

    def close(self) -> None:
        """Free what the graphics library holds."""
        self.renderer.ctx.release()


def steps(low: float, high: float, step: float) -> np.ndarray:
    """Degrees from low to high."""
    if not (step > 0 and low <= high):
        raise HpeError(f"angles must be LOW HIGH STEP with LOW <= HIGH and STEP > 0, got {low:g} {high:g} {step:g}")
    return np.arange(low, high + 1e-6, step)


def render_all(args: argparse.Namespace) -> int:
    """What the command does; returns how many scans could not be used."""
    grid = [EulerDeg(*angles) for angles in itertools.product(steps(*args.yaw), steps(*args.pitch), steps(*args.roll))]
    wanted = [*grid, *[None] * args.random]
    files = scan_files(args.objs)
    kinds = (".jpg", ".jpeg", ".png")
    backgrounds = sorted(p for p in args.images.rglob("*") if p.suffix.lower() in kinds) if args.images else []
    if args.images and not backgrounds:
        raise HpeError(f"no {', '.join(kinds)} in {args.images}")
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.glob("shard_*.npz")):
        raise HpeError(f"{args.out} holds shards already: write to another folder")
    pictures, sources, tiles, failed, shard, count = [], [], [], 0, 0, 0
    for number, path in enumerate(files):
        where = path.relative_to(args.objs)
        person = where.parts[0] if len(where.parts) > 1 else path.stem
        try:
            studio = ScanStudio(read_scan(path), backgrounds)
        except HpeError as error:
            print(f"objs: error: {where}: {error}", file=sys.stderr)
            failed += 1
            continue
        by = "its landmarks" if np.isfinite(studio.head.landmarks).all() else "the mean face"
        print(f"{where}: {1e3 * studio.found.scale:.4g} mm per unit, by {by}, misfit {studio.found.misfit:.2f}")
        for i, angles in enumerate(wanted):
            rng = np.random.default_rng([args.seed, number, i])
            pictures.append(studio.picture(rng, args.size, angles, person))
            sources.append(f"scan {where} seed {args.seed} index {i}")
            count += 1
            if i % max(1, len(wanted) // ON_SHEET) == 0 and args.sheet:
                tiles.append(draw_axes(pictures[-1]))
            if len(pictures) == PER_SHARD:
                write_shard(args.out / shard_name(shard), pictures, sources)
                pictures, sources, shard = [], [], shard + 1
        studio.close()
    if pictures:
        write_shard(args.out / shard_name(shard), pictures, sources)
    if tiles:
        args.sheet.write_bytes(cv2.imencode(".png", tiled(tiles, SHEET_COLUMNS)[..., ::-1])[1].tobytes())
    print(f"{len(files) - failed} scans, {count} images in {args.out}; {failed} scans could not be used")
    return failed


def main(words: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objs", type=Path, required=True, help="folder of scans, and folders in it")
    parser.add_argument("--images", type=Path, help="folder of backgrounds; without: one colour")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    for axis, default in (("yaw", (-90.0, 90.0, 15.0)), ("pitch", (-30.0, 30.0, 15.0)), ("roll", (0.0, 0.0, 15.0))):
        low, high, step = (f"{value:g}" for value in default)
        text = f"angles of R_local in degrees (default: {low} {high} {step})"
        parser.add_argument(
            f"--{axis}", type=float, nargs=3, metavar=("LOW", "HIGH", "STEP"), default=default, help=text
        )
    parser.add_argument("--random", type=int, default=0, metavar="N", help="and N random rotations of each scan")
    parser.add_argument("--size", type=int, default=256, help="image side, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="a few images of each scan with its axes")
    try:
        return 1 if render_all(parser.parse_args(words)) else 0
    except HpeError as error:
        print(f"objs: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
