"""The pose node with a depth camera on a real graph: ranges from depth, and every fault named while poses go on.

The depth images show a wall where the face is: its points lie some 15 mm behind the sellion on average.
"""

import time

import numpy as np
import pytest

pytestmark = pytest.mark.ros

START_NS, STEP_NS = 1_700_000_000_000_000_000, 66_666_667
FACE_BEHIND_SELLION_M = 0.015


class Depth:
    """Publishes depth images of one distance beside the images of a camera."""

    def __init__(self, graph, namespace, messages_of):
        from sensor_msgs.msg import CameraInfo, Image

        self._messages_of, self._graph = messages_of, graph
        self._images = graph.node.create_publisher(Image, f"{namespace}/depth", 5)
        self._infos = graph.node.create_publisher(CameraInfo, f"{namespace}/depth_camera_info", 5)
        graph.until(lambda: self._images.get_subscription_count() > 0, 30.0, "subscriber of depth")

    def show(self, stamp_ns, metres, width=640, height=480, frame_id="lens", encoding="16UC1", focal_px=None):
        """One image of one distance; focal_px: with a depth_camera_info."""
        kind = {"32FC1": np.float32, "mono8": np.uint8}.get(encoding, np.uint16)
        pixels = np.full((height, width), round(1e3 * metres) if kind is np.uint16 else metres).astype(kind)
        message = self._messages_of.image(pixels, encoding)
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


@pytest.fixture
def device(start_node, graph, messages_of, sample_image, health):
    """start(namespace, **parameters): an object whose ranges(count, depth=True, **of the depth image) shows so many
    images with the same face and gives the ranges of the poses; its by_size: the range without depth."""
    from geometry_msgs.msg import PoseArray

    class Device:
        def __init__(self, namespace, **parameters):
            self._namespace = namespace
            start_node(namespace, autostart=True, use_depth=True, depth_wait_s=0.5, **parameters)
            self._poses = graph.record(PoseArray, f"{namespace}/head_poses")
            self._camera, self.depth = graph.camera(namespace), Depth(graph, namespace, messages_of)
            self._stamp_ns = START_NS
            self.by_size = np.median(self.ranges(3, depth=False))

        def ranges(self, count, depth=True, apart_ns=0, **options):
            found, end = [], time.monotonic() + 60.0
            while len(found) < count and time.monotonic() < end:
                self._stamp_ns += STEP_NS
                if depth:
                    self.depth.show(self._stamp_ns + apart_ns, **({"metres": 1.1 * self.by_size} | options))
                self._camera.show(sample_image, self._stamp_ns)
                answer = graph.answer(self._poses, self._stamp_ns)
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
