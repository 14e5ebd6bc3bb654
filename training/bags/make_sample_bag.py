"""Write the sample rosbag2 (MCAP): a rendered head that turns for ten seconds, with its true pose.

python -m training.bags.make_sample_bag [--data ../shared/data] [--out assets/sample_bag]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.frames import face_from_head
from hpe_core.geometry.so3 import quat_from_matrix
from training.bags import bag_folder
from training.render import assets, sample

WIDTH, HEIGHT, HFOV_DEG, RATE_HZ, SECONDS = 640, 480, 60.0, 15, 10
START_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00:00 UTC, so that two runs give the same bytes
CAMERA_FRAME, FACE_FRAME = "camera_optical_frame", "face_truth"
JPEG_QUALITY, MAX_BYTES = 85, 5_000_000
LICENCE_NOTE = Path(__file__).resolve().parents[2] / "assets" / "sample_bag" / "README.md"


def head_motion(t: float, pivot_head_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time (s) -> (R_camera_head, t_camera_head_m): a smooth turn about the neck, which sways a little itself."""
    ramp = np.sin(np.pi * np.clip(t / SECONDS, 0, 1)) ** 0.5  # starts and ends near frontal
    wave = 2 * np.pi * t / SECONDS
    angles = EulerDeg(
        yaw=52 * ramp * np.sin(2 * wave),
        pitch=25 * ramp * np.sin(3 * wave + 0.6),
        roll=15 * ramp * np.sin(5 * wave + 1.2),
    )
    R_camera_head = aflw2000.to_matrix(angles)
    neck = np.array([0.07 * np.sin(wave), 0.08 + 0.02 * np.sin(3 * wave), 0.79 + 0.12 * np.sin(2 * wave + 2.0)])
    return R_camera_head, neck - R_camera_head @ pivot_head_m


def render_frames(data: Path, seed: int):
    """Yield (index, image (h, w, 3) uint8 RGB, R_camera_head, t_camera_head_m)."""
    from training.render.studio import Studio

    studio = Studio(data)
    rng = np.random.default_rng(seed)
    look = replace(studio.model.sample(rng), extras=(), expression={})
    head = studio.load(look)
    environment = next(e for e in studio.environments if e.name.startswith("st_fagans"))
    K = sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)
    R_world_camera = Rotation.from_euler("Y", 0, degrees=True).as_matrix()
    key_light = np.array([[-0.5, -0.6, -0.62], [0.0, 0.0, -1.0]])
    strength = environment.mean * np.pi * np.array([[0.8], [0.0]]) * np.ones(3)
    body = aflw2000.to_matrix(EulerDeg(0.0, 0.0, 0.0))
    for index in range(RATE_HZ * SECONDS):
        R, t = head_motion(index / RATE_HZ, studio.model.pivot_m)
        label = sample.label(K, R, t)
        scene, _ = sample.sample_scene(np.random.default_rng(seed), label, WIDTH, environment, studio.model.pivot_m)
        scene = replace(
            scene,
            height=HEIGHT,
            sh=environment.rotated_sh(R_world_camera),
            exposure=0.42 / environment.mean,
            light_dirs=key_light,
            lights=strength,
            gloss=1.0,
            body_rotvec=Rotation.from_matrix(R.T @ body).as_rotvec(),
        )
        yield index, studio.compose(look, head, scene, environment, R_world_camera)[0], R, t


def write_bag(folder: Path, frames):
    """frames as from render_frames -> a rosbag2 folder (MCAP)."""
    from training.render.post import encode_jpeg

    store = get_typestore(Stores.ROS2_JAZZY)
    msg = {
        name.rsplit("/", 1)[1]: name
        for name in (
            "sensor_msgs/msg/CompressedImage",
            "sensor_msgs/msg/CameraInfo",
            "sensor_msgs/msg/RegionOfInterest",
            "geometry_msgs/msg/PoseStamped",
            "geometry_msgs/msg/Pose",
            "geometry_msgs/msg/Point",
            "geometry_msgs/msg/Quaternion",
            "geometry_msgs/msg/Transform",
            "geometry_msgs/msg/TransformStamped",
            "geometry_msgs/msg/Vector3",
            "tf2_msgs/msg/TFMessage",
            "std_msgs/msg/Header",
            "builtin_interfaces/msg/Time",
        )
    }

    def make(name, *values):
        return store.types[msg[name]](*values)

    K = sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)
    P = np.hstack([K, np.zeros((3, 1))])
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {
            topic: writer.add_connection(topic, msg[name], typestore=store)
            for topic, name in (
                ("/camera/image/compressed", "CompressedImage"),
                ("/camera/camera_info", "CameraInfo"),
                ("/truth/head_pose", "PoseStamped"),
                ("/tf", "TFMessage"),
            )
        }
        for index, image, R_camera_head, t in frames:
            stamp_ns = START_NS + round(index * 1e9 / RATE_HZ)
            header = make("Header", make("Time", stamp_ns // 10**9, stamp_ns % 10**9), CAMERA_FRAME)
            quaternion = make("Quaternion", *(float(q) for q in quat_from_matrix(face_from_head(R_camera_head))))
            t = [float(x) for x in t]
            jpeg = np.frombuffer(encode_jpeg(image, JPEG_QUALITY), np.uint8)
            info = make(
                "CameraInfo",
                header,
                HEIGHT,
                WIDTH,
                "plumb_bob",
                np.zeros(5),
                K.ravel(),
                np.eye(3).ravel(),
                P.ravel(),
                0,
                0,
                make("RegionOfInterest", 0, 0, 0, 0, False),
            )
            transform = make("TransformStamped", header, FACE_FRAME, make("Transform", make("Vector3", *t), quaternion))
            for topic, message in (
                ("/camera/camera_info", info),
                ("/camera/image/compressed", make("CompressedImage", header, "jpeg", jpeg)),
                ("/truth/head_pose", make("PoseStamped", header, make("Pose", make("Point", *t), quaternion))),
                ("/tf", make("TFMessage", [transform])),
            ):
                writer.write(topics[topic], stamp_ns, store.serialize_cdr(message, message.__msgtype__))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=LICENCE_NOTE.parent)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()
    return bag_folder.build(
        args.out, LICENCE_NOTE, MAX_BYTES, lambda folder: write_bag(folder, render_frames(args.data, args.seed))
    )


if __name__ == "__main__":
    sys.exit(main())
