"""Draws docs/moving.webp: the sample bag with the overlay of `hpe run`. python -m docs.make_moving_picture

The bag is rendered and free (CC0). The size of the file is kept below a limit, since package pages load it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
from PIL import Image

from hpe_core import HeadPose

ROOT = Path(__file__).resolve().parents[1]
BAG, OUT = ROOT / "assets" / "sample_bag", ROOT / "docs" / "moving.webp"
EVERY = 2  # of 15 images per second
VIEW = slice(0, 480), slice(80, 560)  # rows and columns of the 640x480 image
SIDE_PX, QUALITY, MAX_BYTES = 400, 70, 1_500_000


def pictures(bag):
    """Yields RGB PIL images of SIDE_PX x SIDE_PX with the overlay, and the time that each is shown, milliseconds."""
    track, before_ns = HeadPose().track(str(bag)), None
    for number, frame in enumerate(track):
        if number % EVERY:
            continue
        shown_ms = 133 if before_ns is None else round((frame.stamp_ns - before_ns) / 1e6)
        before_ns = frame.stamp_ns
        drawn = Image.fromarray(frame.faces.draw(frame.image).rgb)
        rows, columns = VIEW
        view = drawn.crop((columns.start, rows.start, columns.stop, rows.stop))
        yield view.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS), shown_ms


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bag", type=Path, default=BAG)
    p.add_argument("--out", type=Path, default=OUT)
    args = p.parse_args()
    cv2.setNumThreads(1)
    images, shown_ms = zip(*pictures(args.bag), strict=True)
    images[0].save(
        args.out, save_all=True, append_images=images[1:], duration=list(shown_ms), loop=0, quality=QUALITY, method=6
    )
    size = args.out.stat().st_size
    print(f"{args.out}: {len(images)} pictures, {size // 1000} kB")
    if size > MAX_BYTES:
        sys.exit(f"more than {MAX_BYTES // 1000} kB: lower QUALITY or SIDE_PX")


if __name__ == "__main__":
    main()
