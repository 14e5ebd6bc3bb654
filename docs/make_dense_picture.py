"""docs/dense.jpg: what `dense` says about rendered people that training never saw: mesh, normals, movements.

    python -m docs.make_dense_picture --shards DIR

DIR: shards of `training.render.make_shards --view 640 480 --facing --bare --split test --photo-share 1` with skins that
may be passed on (`training.render.heads.drawn_skins`).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from docs.make_results_picture import frames
from hpe_core.config import EstimatorConfig, PipelineConfig
from hpe_core.mesh.head_model import shipped
from hpe_core.output.overlay import draw
from hpe_core.pipeline import Pipeline

OUT = Path(__file__).with_name("dense.jpg")
ROWS, TILE_PX, BARS = 4, 230, 9
EXPRESSIVE, MARGIN = 0.4, 0.05  # of the strongest movement, at least; about a face, of the tile
PICTURES = ((), ("mesh", "landmarks"), ("normals",), ("wireframe", "axes"))
_INK, _BAR = (40, 40, 40), (200, 130, 60)


def bars(expression: np.ndarray) -> np.ndarray:
    """The strongest movements of an expression (53,), as a tile."""
    tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    step = TILE_PX // (BARS + 1)
    for row, k in enumerate(np.argsort(-expression)[:BARS], 1):
        y = row * step
        cv2.rectangle(tile, (125, y - 9), (125 + int(95 * expression[k]), y + 3), _BAR, -1)
        cv2.putText(tile, shipped().expression_names[k], (4, y), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _INK, 1, cv2.LINE_AA)
    return tile


def cut_off(box_px: np.ndarray, x: int, y: int, side: int) -> bool:
    """Whether a box (x0, y0, x1, y1) reaches out of the middle of a tile."""
    inner = np.array([x, y, x + side, y + side]) + side * MARGIN * np.array([1, 1, -1, -1])
    return bool((box_px[:2] < inner[:2]).any() or (box_px[2:] > inner[2:]).any())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shards", required=True)
    p.add_argument("--skip", type=int, default=0, help="heads to leave out at the start")
    args = p.parse_args()
    pipeline, rows = Pipeline(PipelineConfig(EstimatorConfig(model="dense"))), []
    for number, (image, camera, (x, y, side), _) in enumerate(frames(args.shards, "ict")):
        if number < args.skip:
            continue
        pipeline.reset()
        faces = pipeline.process(image, camera, 0).faces
        if not faces or faces[0].shape.expression.max() < EXPRESSIVE or cut_off(faces[0].box_px, x, y, side):
            continue
        pictures = [draw(image, camera, faces, parts=parts) for parts in PICTURES]
        tiles = [cv2.resize(one[y : y + side, x : x + side], (TILE_PX, TILE_PX)) for one in pictures]
        rows.append(np.hstack([*tiles, bars(faces[0].shape.expression)]))
        if len(rows) == ROWS:
            break
    cv2.imwrite(str(OUT), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(OUT)


if __name__ == "__main__":
    main()
