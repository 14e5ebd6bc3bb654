"""Write the bag of two cameras (MCAP): a rendered person who walks through both views and turns, with the true pose.

python -m training.bags.make_two_cameras [--data ../shared/data] [--out assets/two_cameras_bag]
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
from scipy.spatial.transform import Rotation

from hpe_core.geometry.frames import R_head_face, R_optical_body
from hpe_core.geometry.so3 import quat_from_matrix
from training.bags import bag_folder
from training.render import assets, sample

WIDTH, HEIGHT, HFOV_DEG, RATE_HZ, SECONDS = 640, 480, 60.0, 10, 12
START_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00:00 UTC, so that two runs give the same bytes
ROOM_FRAME = "room"  # x to the cameras' wall, y along it to the right camera, z up
JPEG_QUALITY, MAX_BYTES = 76, 5_000_000
LICENCE_NOTE = Path(__file__).resolve().parents[2] / "assets" / "two_cameras_bag" / "README.md"
HEAD_SIZE = 1.04  # of the reference: an ordinary person is not the mean, and one camera cannot know


@dataclass(frozen=True)
class View:
    """A camera of the room: its place, where it points (yaw about z from the room's -x axis), when its images are."""

    name: str
    t_room_camera_m: tuple[float, float, float]
    yaw_deg: float
    delay_ns: int

    @property
    def frame_id(self) -> str:
        """Of its images."""
        return f"{self.name}_optical_frame"

    @property
    def R_room_camera(self) -> np.ndarray:
        """(3, 3) of the optical frame."""
        return Rotation.from_euler("z", 180.0 + self.yaw_deg, degrees=True).as_matrix() @ R_optical_body.T


# free-running cameras: their images are not taken at the same moment
VIEWS = (View("left", (1.2, -0.75, 1.55), -17.0, 0), View("right", (1.2, 0.75, 1.55), 17.0, 37_000_000))


def person_motion(t: float, pivot_head_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time (s) -> (R_room_head, t_room_head_m): walks from the left view through both into the right one, leaves that
    for a moment, and comes back; the head turns all the while.
    """
    along = np.interp(t, [0.0, 1.5, 8.0, 8.9, 9.3, 10.2, 12.0], [-0.8, -0.8, 0.8, 1.55, 1.55, 0.8, 0.6])
    away = 0.08 * np.sin(0.9 * t)
    turn = Rotation.from_euler(
        "ZYX", [34.0 * np.sin(1.15 * t), 13.0 * np.sin(1.7 * t + 0.5), 7.0 * np.sin(0.8 * t)], degrees=True
    )
    R_room_head = turn.as_matrix() @ R_head_face.T  # face frame: x out of the face, z to the scalp
    neck = np.array([away, along, 1.42 + 0.015 * np.sin(5.0 * t)])
    return R_room_head, neck - R_room_head @ pivot_head_m


def render_frames(data: Path, seed: int) -> Iterator[tuple[View, int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (View, stamp in ns from the start, image (h, w, 3) uint8 RGB, R_room_head, t_room_head_m) by stamp."""
    from training.render.studio import Studio

    studio = Studio(data)
    look = replace(studio.model.sample(np.random.default_rng(seed)), extras=(), expression={}, size=HEAD_SIZE)
    head = studio.load(look)
    environment = next(e for e in studio.environments if e.name.startswith("st_fagans"))
    K = sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)
    lamp_room = np.array([0.62, -0.5, 0.6])
    for index in range(RATE_HZ * SECONDS):
        for view in VIEWS:
            stamp_ns = round(index * 1e9 / RATE_HZ) + view.delay_ns
            R_room_head, t_room_head_m = person_motion(stamp_ns * 1e-9, studio.model.pivot_m)
            R_camera_room = view.R_room_camera.T
            R, t = R_camera_room @ R_room_head, R_camera_room @ (t_room_head_m - view.t_room_camera_m)
            R_world_camera = R_optical_body @ view.R_room_camera  # the panorama's frame is an optical one
            scene, _ = sample.sample_scene(
                np.random.default_rng(seed), sample.label(K, R, t), WIDTH, environment, studio.model.pivot_m
            )
            scene = replace(
                scene,
                height=HEIGHT,
                sh=environment.rotated_sh(R_world_camera),
                exposure=0.42 / environment.mean,
                light_dirs=np.array([R_camera_room @ lamp_room, [0.0, 0.0, -1.0]]),
                lights=environment.mean * np.pi * np.array([[0.8], [0.0]]) * np.ones(3),
                gloss=1.0,
                body_rotvec=Rotation.from_matrix(R_room_head.T @ R_head_face.T).as_rotvec(),  # square to the wall
            )
            image = studio.compose(look, head, scene, environment, R_world_camera)[0]
            yield view, stamp_ns, image, R_room_head, t_room_head_m


class RoomBag:
    """rosbag2 folder (MCAP) with the topics that the README in the bag's folder lists."""

    def __init__(self, writer: Writer):
        self._writer, self._store, self._connections = writer, get_typestore(Stores.ROS2_JAZZY), {}

    def write(self, view: View, stamp_ns: int, image: np.ndarray, R_room_head: np.ndarray, t_room_head_m: np.ndarray):
        """One image (h, w, 3) uint8 RGB of a view, and the truth of its moment."""
        from training.render.post import encode_jpeg

        stamp_ns += START_NS
        header, room = (self._header(stamp_ns, frame_id) for frame_id in (view.frame_id, ROOM_FRAME))
        K = sample.pinhole(HFOV_DEG, WIDTH, HEIGHT)
        P = np.hstack([K, np.zeros((3, 1))])
        info = (HEIGHT, WIDTH, "plumb_bob", np.zeros(5), K.ravel(), np.eye(3).ravel(), P.ravel(), 0, 0)
        roi = self._make("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
        quaternion = self._make("geometry_msgs/Quaternion", *map(float, quat_from_matrix(R_room_head @ R_head_face)))
        place = self._make("geometry_msgs/Point", *map(float, t_room_head_m))
        pose = self._make("geometry_msgs/Pose", place, quaternion)
        jpeg = np.frombuffer(encode_jpeg(image, JPEG_QUALITY), np.uint8)
        messages = {
            f"/{view.name}/camera_info": self._make("sensor_msgs/CameraInfo", header, *info, roi),
            f"/{view.name}/image/compressed": self._make("sensor_msgs/CompressedImage", header, "jpeg", jpeg),
            "/truth/person": self._make("geometry_msgs/PoseStamped", room, pose),
        }
        for topic, message in messages.items():
            kind = message.__msgtype__
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
            self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, kind))

    def _header(self, stamp_ns: int, frame_id: str):
        return self._make("std_msgs/Header", self._make("builtin_interfaces/Time", *divmod(stamp_ns, 10**9)), frame_id)

    def _make(self, kind: str, *values):
        return self._store.types[kind.replace("/", "/msg/")](*values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=LICENCE_NOTE.parent)
    parser.add_argument("--seed", type=int, default=4, help="the person")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()

    def write(folder: Path):
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            bag = RoomBag(writer)
            for frame in render_frames(args.data, args.seed):
                bag.write(*frame)

    return bag_folder.build(args.out, LICENCE_NOTE, MAX_BYTES, write)


if __name__ == "__main__":
    sys.exit(main())
