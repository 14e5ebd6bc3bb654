"""Write a rosbag2 (MCAP) of an RGB-D camera: rendered people of different head sizes, with true poses.

python -m training.bags.make_rgbd --out DIR [--data ../shared/data] [--people 12] [--frames 36] [--depth-for-s S]

One person after the other walks, turns the head and goes; two seconds lie between them. /camera/image/compressed and
/camera/depth/image_raw (16UC1, registered, with the errors of a stereo camera; of the first S seconds of each person)
have the same stamps and one /camera/camera_info; /truth/head_pose is the REP-155 face frame. To measure:

hpe run DIR --out ours && hpe eval bag DIR --estimate ours/poses.csv --truth /truth/head_pose --gate 0.6
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.frames import face_from_head
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.geometry.so3 import quat_from_matrix
from training.bags import bag_folder
from training.render import assets, sample
from training.render.stereo import Stereo, pixel_depth_m

WIDTH, HEIGHT, HFOV_DEG, RATE_HZ, BETWEEN_S = 640, 480, 60.0, 15, 2.0
RANGE_M, SIZES, SPEED_M_S, WALL_M = (0.4, 4.0), (0.9, 1.1), 0.4, 1.2  # the wall stands so far behind the head
START_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00:00 UTC, so that two runs give the same bytes
STEREO = Stereo()
CAMERA_FRAME, JPEG_QUALITY, MAX_BYTES = "camera_optical_frame", 90, 1 << 30


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment: image (h, w, 3) uint8 RGB, depth (h, w) uint16 mm or None, true pose of the head."""

    stamp_ns: int
    image: np.ndarray
    depth_mm: np.ndarray | None
    R_camera_head: np.ndarray
    t_camera_head_m: np.ndarray


@dataclass(frozen=True)
class Walk:
    """How one person moves in front of the camera: seconds -> pose."""

    start_m: float
    speed_m_s: float
    pixel: np.ndarray  # (2,) where the face centre is about
    phase: np.ndarray  # (6,)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Walk:
        start_m = float(np.exp(rng.uniform(*np.log(RANGE_M))))
        towards = -1.0 if start_m > np.sqrt(RANGE_M[0] * RANGE_M[1]) else 1.0
        pixel = rng.uniform([0.35 * WIDTH, 0.4 * HEIGHT], [0.65 * WIDTH, 0.6 * HEIGHT])
        return cls(start_m, towards * rng.uniform(0.0, SPEED_M_S), pixel, rng.uniform(0.0, 2.0 * np.pi, 6))

    def pose(self, t: float, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R_camera_head (3, 3), t_camera_head_m (3,)) after t seconds."""
        wave = np.sin(2.0 * np.pi * t * np.array([0.5, 0.4, 0.3, 0.3, 0.4, 0.5]) + self.phase)
        ray = np.linalg.solve(K, [*(self.pixel + 15.0 * wave[:2]), 1.0])
        ray /= np.linalg.norm(ray)
        range_m = np.clip(self.start_m + self.speed_m_s * t, *RANGE_M)
        angles = EulerDeg(yaw=40.0 * wave[2], pitch=18.0 * wave[3], roll=10.0 * wave[4])
        R = lookat_rotation(ray).T @ aflw2000.to_matrix(angles)
        return R, range_m * ray - R @ FACE_CENTRE_M


def shots(
    data: Path, seed: int, people: int, frames: int, depth_for_s: float, stereo: Stereo = STEREO
) -> Iterator[Shot]:
    """The Shots of people, one after the other, with depth in the first seconds of each."""
    from training.render.studio import Studio

    studio, K = Studio(data), sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)
    fixed = stereo.noise(np.random.default_rng([seed, 1]), HEIGHT, WIDTH)
    sizes = np.random.default_rng([seed, 2]).permutation(np.linspace(*SIZES, people))
    for person in range(people):
        rng = np.random.default_rng([seed, 0, person])
        look = replace(studio.model.sample(rng), size=float(sizes[person]))
        look = replace(look, extras=tuple(name for name in look.extras if name == "glasses"))
        head, walk = studio.load(look), Walk.sample(rng)
        environment = studio.environments[person % len(studio.environments)]
        light = int(rng.integers(1 << 31))
        for index in range(frames):
            R, t = walk.pose(index / RATE_HZ, K)
            lights = np.random.default_rng(light)  # the same in all frames
            label = sample.label(K, R, t)
            scene, R_world_camera = sample.sample_scene(lights, label, WIDTH, environment, studio.model.pivot_m)
            scene = replace(scene, height=HEIGHT)
            image = studio.compose(look, head, scene, environment, R_world_camera)[0]
            depth_m = np.minimum(pixel_depth_m(studio.renderer.depth_m(scene)), t[2] + WALL_M)
            seconds = person * (frames / RATE_HZ + BETWEEN_S) + index / RATE_HZ
            stamp_ns = START_NS + round(seconds * 1e9)
            has_depth = index / RATE_HZ < depth_for_s
            yield Shot(stamp_ns, image, stereo.image(rng, depth_m, K[0, 0], fixed) if has_depth else None, R, t)


def write_bag(folder: Path, of: Iterator[Shot]) -> None:
    """rosbag2 folder (MCAP)."""
    from training.render.post import encode_jpeg

    store, K = get_typestore(Stores.ROS2_JAZZY), sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)

    def make(kind, *values):
        return store.types[kind.replace("/", "/msg/")](*values)

    roi = make("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
    P = np.hstack([K, np.zeros((3, 1))])
    calibration = (HEIGHT, WIDTH, "plumb_bob", np.zeros(5), K.ravel(), np.eye(3).ravel(), P.ravel(), 0, 0, roi)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for shot in of:
            header = make(
                "std_msgs/Header", make("builtin_interfaces/Time", *divmod(shot.stamp_ns, 10**9)), CAMERA_FRAME
            )
            quaternion = quat_from_matrix(face_from_head(shot.R_camera_head))
            pose = make(
                "geometry_msgs/Pose",
                make("geometry_msgs/Point", *map(float, shot.t_camera_head_m)),
                make("geometry_msgs/Quaternion", *map(float, quaternion)),
            )
            jpeg = np.frombuffer(encode_jpeg(shot.image, JPEG_QUALITY), np.uint8)
            messages = {
                "/camera/camera_info": make("sensor_msgs/CameraInfo", header, *calibration),
                "/camera/image/compressed": make("sensor_msgs/CompressedImage", header, "jpeg", jpeg),
                "/truth/head_pose": make("geometry_msgs/PoseStamped", header, pose),
            }
            if shot.depth_mm is not None:
                depth = (HEIGHT, WIDTH, "16UC1", 0, 2 * WIDTH, shot.depth_mm.astype("<u2").view(np.uint8).ravel())
                messages["/camera/depth/image_raw"] = make("sensor_msgs/Image", header, *depth)
            for topic, message in messages.items():
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], shot.stamp_ns, store.serialize_cdr(message, kind))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--frames", type=int, default=36, help="per person")
    parser.add_argument("--depth-for-s", type=float, default=np.inf, metavar="S", help="seconds of depth per person")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def write(folder):
        write_bag(folder, shots(args.data, args.seed, args.people, args.frames, args.depth_for_s))

    return bag_folder.build(args.out, args.out / "README.md", MAX_BYTES, write)


if __name__ == "__main__":
    sys.exit(main())
