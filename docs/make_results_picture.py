"""docs/results.jpg: what `fusion` says about rendered people that training never saw.

    python -m docs.make_results_picture --shards DIR

DIR: shards of `training.render.make_shards --split test`. Only heads with free textures are shown (MakeHuman), so that
the picture may be passed on.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from hpe_core.config import PipelineConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.output.overlay import draw
from hpe_core.pipeline import Pipeline

OUT = Path(__file__).with_name("results.jpg")
COLUMNS, ROWS, TILE_PX = 5, 2, 240
LEAST_SIZE_PX, UPRIGHT, MARGIN = 60.0, 0.7, 1.4  # MARGIN: half a tile in face sizes


def frames(folder, kind="mh"):
    """Yields image (H, W, 3), CameraModel and the tile (x0, y0, side) of every upright head that is large.

    kind: how the names of heads begin, of MakeHuman's or of ICT-FaceKit's (`ict`).
    """
    for path in sorted(Path(folder).glob("shard_*.npz")):
        with np.load(path) as shard:
            shard = {key: shard[key] for key in shard.files}
        for face, index in enumerate(shard["face_image"]):
            size, upright = shard["size_px"][face], shard["R_camera_head"][face, 1, 1] > UPRIGHT
            if not str(shard["person"][index]).startswith(kind) or size < LEAST_SIZE_PX or not upright:
                continue
            jpeg = shard["blob"][shard["offset"][index] : shard["offset"][index + 1]]
            image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
            side = int(min(2 * MARGIN * size, *image.shape[:2]))
            corner = np.clip(shard["centre_px"][face] - side / 2, 0, np.array(image.shape[1::-1]) - side).astype(int)
            yield image, CameraModel(image.shape[1], image.shape[0], shard["K"][face].astype(float)), (*corner, side)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shards", required=True)
    p.add_argument("--skip", type=int, default=0, help="frames to leave out at the start")
    args = p.parse_args()
    pipeline, tiles = Pipeline(PipelineConfig()), []
    for number, (image, camera, (x, y, side)) in enumerate(frames(args.shards)):
        if number < args.skip:
            continue
        pipeline.reset()
        picture = draw(image, camera, pipeline.process(image, camera, 0).faces)
        tiles.append(cv2.resize(picture[y : y + side, x : x + side], (TILE_PX, TILE_PX)))
        if len(tiles) == COLUMNS * ROWS:
            break
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, COLUMNS * ROWS, COLUMNS)]
    cv2.imwrite(str(OUT), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(OUT)


if __name__ == "__main__":
    main()
