"""Images from ROS messages and back, on the real message types."""

import importlib.util
import subprocess
import sys
import zlib
from array import array

import numpy as np
import pytest

from hpe_core.errors import HpeError

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def images():
    from hpe_ros import images

    return images


def test_an_image_comes_out_as_it_went_in(images, header):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    message = images.image_from_bgr(pixels, header)
    assert (message.height, message.width, message.step, message.encoding) == (48, 64, 192, "bgr8")
    assert message.header == header
    assert np.array_equal(images.bgr_from_image(message), pixels)


def test_a_damaged_image_says_what_is_wrong(images, header):
    message = images.image_from_bgr(np.zeros((48, 64, 3), np.uint8), header)
    message.data = array("B", bytes(100))
    with pytest.raises(HpeError, match="100 bytes"):
        images.bgr_from_image(message)


@pytest.fixture(scope="module")
def cv_bridge(images):
    if importlib.util.find_spec("cv_bridge") is None:
        pytest.skip("cv_bridge is not installed")
    return images.cv_bridge_or_none() or pytest.skip("cv_bridge does not work with this interpreter's NumPy")


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


def test_an_image_that_the_core_decodes_does_not_load_cv_bridge():
    code = (
        "import sys\n"
        "from sensor_msgs.msg import Image\n"
        "from hpe_ros import images\n"
        "images.bgr_from_image(Image(height=1, width=1, encoding='rgb8', step=3, data=bytes(3)))\n"
        "print('cv_bridge' in sys.modules, images.cv_bridge_or_none.cache_info().misses)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "0"]


@pytest.mark.parametrize("padding", [0, 12, 13])
@pytest.mark.parametrize("encoding", BYTES_PER_PIXEL)
def test_our_decoder_gives_the_pixels_of_cv_bridge_and_reads_padded_rows_too(images, cv_bridge, encoding, padding):
    theirs = cv_bridge.imgmsg_to_cv2(noise(encoding, BYTES_PER_PIXEL[encoding], 0), "bgr8")
    message = noise(encoding, BYTES_PER_PIXEL[encoding], padding)
    assert np.array_equal(theirs, images.bgr_from_image(message))
    assert np.array_equal(theirs, images.bgr_from_image(message))


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "pixel_bytes"), [("bgra16", 8), ("rgba16", 8), ("bayer_rggb16", 2)])
def test_an_encoding_of_cv_bridge_alone_is_read_with_padded_rows_too(images, cv_bridge, encoding, pixel_bytes, padding):
    expected = cv_bridge.imgmsg_to_cv2(noise(encoding, pixel_bytes, 0), "bgr8")
    assert expected.shape == (48, 64, 3) and expected.std() > 10
    assert np.array_equal(images.bgr_from_image(noise(encoding, pixel_bytes, padding)), expected)


def test_what_cv_bridge_cannot_read_either_is_refused_with_the_reason(images, cv_bridge):
    for encoding, pixel_bytes in (("32FC1", 4), ("nonsense", 1)):
        with pytest.raises(HpeError, match=f"{encoding} cannot be read by cv_bridge: .*allowed.*bgr8"):
            images.bgr_from_image(noise(encoding, pixel_bytes, 0))
    short_step = noise("rgba16", 8, 0)
    short_step.step, short_step.height = 256, 96
    with pytest.raises(HpeError, match="step is 256 bytes but a row takes 512"):
        images.bgr_from_image(short_step)
    cut = noise("rgba16", 8, 0)
    cut.data = cut.data[:100]
    with pytest.raises(HpeError, match="cannot reshape array of size 100"):
        images.bgr_from_image(cut)


def test_a_small_compressed_image_of_a_huge_size_is_refused_before_it_is_decoded(images, header):
    from sensor_msgs.msg import CompressedImage

    size = (32_000).to_bytes(4, "big")
    head = size + size + bytes([1, 0, 0, 0, 0])
    chunks = (b"IHDR" + head, b"IEND")
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    )
    with pytest.raises(HpeError, match="32000x32000, allowed: 1 to 134217728 pixels"):
        images.bgr_from_image(CompressedImage(header=header, format="png", data=array("B", png)))
