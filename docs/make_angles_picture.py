"""Draws docs/angles.png: what the signs of yaw, pitch and roll mean. python -m docs.make_angles_picture [--data DIR]

One rendered head, three rows (yaw, pitch, roll), each at -30, 0 and +30 degrees, as the camera sees it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from docs.make_frames_picture import BACKGROUND, FONT, INK, rendered_heads
from hpe_core.geometry.euler import EulerDeg
from training.render import assets

OUT = Path(__file__).resolve().parent / "angles.png"
TURN_DEG = 30
NAME_PX, TEXT_PX, CROP_PX = 120, 34, 40
ACCENT = (50, 50, 225)
OUT_OF_THE_FACE, TO_THE_SCALP = (0.0, 0.0, -0.16), (0.0, -0.1, 0.0)  # in the head frame, metres
ROWS = {  # what the arrow shows, below 0, above 0
    "yaw": (OUT_OF_THE_FACE, "turned to the image's right", "turned to the image's left"),
    "pitch": (OUT_OF_THE_FACE, "looks down", "looks up"),
    "roll": (TO_THE_SCALP, "tilted counter-clockwise", "tilted clockwise"),
}
FRONTAL = "0: looks into the camera, upright"


def turns():
    """EulerDeg of the nine heads, row by row."""
    for name in ROWS:
        for angle in (-TURN_DEG, 0, TURN_DEG):
            yield EulerDeg(**(dict.fromkeys(ROWS, 0.0) | {name: float(angle)}))


def panel(image, camera, R_camera_head, t_camera_head_m, tip_head_m, text):
    """The head with an arrow from the nose root to a point of the head frame (metres); what the sign means below."""
    canvas = image.copy()
    start, end = (
        tuple(np.round(camera.project(t_camera_head_m + R_camera_head @ np.array(tip))).astype(int).tolist())
        for tip in ([0.0, 0.0, 0.0], tip_head_m)
    )
    if np.hypot(end[0] - start[0], end[1] - start[1]) > 12:
        cv2.arrowedLine(canvas, start, end, ACCENT, 4, cv2.LINE_AA, tipLength=0.18)
    else:  # an arrow that points into the camera is seen from its tip
        cv2.circle(canvas, start, 9, (BACKGROUND,) * 3, -1, cv2.LINE_AA)
        cv2.circle(canvas, start, 9, ACCENT, 3, cv2.LINE_AA)
        cv2.circle(canvas, start, 3, ACCENT, -1, cv2.LINE_AA)
    canvas = canvas[: canvas.shape[0] - CROP_PX]
    canvas = cv2.copyMakeBorder(canvas, 0, TEXT_PX, 0, 0, cv2.BORDER_CONSTANT, value=(BACKGROUND,) * 3)
    width = cv2.getTextSize(text, FONT, 0.55, 1)[0][0]
    place = ((canvas.shape[1] - width) // 2, canvas.shape[0] - 12)
    cv2.putText(canvas, text, place, FONT, 0.55, INK, 1, cv2.LINE_AA)
    return canvas


def row(name, heads):
    """The three heads of one angle beside each other, its name at the left."""
    tip_head_m, negative, positive = ROWS[name]
    texts = (f"-{TURN_DEG}: {negative}", FRONTAL, f"+{TURN_DEG}: {positive}")
    panels = [panel(*head, tip_head_m, text) for head, text in zip(heads, texts, strict=True)]
    label = np.full((panels[0].shape[0], NAME_PX, 3), BACKGROUND, np.uint8)
    cv2.putText(label, name, (18, label.shape[0] // 2), FONT, 1.0, INK, 2, cv2.LINE_AA)
    return np.hstack([label, *panels])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=assets.DEFAULT_DATA, help="folder with heads/ and hdri/")
    p.add_argument("--out", type=Path, default=OUT)
    args = p.parse_args()
    heads = list(rendered_heads(args.data, turns()))
    rows = [row(name, heads[3 * i : 3 * i + 3]) for i, name in enumerate(ROWS)]
    cv2.imwrite(str(args.out), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{args.out}: {args.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
