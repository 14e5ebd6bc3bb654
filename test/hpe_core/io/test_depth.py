"""Depth images of real bags beside their colour images; the bags' images are 32x24 in frame `lens`, 10 Hz."""

import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import Bag
from hpe_core.io.depth.bag_depth import BagDepth, bag_depth
from hpe_core.io.depth.registration import View
from hpe_core.io.depth.static_tf import StaticTransforms

IMAGES, DEPTH = "/cam/image_raw", "/cam/depth/image_raw"
VIEW = View(CameraModel.from_hfov(32, 24, 60.0), "lens")


@pytest.fixture
def depth_of(make, start_ns, step_ns):
    """depth_of(n, **changed) -> entries of n depth images (16UC1) of 1000 + n millimetres."""

    def entries(n, topic=DEPTH, width=32, height=24, frame_id="lens", encoding="16UC1", apart_ns=0, info_focal=None):
        out = []
        for i in range(n):
            stamp = start_ns + i * step_ns + apart_ns
            pixels = np.full((height, width, 1), 1000 + i, "<u2")
            message = make.image(stamp, pixels, encoding, frame_id, pixels.view(np.uint8).ravel())
            message.step = 2 * width
            out.append((topic, stamp + 5000, message))
            if info_focal:
                info = make.camera_info(stamp, width, height, info_focal, frame_id)
                out.append((topic.rsplit("/", 1)[0] + "/camera_info", stamp + 4000, info))
        return out

    return entries


