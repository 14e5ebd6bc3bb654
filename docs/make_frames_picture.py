"""Draws docs/frames.png: the axes of every frame on one rendered head. python -m docs.make_frames_picture [--data DIR]

The head is turned by yaw 35, pitch 12, roll -8 degrees (AFLW2000), 0.65 m before the camera.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hpe_core.geometry import frames, head
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from training.render import assets, sample

OUT = Path(__file__).resolve().parent / "frames.png"
SIDE_PX, HFOV_DEG, RANGE_M, AXIS_M = 320, 30.0, 0.65, 0.09
ANGLES = EulerDeg(yaw=35.0, pitch=12.0, roll=-8.0)
BACKGROUND, INK = 242, (40, 40, 40)
# x, y, z; BGR, red green blue as everywhere in ROS
COLOURS = ((50, 50, 225), (60, 160, 40), (225, 110, 30))
FONT = cv2.FONT_HERSHEY_DUPLEX


def rendered_heads(data: Path, turns):
    """For each EulerDeg of turns: (image (SIDE_PX, SIDE_PX, 3) uint8 BGR on a plain ground, CameraModel, R_camera_head,
    t_camera_head_m) of the same head, whose body stays upright and frontal."""
    from training.render.studio import Studio

    studio, rng = Studio(data), np.random.default_rng(2)
    look = replace(studio.model.sample(rng), extras=(), expression={}, hair="short01")
    loaded = studio.load(look)
    for angles in turns:
        yield _rendered(studio, look, loaded, aflw2000.to_matrix(angles))


def _rendered(studio, look, loaded, R):
    K = sample.pinhole(HFOV_DEG, SIDE_PX, SIDE_PX)
    label = sample.label(K, R, np.array([0.0, 0.01, RANGE_M]) - R @ head.FACE_CENTRE_M)
    environment = next(e for e in studio.environments if e.name.startswith("st_fagans"))
    scene, _ = sample.sample_scene(np.random.default_rng(0), label, SIDE_PX, environment, studio.model.pivot_m)
    key_light = np.array([[-0.5, -0.6, -0.62], [0.0, 0.0, -1.0]])
    strength = environment.mean * np.pi * np.array([[0.8], [0.0]]) * np.ones(3)
    scene = replace(
        scene,
        sh=environment.rotated_sh(np.eye(3)),
        exposure=0.5 / environment.mean,
        light_dirs=key_light,
        lights=strength,
        gloss=1.0,
        body_rotvec=Rotation.from_matrix(R.T).as_rotvec(),
        hat_plane=loaded.hat_plane,
    )
    rgba = studio.renderer.draw(loaded.parts, look, scene)
    ground = BACKGROUND * (1.0 - rgba[..., 3:] / 255.0)
    image = np.clip(rgba[..., :3] + ground + 0.5, 0, 255).astype(np.uint8)
    return image[..., ::-1].copy(), CameraModel(SIDE_PX, SIDE_PX, K), R, label.t_camera_head_m


def panel(image, camera, R_camera_frame, t_camera_frame_m, title, text):
    """A copy of the image with the axes of one frame, its name above and its meaning below."""
    canvas = cv2.copyMakeBorder(image, 34, 30, 0, 0, cv2.BORDER_CONSTANT, value=(BACKGROUND,) * 3)
    tips = t_camera_frame_m + AXIS_M * R_camera_frame.T  # row i: the tip of axis i
    start = camera.project(t_camera_frame_m) + (0, 34)
    for axis in np.argsort(-tips[:, 2]):  # the far ones first
        _axis(canvas, start, camera.project(tips[axis]) + (0, 34), "xyz"[axis], COLOURS[axis])
    return _titled(canvas, title, text)


def camera_panel(image, title, text):
    """A copy of the image with the axes of the camera in its corner: x, y as in the image, z into it."""
    canvas = cv2.copyMakeBorder(image, 34, 30, 0, 0, cv2.BORDER_CONSTANT, value=(BACKGROUND,) * 3)
    corner = np.array([34.0, 70.0])
    _axis(canvas, corner, corner + (75, 0), "x", COLOURS[0])
    _axis(canvas, corner, corner + (0, 75), "y", COLOURS[1])
    x, y = corner.astype(int).tolist()
    cv2.circle(canvas, (x, y), 10, (BACKGROUND,) * 3, -1, cv2.LINE_AA)
    cv2.circle(canvas, (x, y), 10, COLOURS[2], 2, cv2.LINE_AA)
    for dx in (-6, 6):  # the feathers of an arrow that flies away
        cv2.line(canvas, (x - dx, y - 6), (x + dx, y + 6), COLOURS[2], 2, cv2.LINE_AA)
    cv2.putText(canvas, "z", (x - 24, y - 10), FONT, 0.6, COLOURS[2], 1, cv2.LINE_AA)
    return _titled(canvas, title, text)


def _axis(canvas, start, end, name, colour):
    first, last = np.round(start).astype(int).tolist(), np.round(end).astype(int).tolist()
    cv2.arrowedLine(canvas, first, last, colour, 3, cv2.LINE_AA, tipLength=0.18)
    beyond = (end - start) / max(np.linalg.norm(end - start), 1.0)
    x, y = np.round(end + 14 * beyond + (-5, 5)).astype(int).tolist()
    cv2.putText(canvas, name, (x, y), FONT, 0.6, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.putText(canvas, name, (x, y), FONT, 0.6, colour, 1, cv2.LINE_AA)


def _titled(canvas, title, text):
    cv2.putText(canvas, title, (10, 23), FONT, 0.6, INK, 1, cv2.LINE_AA)
    cv2.putText(canvas, text, (10, canvas.shape[0] - 10), FONT, 0.42, INK, 1, cv2.LINE_AA)
    return canvas


def picture(image, camera, R_camera_head, t_camera_head_m):
    """The four panels beside each other."""
    face, gaze = frames.face_from_head(R_camera_head), frames.gaze_from_head(R_camera_head)
    t = t_camera_head_m
    return np.hstack(
        [
            camera_panel(image, "camera optical frame", "x right, y down, z into the picture"),
            panel(
                image, camera, R_camera_head, t, "head frame (hpe_core)", "x subject's left, y down, z into the skull"
            ),
            panel(image, camera, face, t, "face_<id> (REP-155)", "x out of the face, y subject's left, z up"),
            panel(image, camera, gaze, t, "gaze_<id> (REP-155)", "z along the gaze, x subject's right, y down"),
        ]
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=assets.DEFAULT_DATA, help="folder with heads/ and hdri/")
    p.add_argument("--out", type=Path, default=OUT)
    args = p.parse_args()
    cv2.imwrite(str(args.out), picture(*next(rendered_heads(args.data, [ANGLES]))), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{args.out}: {args.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
