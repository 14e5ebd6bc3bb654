"""docs/results.jpg: what the default says about rendered people that training never saw, turned as they come.

    python -m docs.make_results_picture --shards DIR

DIR: shards of `training.render.make_shards --split test --every-direction`. Only heads with free textures are shown
(MakeHuman), so that the picture may be passed on: the first ones that are large and upright, the least turned first.
"""

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

from hpe_core.config import PipelineConfig
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.output.choices import AXES, CONTOURS, UNCERTAINTY
from hpe_core.output.overlay import draw
from hpe_core.pipeline import Pipeline

OUT = Path(__file__).with_name("results.jpg")
COLUMNS, ROWS, TILE_PX = 5, 2, 240
LEAST_SIZE_PX, UPRIGHT, MARGIN = 60.0, 0.7, 1.4  # MARGIN: half a tile in face sizes
PARTS = (AXES, CONTOURS, UNCERTAINTY)
CAPTION_PX, WHITE, GREY = 24, (255, 255, 255), (50, 50, 50)


def frames(folder, kind="mh"):
    """Yields image (H, W, 3), CameraModel, tile (x0, y0, side), (R_camera_head, t_camera_head_m) of every upright head
    that is large.

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
            camera = CameraModel(image.shape[1], image.shape[0], shard["K"][face].astype(float))
            truth = so3.project_to_rotation(shard["R_camera_head"][face].astype(float)), shard["t_camera_head_m"][face]
            yield image, camera, (*corner, side), truth


def turned_deg(R_camera_head: np.ndarray, centre_m: np.ndarray) -> float:
    """Angle between where a head faces and the direction from it (3,) m to the camera: 0 frontal, 180 from behind."""
    return float(np.degrees(np.arccos(np.clip(R_camera_head[:, 2] @ centre_m / np.linalg.norm(centre_m), -1.0, 1.0))))


def tile(pipeline, image, camera, square, truth):
    """True turn of a head in degrees, and the picture (side, side, 3) of it with what is said of it."""
    x, y, side = square
    R, t = truth
    pipeline.reset()
    faces = pipeline.process(image, camera, 0).faces
    picture = cv2.resize(draw(image, camera, faces, parts=PARTS)[y : y + side, x : x + side], (TILE_PX, TILE_PX))
    true = turned_deg(R, t)
    text = f"turned {true:.0f} deg: not published"
    if faces:
        face = min(faces, key=lambda face: np.linalg.norm(face.pose.t_camera_head_m - t))
        said = turned_deg(face.pose.R_camera_head, face.pose.t_camera_head_m)
        off = np.degrees(so3.geodesic_angle(face.pose.R_camera_head, R))
        text = f"turned {true:.0f} deg: {said:.0f}, error {off:.0f}"
    picture[-CAPTION_PX:] = GREY
    cv2.putText(picture, text, (6, TILE_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    return true, picture


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shards", required=True)
    args = p.parse_args()
    pipeline = Pipeline(PipelineConfig())
    tiles = [tile(pipeline, *frame) for frame in itertools.islice(frames(args.shards), COLUMNS * ROWS)]
    pictures = [picture for _, picture in sorted(tiles, key=lambda one: one[0])]
    rows = [np.hstack(pictures[i : i + COLUMNS]) for i in range(0, COLUMNS * ROWS, COLUMNS)]
    cv2.imwrite(str(OUT), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(OUT)


if __name__ == "__main__":
    main()
