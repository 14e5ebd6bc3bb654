"""The pose node with a depth camera on a real graph: ranges from depth, and every fault named while poses go on.

The depth images show a wall where the face is: its points lie some 15 mm behind the sellion on average.
"""

import struct
import sys
import time
from array import array

import cv2
import numpy as np
import pytest

from hpe_core.io.depth.registration import LATE

pytestmark = pytest.mark.ros

START_NS, STEP_NS = 1_700_000_000_000_000_000, 66_666_667
FACE_BEHIND_SELLION_M = 0.015


class Depth:
    """Publishes depth images of one distance beside the images of a camera; transport: as the parameter."""

    def __init__(self, graph, namespace, messages_of, transport="raw"):
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        self._messages_of, self._graph, self._transport = messages_of, graph, transport
        kind, topic = (Image, "depth") if transport == "raw" else (CompressedImage, f"depth/{transport}")
        self._images = graph.node.create_publisher(kind, f"{namespace}/{topic}", 5)
        self._infos = graph.node.create_publisher(CameraInfo, f"{namespace}/depth_camera_info", 5)
        graph.until(lambda: self._images.get_subscription_count() > 0, 30.0, "subscriber of depth")

    def show(self, stamp_ns, metres, width=640, height=480, frame_id="lens", encoding="16UC1", focal_px=None):
        """One image of one distance; focal_px: with a depth_camera_info."""
        kind = {"32FC1": np.float32, "mono8": np.uint8}.get(encoding, np.uint16)
        pixels = np.full((height, width), round(1e3 * metres) if kind is np.uint16 else metres).astype(kind)
        message = self._messages_of.image(pixels, encoding) if self._transport == "raw" else packed(pixels, encoding)
        messages = [(self._images, message)]
        if focal_px is not None:
            info = self._messages_of.camera_info(focal_px, width, height)
            info.k[2], info.k[5] = (width - 1) / 2, (height - 1) / 2
            messages.insert(0, (self._infos, info))
        for publisher, each in messages:
            each.header.frame_id = frame_id
            each.header.stamp.sec, each.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            publisher.publish(each)
            time.sleep(0.02)


def packed(pixels, encoding):
    """sensor_msgs/CompressedImage as compressed_depth_image_transport makes it: 12 bytes, then a PNG."""
    from sensor_msgs.msg import CompressedImage

    png = cv2.imencode(".png", pixels)[1].tobytes()
    return CompressedImage(
        format=f"{encoding}; compressedDepth png", data=array("B", struct.pack("<iff", 0, 0.0, 0.0) + png)
    )


@pytest.fixture
def device(start_node, graph, messages_of, sample_image, health):
    """start(namespace, **parameters): an object whose ranges(count, depth=True, **of the depth image) shows so many
    images with the same face and gives the ranges of the poses; its by_size: the range without depth."""
    from geometry_msgs.msg import PoseArray

    class Device:
        def __init__(self, namespace, lens="", started=False, **parameters):
            """lens: namespace of the camera's topics below that of the node; started: the node is there already."""
            self._namespace = namespace
            if not started:
                start_node(namespace, autostart=True, use_depth=True, depth_wait_s=0.5, **parameters)
            self._poses, lens = graph.record(PoseArray, f"{namespace}/head_poses"), namespace + lens
            transport = parameters.get("depth_transport", "raw")
            self._camera, self.depth = graph.camera(lens), Depth(graph, lens, messages_of, transport)
            self.stamp_ns = START_NS
            self.by_size = np.median(self.ranges(3, depth=False))

        def ranges(self, count, depth=True, apart_ns=0, **options):
            found, end = [], time.monotonic() + 60.0
            while len(found) < count and time.monotonic() < end:
                self.stamp_ns += STEP_NS
                if depth:
                    self.depth.show(self.stamp_ns + apart_ns, **({"metres": 1.1 * self.by_size} | options))
                self._camera.show(sample_image, self.stamp_ns)
                answer = graph.answer(self._poses, self.stamp_ns)
                if answer is not None:
                    (pose,) = answer.poses
                    found.append(np.linalg.norm([pose.position.x, pose.position.y, pose.position.z]))
            assert len(found) == count, "the node answers images"
            return np.array(found)

        def status(self, condition, what):
            return health.until(self._namespace, "depth", lambda *seen: condition(*seen), what, 30.0)

        def without(self, reason):
            """Wait until an image is counted as without depth for a reason; the message of the status."""
            key = f"without depth, {reason}"
            _, text, _ = self.status(lambda level, _, v: level == 1 and int(v.get(key, 0)) > 0, reason)
            return text

    return Device


