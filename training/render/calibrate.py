"""Measure the constant rotation between the mesh axes and the teachers' (BFM) frame on near-frontal renders.

Prints the x rotation to write into head.PITCH_MESH_DEG (with --skins: ict.PITCH_ICT_DEG; y and z must be zero by
symmetry; they are printed as a check), and how position and size labels agree with 3DDFA's camera.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.label.consensus import BfmFrame, consensus, estimate, position_and_size
from training.label.detect import Detector
from training.label.teachers import Teachers
from training.render import assets, sample
from training.render.studio import Studio


def near_frontal(studio: Studio, seed: int, number: int, limit_deg: float, size: int = 256):
    """-> (image BGR, label): a random person without occluders in mid-image, every angle within limit_deg."""
    rng = np.random.default_rng([seed, 2, number])
    look = replace((studio.photo or studio.model).sample(rng), extras=())
    head = studio.load(look)
    K = sample.pinhole(25, size, size)
    yaw, pitch, roll = rng.uniform(-limit_deg, limit_deg, 3)
    R = aflw2000.to_matrix(EulerDeg(yaw, pitch, roll))
    centre = np.array([0, 0, K[0, 0] * REFERENCE_LENGTH_M / 130])
    label = sample.label(K, R, centre - R @ FACE_CENTRE_M)
    environment = studio.environments[rng.integers(len(studio.environments))]
    scene, R_world_camera = sample.sample_scene(rng, label, size, environment, studio.model.pivot_m)
    image, _ = studio.compose(look, head, scene, environment, R_world_camera)
    return np.ascontiguousarray(image[..., ::-1]), label


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--skins", type=Path, help="measure ICT-FaceKit heads with these photo textures instead")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    studio, detector = Studio(args.data, skins=args.skins), Detector(args.data / "weights")
    teachers, frame = Teachers(args.data / "weights"), BfmFrame.load()
    images, boxes, labels = [], [], []
    for number in range(args.images):
        image, label = near_frontal(studio, 77, number, args.limit)
        faces = detector.yunet(image)
        if len(faces) and faces[0, 14] > 0.7:
            images.append(image)
            boxes.append(faces[0, :4])
            labels.append(label)
    R, camera = estimate(teachers, frame, images, np.array(boxes))
    mean, spread = consensus(R, frame.teacher_bias_deg)
    truth = np.array([a.R_local for a in labels])
    print(f"{len(images)} of {args.images} renders detected; teachers' spread {np.median(spread):.1f} deg (median)")
    for name, estimated in [("mb05", R[:, 0]), ("b66", R[:, 1]), ("fsanet", R[:, 2]), ("consensus", mean)]:
        vectors = np.degrees(Rotation.from_matrix(truth.swapaxes(1, 2) @ estimated).as_rotvec())
        median, spread = np.median(vectors, 0), 1.48 * np.median(np.abs(vectors - np.median(vectors, 0)), 0)
        error = 1.25 * spread / np.sqrt(len(vectors))
        print(
            f"{name:9s} truth^T teacher: median x {median[0]:+.2f} +- {error[0]:.2f}, y {median[1]:+.2f}, "
            f"z {median[2]:+.2f} deg; scatter {spread.round(1)}"
        )
    centre, size = position_and_size(camera, frame)
    true_size = np.array([a.size_px for a in labels])
    shift = (centre - [a.centre_px for a in labels]) / true_size[:, None]
    in_head = np.einsum("nji,nj->ni", truth, np.column_stack([shift, 0 * shift[:, 0]]))
    print(
        f"size teacher / truth: median {np.median(size / true_size):.3f}; "
        f"C shift in head axes / size_px: {np.median(in_head, 0).round(3)}"
    )


if __name__ == "__main__":
    main()
