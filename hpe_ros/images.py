"""Images from ROS messages and back. Our own decoder comes first, cv_bridge where it lacks an encoding."""

import functools
import importlib.util
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from hpe_core.errors import HpeError
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw

if TYPE_CHECKING:  # importing it may crash the process, see below
    from cv_bridge import CvBridge

# a cv_bridge built for another NumPy does not raise, it crashes the process: so it is tried in another one
_CV_BRIDGE_TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=1, width=2, encoding="rgb8", step=6, data=bytes([0, 1, 2, 3, 4, 5]))
assert CvBridge().imgmsg_to_cv2(image, "bgr8").tolist() == [[[2, 1, 0], [5, 4, 3]]]
"""


@functools.cache
def cv_bridge_or_none() -> "CvBridge | None":
    """A CvBridge when cv_bridge is installed and works with this interpreter's NumPy, else None; tried once."""
    if importlib.util.find_spec("cv_bridge") is None:
        return None
    if subprocess.run([sys.executable, "-c", _CV_BRIDGE_TRIAL], capture_output=True).returncode != 0:
        return None
    from cv_bridge import CvBridge

    return CvBridge()


def bgr_from_image(message: Image | CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a sensor_msgs Image or CompressedImage; cv_bridge reads encodings that the core lacks.

    Of a bgr8 message it is a view. cv_bridge is loaded only for an image that needs it, since it takes some 40 MB.
    Raises HpeError when the message is damaged or its encoding unknown.
    """
    if isinstance(message, CompressedImage):
        return bgr_from_compressed(message.data)
    if message.encoding not in ENCODINGS and (bridge := cv_bridge_or_none()) is not None:
        return _by_cv_bridge(message, bridge)
    size = message.height, message.width
    return bgr_from_raw(message.data, *size, message.encoding, message.step, bool(message.is_bigendian), shared=True)


def _by_cv_bridge(message: Image, cv_bridge: "CvBridge") -> np.ndarray:
    """bgr_from_image by cv_bridge, which garbles rows whose padding is no multiple of a pixel: it gets none."""
    try:
        dtype, channels = cv_bridge.encoding_to_dtype_with_channels(message.encoding)
        row_bytes = message.width * channels * np.dtype(dtype).itemsize
        rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        if not 0 < row_bytes <= message.step:
            raise HpeError(f"step is {message.step} bytes but a row takes {row_bytes}")
        plain = Image(height=message.height, width=message.width, encoding=message.encoding, step=row_bytes)
        plain.is_bigendian = message.is_bigendian
        plain.data = array("B", rows[:, :row_bytes].tobytes())
        return cv_bridge.imgmsg_to_cv2(plain, "bgr8")
    except Exception as error:  # cv_bridge raises RuntimeError, TypeError, KeyError, AttributeError and its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HpeError(
            f"image of encoding {message.encoding} cannot be read by cv_bridge: {reason}; "
            f"allowed without it: {', '.join(ENCODINGS)}"
        ) from error


def image_from_bgr(image_bgr: np.ndarray, header: Header) -> Image:
    """sensor_msgs/Image (bgr8) of (H, W, 3) uint8."""
    height, width = image_bgr.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    # rclpy checks other sequences byte by byte, about 150 times slower
    message.data = array("B", np.ascontiguousarray(image_bgr).tobytes())
    return message