def test_the_range_is_that_of_the_depth_image_and_the_learnt_size_keeps_it_without(device):
    camera = device("/rgbd")
    metres = 1.1 * camera.by_size
    assert camera.ranges(12)[-4:] == pytest.approx(metres - FACE_BEHIND_SELLION_M, rel=0.03)
    camera.status(lambda level, text, values: int(values["images with depth"]) >= 10, "depth in diagnostics")
    assert camera.ranges(6, depth=False)[-1] == pytest.approx(metres - FACE_BEHIND_SELLION_M, rel=0.05)
    assert "from the image's stamp" in camera.without("no depth image of its time")


def test_depth_of_another_camera_in_another_frame_counts_once_tf_says_where_it_is(device, graph):
    from geometry_msgs.msg import TransformStamped
    from tf2_ros import StaticTransformBroadcaster

    camera = device("/beside")
    other = {"encoding": "32FC1", "width": 320, "height": 240, "frame_id": "infrared", "focal_px": 220.0}
    assert camera.ranges(4, **other)[-1] == pytest.approx(camera.by_size, rel=0.04)
    assert "TF has no transform between 'lens' and 'infrared'" in camera.without("no transform to the depth camera")
    transform = TransformStamped(child_frame_id="infrared")
    transform.header.frame_id = "lens"
    transform.transform.rotation.w, transform.transform.translation.x = 1.0, 0.05
    broadcaster = StaticTransformBroadcaster(graph.node)
    broadcaster.sendTransform(transform)
    time.sleep(1.0)
    assert camera.ranges(12, **other)[-1] == pytest.approx(1.1 * camera.by_size - FACE_BEHIND_SELLION_M, rel=0.03)


@pytest.mark.parametrize(
    ("name", "options", "reason", "says"),
    [
        ("size", {"width": 320, "height": 240}, "no depth_camera_info for depth of another camera", "320x240"),
        ("encoding", {"encoding": "mono8"}, "unknown depth encoding", "'mono8' is unknown, allowed: 16UC1"),
        ("late", {"apart_ns": STEP_NS // 2}, "no depth image of its time", "from the image's stamp"),
    ],
)
def test_depth_that_does_not_fit_is_named_and_poses_go_on_without_it(device, name, options, reason, says):
    camera = device(f"/wrong_{name}")
    assert camera.ranges(4, **options) == pytest.approx(camera.by_size, rel=0.04)
    assert says in camera.without(reason)


def test_a_depth_image_that_comes_after_the_answer_is_counted_as_late(device):
    camera = device("/late")
    for _ in range(4):
        camera.ranges(1, depth=False)
        camera.depth.show(camera.stamp_ns, camera.by_size)
    key = f"without depth, {LATE}"
    camera.status(lambda level, _, values: int(values.get(key, 0)) >= 3, LATE)


def test_compressed_depth_gives_the_range_as_raw_depth_does(device):
    camera = device("/packed", depth_transport="compressedDepth")
    metres = 1.1 * camera.by_size
    assert camera.ranges(12)[-4:] == pytest.approx(metres - FACE_BEHIND_SELLION_M, rel=0.03)
    camera.status(lambda level, text, values: int(values["images with depth"]) >= 10, "depth in diagnostics")


def test_whoever_names_a_topic_of_depth_to_the_launch_file_has_its_ranges(device, start, model):
    arguments = [f"{name}:=lens/{name}" for name in ("image", "camera_info", "depth")]
    arguments += ["namespace:=deep", f"model:={model}", f"python:={sys.executable}"]
    launched = start(["ros2", "launch", "hpe_ros", "pose.launch.py", *arguments])
    camera = device("/deep", lens="/lens", started=True)
    camera.ranges(12)
    camera.status(lambda level, text, values: int(values["images with depth"]) > 0, "depth in diagnostics")
    assert "Traceback" not in launched.text
