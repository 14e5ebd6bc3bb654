"""Find our head frame inside 3DDFA's: where the sellion lies and how long a metre is, in BFM units.

    python -m training.label.calibrate --data ../shared/data        writes training/label/bfm_frame.json

1. The 3D positions X (BFM units, head axes) of YuNet's five key points, by least squares over a few thousand LFW faces:
   key point = (scale R X)[:2] + shift, with the camera of every face and of its mirror image from mb05.
2. The similarity (rotation about x only: both heads are symmetric) that takes the same five points of the ICT-FaceKit
   mean head onto X. ICT is scaled so that its outer eye corners are 0.0900 m apart, the definition of our mean adult.
   It brings over the sellion (landmark 27) and, as a crop outline, the 68 landmarks.
3. The constant offset of every teacher from the teachers' consensus on the same faces.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from training.label.bfm_frame import BFM_FRAME_FILE, TEACHERS, BfmFrame
from training.label.consensus import consensus, estimate, estimate_bias
from training.label.detect import Detector
from training.label.sources import read_photos
from training.label.teachers import Camera, Teachers, box_to_first_crop

OUTER_EYE_CORNERS_M = 0.0900
MIRRORED_KEYPOINTS = [1, 0, 2, 4, 3]  # right eye, left eye, nose, right and left mouth corner
ICT_LANDMARKS = [
    1225,
    1888,
    1052,
    367,
    1719,
    1722,
    2199,
    1447,
    966,
    3661,
    4390,
    3927,
    3924,
    2608,
    3272,
    4088,
    3443,
    268,
    493,
    1914,
    2044,
    1401,
    3615,
    4240,
    4114,
    2734,
    2509,
    978,
    4527,
    4942,
    4857,
    1140,
    2075,
    1147,
    4269,
    3360,
    1507,
    1542,
    1537,
    1528,
    1518,
    1511,
    3742,
    3751,
    3756,
    3721,
    3725,
    3732,
    5708,
    5695,
    2081,
    0,
    4275,
    6200,
    6213,
    6346,
    6461,
    5518,
    5957,
    5841,
    5702,
    5711,
    5533,
    6216,
    6207,
    6470,
    5517,
    5966,
]


def solve_keypoints(camera: Camera, keypoints: np.ndarray) -> np.ndarray:
    """Cameras of N faces, keypoints (N, 5, 2) pixels -> (5, 3) BFM units, symmetric; faces that fit badly are dropped.
    Each face counts the same (its equations are divided by its scale)."""
    A = camera.R[:, :2]  # (N, 2, 3)
    b = (keypoints - camera.shift[:, None]) / camera.scale[:, None, None]  # (N, 5, 2)
    keep = np.ones(len(A), bool)
    for _ in range(4):
        X = np.linalg.lstsq(A[keep].reshape(-1, 3), b[keep].transpose(0, 2, 1).reshape(-1, 5), rcond=None)[0].T
        X = (X + X[MIRRORED_KEYPOINTS] * [-1, 1, 1]) / 2
        residual = np.linalg.norm(X @ A.swapaxes(1, 2) - b, axis=2).max(1)  # worst key point of each face
        keep = residual < 3 * np.median(residual)
    print(f"key points: {keep.sum()} of {len(keep)} faces, median worst residual {np.median(residual) / 1e3:.1f} mm")
    return X


def ict_head_m(data: Path) -> np.ndarray:
    """68 landmarks (68, 3), metres, head axes (x to the subject's left, y down, z backwards), sellion at the origin."""
    neutral = np.load(data / "heads/ict_facekit/ict_facekit_2020.npz")["neutral"][ICT_LANDMARKS].astype(float)
    points = (neutral - neutral[27]) * [1, -1, -1]
    return points * OUTER_EYE_CORNERS_M / np.linalg.norm(points[36] - points[45])


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """(68, 3) -> (5, 3): YuNet's key points from the landmarks (eyes: middle of the lids)."""
    return np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[30], landmarks[48], landmarks[54]])


def fit_similarity(source: np.ndarray, target: np.ndarray):
    """target ~ units_per_metre * Rx(tilt) @ source + (0, y, z) -> (units_per_metre, tilt, origin (3,))."""

    def residual(p):
        c, s = np.cos(p[1]), np.sin(p[1])
        return (
            np.exp(p[0]) * source @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) + [0, p[2], p[3]] - target / 1e6
        ).ravel()

    p = least_squares(residual, np.zeros(4)).x
    print("ICT on BFM, residuals (mm):", (residual(p).reshape(-1, 3) * 1e3).round(1).tolist())
    return np.exp(p[0]) * 1e6, p[1], np.array([0, p[2], p[3]]) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--photos", type=int, default=3000)
    args = parser.parse_args()

    teachers, detector = Teachers(args.data / "weights"), Detector(args.data / "weights")
    photos = list(read_photos(args.data / "photos/lfw.zip"))
    images, boxes, keypoints = [], [], []
    for photo in photos[:: max(1, len(photos) // args.photos)]:
        faces = detector.yunet(photo.image)
        if len(faces) and faces[0, 14] > 0.8:
            images.append(photo.image)
            boxes.append(faces[0, :4])
            keypoints.append(faces[0, 4:14].reshape(5, 2))
    keypoints = np.array(keypoints)
    centre, side = box_to_first_crop(np.array(boxes))

    ict = ict_head_m(args.data)
    for _ in range(2):  # second round: crops from the first round's own estimate
        cameras = [teachers.mb05(images, centre, side, mirror) for mirror in (False, True)]
        both = Camera(*(np.concatenate([getattr(c, f) for c in cameras]) for f in ("R", "scale", "shift")))
        X = solve_keypoints(both, np.concatenate([keypoints, keypoints]))
        units_per_metre, tilt, sellion = fit_similarity(five_points(ict), X)
        c, s = np.cos(tilt), np.sin(tilt)
        landmarks = units_per_metre * ict @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) + sellion
        outline = cameras[0].project(landmarks)
        low, high = outline.min(1), outline.max(1)
        centre, side = (low + high) / 2, 1.25 * (high - low).max(1)

    print(f"units per metre {units_per_metre:.0f}, tilt of ICT {np.degrees(tilt):.2f} deg, sellion {sellion.round()}")
    print(f"eye key points {np.linalg.norm(X[0] - X[1]) / units_per_metre * 1e3:.1f} mm apart; X\n{X.round()}")
    constants = {
        "how": "training/label/calibrate.py; BFM units, axes x to the subject's left, y down, z backwards",
        "units_per_metre": round(units_per_metre),
        "sellion": sellion.round().tolist(),
        "yunet_keypoints": X.round().tolist(),
        "landmarks68": landmarks.round().tolist(),
    }
    BFM_FRAME_FILE.write_text(json.dumps(constants) + "\n")

    R = estimate(teachers, BfmFrame.load(), images, np.array(boxes))[0]
    bias = estimate_bias(R)
    constants["teacher_bias_deg"] = {name: b.round(2).tolist() for name, b in zip(TEACHERS, bias, strict=True)}
    print(
        f"bias {constants['teacher_bias_deg']}; spread (deg) before and after:",
        *(np.percentile(consensus(R, b)[1], [50, 90, 97]).round(1) for b in (0 * bias, bias)),
    )
    BFM_FRAME_FILE.write_text(json.dumps(constants) + "\n")


if __name__ == "__main__":
    main()
