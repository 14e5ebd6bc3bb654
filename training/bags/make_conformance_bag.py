"""Write the conformance bag (MCAP): one still image per named head pose, with its truth, for tests of axes and signs.

python -m training.bags.make_conformance_bag [--data ../shared/data] [--out assets/conformance_bag]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.frames import face_from_head
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.geometry.so3 import quat_from_matrix
from training.bags import bag_folder
from training.render import assets, sample

WIDTH, HEIGHT = 640, 480
# a wide lens: K and D hold for the raw image, RECTIFIED (P of camera_info) for the undistorted one
RAW = CameraModel(
    WIDTH, HEIGHT, np.array([[420.0, 0, 325], [0, 418.0, 236], [0, 0, 1]]), [-0.26, 0.07, 0.0005, -0.0007, 0.0]
)
RECTIFIED = CameraModel(WIDTH, HEIGHT, np.array([[380.0, 0, 319.5], [0, 380.0, 239.5], [0, 0, 1]]))
WIDER_PX = 2000  # side of the undistorted picture from which the raw one is bent
STAMP_STEP_NS = 2_000_000_000  # longer than a track lives, so that no view is filtered into the next
START_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00:00 UTC, so that two runs give the same bytes
CAMERA_FRAME = "camera_optical_frame"
JPEG_QUALITY, MAX_BYTES = 80, 1_500_000
LICENCE_NOTE = Path(__file__).resolve().parents[2] / "assets" / "conformance_bag" / "README.md"


@dataclass(frozen=True)
class View:
    """A head whose face centre is at centre_m in the camera optical frame.

    The turn is about the camera's axes (x right, y down, z forward), by rotvec_deg, of a head that looks along -z;
    with `facing` of one that looks at the camera.
    """

    name: str
    rotvec_deg: tuple = (0.0, 0.0, 0.0)
    centre_m: tuple = (0.0, 0.0, 0.7)
    facing: bool = False

    @property
    def pose(self):
        """(R_camera_head (3, 3), t_camera_head_m (3,))."""
        R, centre = Rotation.from_rotvec(self.rotvec_deg, degrees=True).as_matrix(), np.array(self.centre_m)
        if self.facing:
            R = lookat_rotation(centre / np.linalg.norm(centre)).T @ R
        return R, centre - R @ FACE_CENTRE_M


# by the right-hand rule: about y (down) the face goes from -z to -x, the image's left; about x (right) from -z to +y,
# down; about z (forward) the crown goes from -y to +x
VIEWS = (
    View("front"),
    View("turned_to_image_left", (0, 35, 0)),
    View("turned_to_image_right", (0, -35, 0)),
    View("looking_up", (-22, 0, 0)),
    View("looking_down", (22, 0, 0)),
    View("tilted_clockwise", (0, 0, 25)),
    View("tilted_anticlockwise", (0, 0, -25)),
    View("near", centre_m=(0.0, 0.0, 0.4)),
    View("far", centre_m=(0.0, 0.0, 1.3)),
    View("at_image_left", centre_m=(-0.40, 0.0, 0.7)),
    View("at_image_right", centre_m=(0.40, 0.0, 0.7)),
    View("at_image_top", centre_m=(0.0, -0.25, 0.7)),
    View("at_image_bottom", centre_m=(0.0, 0.25, 0.7)),
    View("at_image_right_facing_the_camera", centre_m=(0.40, 0.0, 0.7), facing=True),
    View("in_the_corner_turned_to_image_left", (0, 30, 0), (0.40, 0.22, 0.75)),
)


def bent(picture, K):
    """What the camera RAW sees (HEIGHT, WIDTH, 3) of an undistorted picture (h, w, 3) taken with K."""
    rays = RAW.rays(np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1))
    pixels = (rays @ K.T / rays[..., 2:])[..., :2].astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.5 * K[0, 0] / RAW.K[0, 0])  # it has more pixels than the result
    return cv2.remap(picture, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)


def render_views(data: Path, seed: int):
    """Yield (View, raw image, rectified image), (HEIGHT, WIDTH, 3) uint8 RGB, of a person with a head of mean size."""
    from training.render.studio import Studio

    studio = Studio(data)
    look = replace(studio.model.sample(np.random.default_rng(seed)), extras=(), expression={}, size=1.0)
    head = studio.load(look)
    environment = next(e for e in studio.environments if e.name.startswith("st_fagans"))
    wide_K = sample.pinhole(100.0, WIDER_PX, WIDER_PX)
    for view in VIEWS:
        R, t = view.pose
        scene, _ = sample.sample_scene(
            np.random.default_rng(seed), sample.label(RECTIFIED.K, R, t), WIDTH, environment, studio.model.pivot_m
        )
        scene = replace(
            scene,
            height=HEIGHT,
            sh=environment.rotated_sh(np.eye(3)),
            exposure=0.42 / environment.mean,
            light_dirs=np.array([[-0.5, -0.6, -0.62], [0.0, 0.0, -1.0]]),
            lights=environment.mean * np.pi * np.array([[0.8], [0.0]]) * np.ones(3),
            gloss=1.0,
            body_rotvec=Rotation.from_matrix(R.T).as_rotvec(),  # the shoulders stay square to the camera
        )
        rectified = studio.compose(look, head, scene, environment, np.eye(3))[0]
        wide_scene = replace(scene, K=wide_K, width=WIDER_PX, height=WIDER_PX)
        wide = studio.compose(look, head, wide_scene, environment, np.eye(3))[0]
        yield view, bent(wide, wide_K), rectified


class ViewBag:
    """rosbag2 folder (MCAP) with the topics that the README in the bag's folder lists."""

    def __init__(self, writer):
        self._writer, self._store, self._connections = writer, get_typestore(Stores.ROS2_JAZZY), {}

    def write(self, stamp_ns, view, raw, rectified):
        """One View with its two images (HEIGHT, WIDTH, 3) uint8 RGB."""
        from training.render.post import encode_jpeg

        header = self._make(
            "std_msgs/Header", self._make("builtin_interfaces/Time", *divmod(stamp_ns, 10**9)), CAMERA_FRAME
        )
        P = np.hstack([RECTIFIED.K, np.zeros((3, 1))])
        info = (HEIGHT, WIDTH, RAW.model, RAW.D, RAW.K.ravel(), np.eye(3).ravel(), P.ravel(), 0, 0)
        roi = self._make("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
        R, t = view.pose
        quaternion = self._make("geometry_msgs/Quaternion", *map(float, quat_from_matrix(face_from_head(R))))
        pose = self._make("geometry_msgs/Pose", self._make("geometry_msgs/Point", *map(float, t)), quaternion)
        messages = {"/camera/camera_info": self._make("sensor_msgs/CameraInfo", header, *info, roi)}
        for topic, image in (("image_raw", raw), ("image_rect", rectified)):
            jpeg = np.frombuffer(encode_jpeg(image, JPEG_QUALITY), np.uint8)
            messages[f"/camera/{topic}/compressed"] = self._make("sensor_msgs/CompressedImage", header, "jpeg", jpeg)
        messages["/truth/head_pose"] = self._make("geometry_msgs/PoseStamped", header, pose)
        messages["/truth/view"] = self._make("std_msgs/String", view.name)
        for topic, message in messages.items():
            kind = message.__msgtype__
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
            self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, kind))

    def _make(self, kind, *values):
        return self._store.types[kind.replace("/", "/msg/")](*values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=LICENCE_NOTE.parent)
    parser.add_argument("--seed", type=int, default=0, help="the person")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    args = parser.parse_args()

    def write(folder):
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            bag = ViewBag(writer)
            for index, (view, raw, rectified) in enumerate(render_views(args.data, args.seed)):
                bag.write(START_NS + index * STAMP_STEP_NS, view, raw, rectified)

    return bag_folder.build(args.out, LICENCE_NOTE, MAX_BYTES, write)


if __name__ == "__main__":
    sys.exit(main())