@pytest.fixture
def tf_static(make):
    """tf_static(time ns, (parent, child, x metres), ...) -> the entry of these transforms without rotation."""

    def entry(time_ns, *edges):
        transforms = []
        for parent, child, x in edges:
            vector = make.message("geometry_msgs/msg/Vector3", x, 0.0, 0.0)
            transform = make.message(
                "geometry_msgs/msg/Transform", vector, make.message("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.0, 1.0)
            )
            header = make.header(time_ns, parent)
            transforms.append(make.message("geometry_msgs/msg/TransformStamped", header, child, transform))
        return ("/tf_static", time_ns, make.message("tf2_msgs/msg/TFMessage", transforms))

    return entry


def asked(bag, stamps_ns, topic=None, info_topic=None):
    """BagDepth of a bag after it was asked about stamps, and what it gave."""
    depth, _ = bag_depth(bag, IMAGES, topic, info_topic)
    images = [depth.of(stamp_ns, VIEW) for stamp_ns in stamps_ns]
    depth.close()
    return depth, images


def stamps(start_ns, step_ns, n):
    return [start_ns + i * step_ns for i in range(n)]


def test_each_image_gets_the_depth_image_of_its_stamp_with_its_own_camera(
    write_bag, stream, depth_of, start_ns, step_ns
):
    bag = write_bag(stream(4) + depth_of(4))
    depth, images = asked(bag, stamps(start_ns, step_ns, 4))
    assert [int(image.depth[0, 0]) for image in images] == [1000, 1001, 1002, 1003]
    assert all(image.camera is VIEW.camera for image in images)
    assert (depth.topic, depth.used, depth.without, depth.notices) == (DEPTH, 4, {}, [])


def test_the_choice_is_told_and_none_does_without(write_bag, stream, depth_of):
    bag = write_bag(stream(1) + depth_of(1))
    depth, note = bag_depth(bag, IMAGES)
    depth.close()
    assert note == f"ranges from depth topic {DEPTH} (--depth-topic none does without)"
    assert bag_depth(bag, IMAGES, "none") == (None, "")
    assert bag_depth(write_bag(stream(1), name="plain"), IMAGES) == (None, "")


def test_of_two_depth_topics_none_is_taken_by_itself(write_bag, stream, depth_of):
    bag = write_bag(stream(1) + depth_of(1) + depth_of(1, "/cam/aligned_depth/image"))
    depth, note = bag_depth(bag, IMAGES)
    assert depth is None
    assert DEPTH in note and "/cam/aligned_depth/image" in note and "--depth-topic" in note


def test_a_topic_that_is_not_there_is_refused_with_those_that_are(write_bag, stream, depth_of):
    bag = write_bag(stream(1) + depth_of(1))
    with pytest.raises(HpeError, match=f"no depth image topic /other; it has: {DEPTH}"):
        bag_depth(bag, IMAGES, "/other")
    with pytest.raises(HpeError, match="no CameraInfo topic /other; it has: /cam/camera_info"):
        bag_depth(bag, IMAGES, DEPTH, "/other")


def test_missing_and_late_depth_images_are_counted_and_the_next_ones_are_found(
    write_bag, stream, depth_of, start_ns, step_ns
):
    entries = depth_of(6)
    bag = write_bag(stream(6) + [*entries[:2], *entries[4:]])
    depth, images = asked(bag, stamps(start_ns, step_ns, 6))
    assert [image and int(image.depth[0, 0]) for image in images] == [1000, 1001, None, None, 1004, 1005]
    assert depth.without == {"no depth image of its time": 2}
    assert len(depth.notices) == 1


@pytest.mark.parametrize(
    ("changed", "reason", "says"),
    [
        ({"width": 16}, "no depth_camera_info for depth of another camera", "16x24 in frame 'lens' but the image 32"),
        ({"frame_id": "ir"}, "no depth_camera_info for depth of another camera", "in frame 'ir'"),
        ({"frame_id": "ir", "info_focal": 30.0}, "no transform to the depth camera", "between 'lens' and 'ir'"),
        ({"encoding": "8UC2"}, "unknown depth encoding", "'8UC2' is unknown, allowed: 16UC1"),
        ({"encoding": "32FC1"}, "unusable depth image", "step is 64 bytes"),
        ({"apart_ns": 30_000_000}, "no depth image of its time", "within 0.02 s"),
    ],
)
def test_what_cannot_be_used_is_counted_by_its_reason_and_named_once(
    write_bag, stream, depth_of, start_ns, step_ns, changed, reason, says
):
    depth, images = asked(write_bag(stream(3) + depth_of(3, **changed)), stamps(start_ns, step_ns, 3), DEPTH)
    assert images == [None] * 3
    assert (depth.used, depth.without) == (0, {reason: 3})
    (notice,) = depth.notices
    assert says in notice


def test_depth_of_another_size_has_the_camera_beside_it(write_bag, stream, depth_of, start_ns):
    _, (image,) = asked(write_bag(stream(1) + depth_of(1, width=16, height=12, info_focal=9.0)), [start_ns])
    assert (image.camera.width, image.camera.K[0, 0]) == (16, 9.0)
    np.testing.assert_array_equal(image.R_depth_camera, np.eye(3))


def test_depth_in_another_frame_stands_where_tf_static_says(write_bag, stream, depth_of, tf_static, start_ns):
    edges = tf_static(start_ns, ("base", "lens", 0.015), ("base", "ir_mount", 0.05), ("ir_mount", "ir", 0.01))
    bag = write_bag([edges, *stream(1), *depth_of(1, frame_id="ir", info_focal=30.0)])
    assert bag_depth(bag, IMAGES)[0] is None, "in another frame it is not obvious"
    _, (image,) = asked(bag, [start_ns], DEPTH)
    np.testing.assert_allclose(image.t_depth_camera_m, [0.015 - 0.06, 0.0, 0.0])


def test_static_transforms_in_a_ring_and_of_no_length_find_nothing(write_bag, tf_static, start_ns):
    bag = write_bag([tf_static(start_ns, ("a", "b", 1.0), ("b", "a", 1.0), ("c", "d", np.nan))])
    transforms = StaticTransforms(Bag(bag))
    assert transforms.find("a", "x") is None
    assert transforms.find("c", "d") is None
    _, t = transforms.find("a", "b")
    np.testing.assert_allclose(t, [1.0, 0.0, 0.0])


def test_compressed_depth_is_read_and_the_raw_topic_is_preferred(write_bag, make, stream, depth_of, start_ns):
    png = cv2.imencode(".png", np.full((24, 32), 1500, np.uint16))[1].tobytes()
    data = np.frombuffer(bytes(12) + png, np.uint8)
    packed = make.message("sensor_msgs/msg/CompressedImage", make.header(start_ns), "16UC1; compressedDepth", data)
    topic = f"{DEPTH}/compressedDepth"
    depth, (image,) = asked(write_bag([*stream(1), (topic, start_ns, packed)]), [start_ns])
    assert (depth.topic, int(image.depth[0, 0])) == (topic, 1500)
    both = write_bag([*stream(1), (topic, start_ns, packed), *depth_of(1)], name="both")
    assert asked(both, [start_ns])[0].topic == DEPTH


def test_damaged_depth_messages_are_counted_and_the_rest_is_read(write_bag, stream, depth_of, start_ns, step_ns):
    entries = depth_of(3)
    entries[1][2].data = entries[1][2].data[:-100]
    depth, images = asked(write_bag(stream(3) + entries), stamps(start_ns, step_ns, 3))
    assert [image is not None for image in images] == [True, False, True]
    assert depth.without == {"unusable depth image": 1}


def test_depth_is_asked_of_a_bag_directly(write_bag, stream, depth_of, start_ns):
    depth = BagDepth(write_bag(stream(1) + depth_of(1)), DEPTH)
    assert depth.of(start_ns + 20_000_000, VIEW) is not None
    assert depth.as_dict() == {"topic": DEPTH, "camera_info_topic": None, "used": 1, "without": {}, "losses": {}}
    depth.close()
