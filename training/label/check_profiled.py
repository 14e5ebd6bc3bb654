"""Does mb05, which saw only the original photos' labels, agree with the rotation of the profiled faces?

python -m training.label.check_profiled --data ../shared/data --shards DIR [--step 20]
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np

from hpe_core.geometry.euler import aflw2000
from hpe_core.geometry.so3 import rotvec_from_matrix
from training.data.shards import read_shards
from training.label.bfm_frame import BfmFrame
from training.label.consensus import outline_box, position_and_size
from training.label.make_shards import SIZE_PER_BOX
from training.label.teachers import Teachers, geodesic_deg, mean_camera


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--step", type=int, default=20, help="look at every n-th image")
    args = parser.parse_args()

    teachers, frame = Teachers(args.data / "weights"), BfmFrame.load()
    items = list(islice(read_shards(args.shards), 0, None, args.step))
    images, labels = [i[0] for i in items], [max(i[3], key=lambda f: f.weight) for i in items]
    R = np.array([f.R_local for f in labels])
    size, centre = np.array([f.size_px for f in labels]), np.array([f.centre_px for f in labels])

    first = teachers.mb05(images, centre, 1.58 / SIZE_PER_BOX * size)
    box = outline_box(first, frame)
    crop = box[:, :2] + box[:, 2:] / 2, 1.25 * box[:, 2:].max(1)
    camera = mean_camera([teachers.mb05(images, *crop, mirror) for mirror in (False, True)])
    found_centre, found_size = position_and_size(camera, frame)
    offset = (found_centre - centre) / size[:, None]

    angles, found = aflw2000.from_matrix(R), aflw2000.from_matrix(camera.R)
    side = np.sign(angles.yaw)
    tilt = np.degrees(rotvec_from_matrix(R.swapaxes(1, 2) @ camera.R))  # in head axes
    yaw_excess, geodesic = side * (found.yaw - angles.yaw), geodesic_deg(R, camera.R)
    print(
        "|yaw|      n  found-label: yaw (median)  head axes x, y*side, z*side (median)  geodesic median, 90 %   "
        "centre x*side, y (median, of size)  size ratio"
    )
    for low in range(0, 100, 10):
        m = (np.abs(angles.yaw) >= low) & (np.abs(angles.yaw) < low + 10)
        if m.sum():
            t = np.median(tilt[m] * np.stack([side[m] ** 0, side[m], side[m]], 1), 0)
            o = np.median(offset[m] * np.stack([side[m], side[m] ** 0], 1), 0)
            print(
                f"{low:3d}-{low + 10:3d} {m.sum():5d} {np.median(yaw_excess[m]):10.1f}    {t.round(1)}   "
                f"{np.median(geodesic[m]):6.1f} {np.percentile(geodesic[m], 90):6.1f}   {o.round(3)}   "
                f"{np.median(found_size[m] / size[m]):.3f}"
            )


if __name__ == "__main__":
    main()
