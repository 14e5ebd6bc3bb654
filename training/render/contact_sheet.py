"""A PNG grid of rendered heads with the head axes drawn at the sellion (x red, y green, z blue) and C in yellow."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.render import assets
from training.render.studio import Picture, Studio


def draw_axes(picture: Picture, length_m: float = 0.08) -> np.ndarray:
    """-> a copy of the image (h, w, 3) with axes; -z is drawn, so that blue points out of the face."""
    image = picture.image.copy()
    ends = np.array([[0, 0, 0], [length_m, 0, 0], [0, length_m, 0], [0, 0, -length_m]])
    for label in (face.label for face in picture.faces):
        points = (ends @ label.R_camera_head.T + label.t_camera_head_m) @ label.K.T
        px = np.round(points[:, :2] / points[:, 2:] * 16).astype(int)
        for end, colour in zip(px[1:], ((255, 40, 40), (40, 255, 40), (60, 90, 255)), strict=True):
            cv2.line(image, tuple(map(int, px[0])), tuple(map(int, end)), colour, 1, cv2.LINE_AA, 4)
        cv2.circle(image, tuple(map(int, np.round(label.centre_px * 16))), 40, (255, 255, 0), -1, cv2.LINE_AA, 4)
    return image


def draw_landmarks(picture: Picture) -> np.ndarray:
    """-> a copy of the image with the 68 landmarks: green where seen, red where not."""
    image = picture.image.copy()
    for landmarks in (face.landmarks for face in picture.faces):
        for point, seen in zip(landmarks.px, landmarks.visible, strict=True):
            colour = (60, 255, 60) if seen else (255, 40, 40)
            cv2.circle(image, tuple(map(int, np.round(point * 16))), 20, colour, -1, cv2.LINE_AA, 4)
    return image


def tiled(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Images (h, w, 3) of one size in rows of so many; what is missing in the last row is black."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % min(columns, len(tiles)))
    columns = min(columns, len(tiles))
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--stride", type=int, default=1, help="take every n-th image")
    parser.add_argument("--draw", choices=["axes", "landmarks", "nothing"], default="axes")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    parser.add_argument("--view", type=int, nargs=2, metavar=("W", "H"), help="full frames, as for tests")
    parser.add_argument("--people", type=int, nargs=2, default=(1, 1), help="least and most in a view")
    parser.add_argument("--split", choices=["train", "test"], help="leave out, or use only, assets.HELD_OUT")
    parser.add_argument("--skins", type=Path, help="photo textures, a file of training.render.heads.skins")
    parser.add_argument("--photo-share", type=float, default=0.5)
    args = parser.parse_args()
    studio = Studio(args.data, args.split, skins=args.skins, photo_share=args.photo_share)
    indices = [i * args.stride for i in range(args.rows * args.columns)]
    if args.view:
        pictures = [studio.view(args.seed, i, *args.view, tuple(args.people)) for i in indices]
    else:
        pictures = [studio.picture(args.seed, i, args.size) for i in indices]
    draw = {"axes": draw_axes, "landmarks": draw_landmarks, "nothing": lambda p: p.image}[args.draw]
    sheet = tiled([draw(p) for p in pictures], args.columns)
    Path(args.out).write_bytes(cv2.imencode(Path(args.out).suffix, sheet[..., ::-1])[1].tobytes())


if __name__ == "__main__":
    main()
