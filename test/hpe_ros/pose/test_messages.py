"""Conversion to and from ROS messages, on the real message types."""

import importlib.util
import zlib
from array import array

import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, HeadPose

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def messages():
    from hpe_ros import messages

    return messages


@pytest.fixture
def header():
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    return Header(stamp=Time(sec=12, nanosec=34), frame_id="lens")


def head(yaw, face_id, x_m=0.0):
    pose = HeadPose(aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0)), [x_m, 0.0, 0.8], np.diag([1.0, 2, 3, 4, 5, 6]))
    return Face(pose, 0.9, np.array([10.0, 20, 30, 40]), face_id)


def tf(messages, faces, header, prefix=""):
    return messages.transforms(faces, messages.face_poses(faces), header, prefix).transforms


def rotation(q):
    return so3.matrix_from_quat(np.array([q.x, q.y, q.z, q.w]))


def test_a_head_that_faces_the_camera_has_face_x_against_the_optical_axis_and_z_up(messages, header):
    face, gaze = tf(messages, [head(0.0, "face_a")], header)
    assert (face.child_frame_id, gaze.child_frame_id) == ("face_a", "gaze_a")
    assert face.header == gaze.header == header
    R_camera_face, R_camera_gaze = rotation(face.transform.rotation), rotation(gaze.transform.rotation)
    assert np.allclose(R_camera_face @ [1, 0, 0], [0, 0, -1])  # out of the face, to the camera
    assert np.allclose(R_camera_face @ [0, 1, 0], [1, 0, 0])  # the subject's left is the image's right
    assert np.allclose(R_camera_face @ [0, 0, 1], [0, -1, 0])  # the scalp is up
    assert np.allclose(R_camera_gaze @ [0, 0, 1], [0, 0, -1])  # gaze z looks where the face looks
    assert np.allclose(R_camera_gaze @ [0, 1, 0], [0, 1, 0])


def test_tf_names_take_the_prefix(messages, header):
    assert [t.child_frame_id for t in tf(messages, [head(0, "face_h")], header, "left_")] == [
        "left_face_h",
        "left_gaze_h",
    ]


def test_the_nearest_face_is_the_primary_one_and_keeps_its_covariance(messages, header):
    faces = (head(0.0, "face_a", x_m=0.5), head(20.0, "face_b"))
    message = messages.primary_pose(faces, messages.face_poses(faces), header)
    assert message.pose.pose.position.x == 0.0
    assert np.reshape(message.pose.covariance, (6, 6)).diagonal().tolist() == [1, 2, 3, 4, 5, 6]
    assert message.header == header
    assert messages.primary_pose((), [], header) is None


def test_no_face_is_an_empty_array(messages, header):
    message = messages.pose_array(messages.face_poses(()), header)
    assert message.poses == []
    assert message.header == header


def test_an_unknown_covariance_is_marked_and_not_zero(messages, header):
    faces = (Face(HeadPose(np.eye(3), [0, 0, 1.0]), 0.9, np.zeros(4), "face_a"),)
    assert messages.primary_pose(faces, messages.face_poses(faces), header).pose.covariance[0] == -1.0


def test_detection_box_encloses_the_head_behind_the_sellion(messages, header):
    if messages.Detection3DArray is None:
        pytest.skip("vision_msgs is not installed")
    faces = (head(0.0, "face_a"),)
    (detection,) = messages.detections(faces, messages.face_poses(faces), header).detections
    assert detection.bbox.center.position.z > 0.8  # behind the sellion, seen from the camera
    size = detection.bbox.size
    assert np.allclose((size.x, size.y, size.z), (0.124, 0.144, 0.186), atol=1e-3)  # deep, wide, high
    assert detection.id == "face_a"


def test_markers_are_head_gaze_ray_and_text_of_each_face_after_the_old_ones_go(messages, header):
    faces = (head(0.0, "face_a"), head(30.0, "face_c", x_m=0.5))
    first, *made = messages.markers(faces, messages.face_poses(faces), header).markers
    assert first.action == first.DELETEALL
    assert [(m.ns, m.id) for m in made] == [(ns, slot) for slot in (0, 2) for ns in ("head", "gaze", "text")]
    assert all(m.header == header for m in [first, *made])
    sphere, ray, text = made[:3]
    assert (sphere.type, ray.type, text.type) == (sphere.SPHERE, ray.ARROW, text.TEXT_VIEW_FACING)
    # an arrow of RViz points along its x axis: from the sellion to the camera
    assert np.allclose(rotation(ray.pose.orientation) @ [1, 0, 0], [0, 0, -1])
    assert (ray.pose.position.z, ray.scale.x) == (0.8, messages.GAZE_RAY_M)
    assert sphere.pose.position.z > 0.8  # the head is behind the sellion
    assert text.text == "face_a 0.80 m"
    assert text.pose.position.y < -0.1  # above the crown: y is down
    assert made[0].color != made[3].color


