import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.pixels.depth import DEPTH_ENCODINGS, DepthImage, depth_from_compressed, depth_from_raw

CAMERA = CameraModel.from_hfov(3, 2, 60.0)
PNG_HEADER = struct.Struct("<iff")


@pytest.mark.parametrize(("order", "is_bigendian"), [("<u2", 0), (">u2", 1)])
def test_16uc1_is_millimetres_in_either_byte_order_and_rows_may_be_padded(order, is_bigendian):
    rows = np.hstack([np.array([[1, 256, 0], [3, 4, 65535]], order).view(np.uint8), np.full((2, 5), 77, np.uint8)])
    found = depth_from_raw(rows.tobytes(), 2, 3, "16UC1", 11, is_bigendian)
    assert found.dtype == np.uint16
    assert found.tolist() == [[1, 256, 0], [3, 4, 65535]]


def test_32fc1_is_metres():
    metres = np.array([[0.5, 1.25, np.nan], [2.0, 0.0, np.inf]], np.float32)
    found = depth_from_raw(metres.tobytes(), 2, 3, "32FC1", 12)
    np.testing.assert_array_equal(found, metres)


def test_an_encoding_that_is_no_depth_is_named_with_those_that_are():
    with pytest.raises(HpeError, match="'rgb8' is unknown, allowed: 16UC1, mono16, 32FC1"):
        depth_from_raw(b"", 1, 1, "rgb8", 3)


def test_metres_are_read_at_the_nearest_pixel_and_nan_where_nothing_was_measured_or_beside_the_image():
    image = DepthImage(np.array([[1000, 0, 2500], [500, 700, 900]], np.uint16), CAMERA)
    pixels = [[0.4, -0.4], [1.0, 0.0], [2.0, 1.0], [2.6, 0.0], [-0.6, 0.0], [np.nan, 0.0], [np.inf, 0.0]]
    np.testing.assert_allclose(image.metres_at(np.array(pixels)), [1.0, np.nan, 0.9] + 4 * [np.nan])
    metres = np.array([[1.5, np.nan, -1.0], [np.inf, 0.0, 2.0]], np.float32)
    grid = np.stack(np.meshgrid(np.arange(3), np.arange(2)), -1)
    expected = [[1.5, np.nan, np.nan], [np.nan, np.nan, 2.0]]
    np.testing.assert_allclose(DepthImage(metres, CAMERA).metres_at(grid), expected)


def test_an_array_that_is_no_depth_image_of_the_camera_is_refused():
    with pytest.raises(HpeError, match="depth image is 4x2 but its camera 3x2"):
        DepthImage(np.zeros((2, 4), np.uint16), CAMERA)
    with pytest.raises(HpeError, match="uint16 or float32"):
        DepthImage(np.zeros((2, 3)), CAMERA)


def test_compressed_depth_of_16uc1_is_its_png_behind_twelve_bytes():
    millimetres = np.array([[0, 1234], [40000, 5]], np.uint16)
    data = PNG_HEADER.pack(0, 0.0, 0.0) + cv2.imencode(".png", millimetres)[1].tobytes()
    np.testing.assert_array_equal(depth_from_compressed(data, "16UC1; compressedDepth png"), millimetres)


def test_compressed_depth_of_32fc1_is_inverse_depth():
    """compressed_depth_image_transport writes round(a / metres + b); 0 is nothing measured."""
    a, b = 100.0, 3.0
    data = PNG_HEADER.pack(0, a, b) + cv2.imencode(".png", np.array([[53, 0], [103, 28]], np.uint16))[1].tobytes()
    np.testing.assert_allclose(depth_from_compressed(data, "32FC1; compressedDepth"), [[2.0, np.nan], [1.0, 4.0]])


@given(st.binary(max_size=60), st.sampled_from(DEPTH_ENCODINGS), st.integers(-1, 5), st.integers(-1, 5))
def test_any_bytes_are_a_depth_image_or_refused(data, encoding, height, width):
    with suppress(HpeError):
        assert depth_from_raw(data, height, width, encoding, 8).shape == (height, width)
    with pytest.raises(HpeError):  # so short, it is no PNG
        depth_from_compressed(data, f"{encoding}; compressedDepth")