def test_without_a_face_the_markers_only_take_the_old_ones_away(messages, header):
    (only,) = messages.markers((), [], header).markers
    assert only.action == only.DELETEALL


def test_an_image_comes_out_as_it_went_in(messages, header):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    message = messages.image_from_bgr(pixels, header)
    assert (message.height, message.width, message.step, message.encoding) == (48, 64, 192, "bgr8")
    assert message.header == header
    assert np.array_equal(messages.bgr_from_image(message), pixels)


def test_a_damaged_image_says_what_is_wrong(messages, header):
    message = messages.image_from_bgr(np.zeros((48, 64, 3), np.uint8), header)
    message.data = array("B", bytes(100))
    with pytest.raises(HpeError, match="100 bytes"):
        messages.bgr_from_image(message)


@pytest.fixture(scope="module")
def cv_bridge(messages):
    if importlib.util.find_spec("cv_bridge") is None:
        pytest.skip("cv_bridge is not installed")
    return messages.cv_bridge_or_none() or pytest.skip("cv_bridge does not work with this interpreter's NumPy")


BYTES_PER_PIXEL = {
    "bgr8": 3,
    "rgb8": 3,
    "mono8": 1,
    "bgra8": 4,
    "rgba8": 4,
    "yuv422": 2,
    "yuv422_yuy2": 2,
    "bayer_rggb8": 1,
    "bayer_grbg8": 1,
    "mono16": 2,
    "rgb16": 6,
}


def noise(encoding, pixel_bytes, padding):
    """sensor_msgs/Image of 64 x 48 pixels of noise; the same pixels whatever the padding of its rows."""
    from sensor_msgs.msg import Image

    pixels = np.random.default_rng(0).integers(0, 256, (48, 64 * pixel_bytes), np.uint8)
    rows = np.pad(pixels, ((0, 0), (0, padding)), constant_values=255)
    return Image(height=48, width=64, encoding=encoding, step=rows.shape[1], data=array("B", rows.tobytes()))


@pytest.mark.parametrize("padding", [0, 12, 13])
@pytest.mark.parametrize("encoding", BYTES_PER_PIXEL)
def test_our_decoder_gives_the_pixels_of_cv_bridge_and_reads_padded_rows_too(messages, cv_bridge, encoding, padding):
    theirs = cv_bridge.imgmsg_to_cv2(noise(encoding, BYTES_PER_PIXEL[encoding], 0), "bgr8")
    message = noise(encoding, BYTES_PER_PIXEL[encoding], padding)
    assert np.array_equal(theirs, messages.bgr_from_image(message))
    assert np.array_equal(theirs, messages.bgr_from_image(message, cv_bridge))


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "pixel_bytes"), [("bgra16", 8), ("rgba16", 8), ("bayer_rggb16", 2)])
def test_an_encoding_of_cv_bridge_alone_is_read_with_padded_rows_too(
    messages, cv_bridge, encoding, pixel_bytes, padding
):
    expected = cv_bridge.imgmsg_to_cv2(noise(encoding, pixel_bytes, 0), "bgr8")
    assert expected.shape == (48, 64, 3) and expected.std() > 10
    assert np.array_equal(messages.bgr_from_image(noise(encoding, pixel_bytes, padding), cv_bridge), expected)


def test_what_cv_bridge_cannot_read_either_is_refused_with_the_reason(messages, cv_bridge):
    for encoding, pixel_bytes in (("32FC1", 4), ("nonsense", 1)):
        with pytest.raises(HpeError, match=f"{encoding} cannot be read by cv_bridge: .*allowed.*bgr8"):
            messages.bgr_from_image(noise(encoding, pixel_bytes, 0), cv_bridge)
    short_step = noise("rgba16", 8, 0)
    short_step.step, short_step.height = 256, 96
    with pytest.raises(HpeError, match="step is 256 bytes but a row takes 512"):
        messages.bgr_from_image(short_step, cv_bridge)
    cut = noise("rgba16", 8, 0)
    cut.data = cut.data[:100]
    with pytest.raises(HpeError, match="cannot reshape array of size 100"):
        messages.bgr_from_image(cut, cv_bridge)


def test_a_small_compressed_image_of_a_huge_size_is_refused_before_it_is_decoded(messages, header):
    from sensor_msgs.msg import CompressedImage

    size = (32_000).to_bytes(4, "big")
    head = size + size + bytes([1, 0, 0, 0, 0])
    chunks = (b"IHDR" + head, b"IEND")
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    )
    with pytest.raises(HpeError, match="32000x32000, allowed: 1 to 134217728 pixels"):
        messages.bgr_from_image(CompressedImage(header=header, format="png", data=array("B", png)))
