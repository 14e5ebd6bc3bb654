import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.pixels.canvas import canvas_to_image, check_image, letterbox


def test_an_image_of_the_canvas_size_is_copied():
    image = np.random.default_rng(15).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    canvas, scales = letterbox(image, 64, 48)
    np.testing.assert_array_equal(canvas, image)
    assert scales == (1.0, 1.0)


def test_a_wide_image_leaves_black_rows_below():
    canvas, scales = letterbox(np.full((20, 80, 3), 200, np.uint8), 40, 40)
    assert scales == (0.5, 0.5)
    assert np.all(canvas[:10] == 200) and np.all(canvas[10:] == 0)


def test_a_tall_image_leaves_black_columns_on_the_right():
    canvas, scales = letterbox(np.full((80, 20, 3), 200, np.uint8), 40, 40)
    assert scales == (0.5, 0.5)
    assert np.all(canvas[:, :10] == 200) and np.all(canvas[:, 10:] == 0)


def test_a_small_image_is_enlarged():
    canvas, scales = letterbox(np.full((6, 8, 3), 9, np.uint8), 64, 48)
    assert scales == (8.0, 8.0)
    assert np.all(canvas == 9)


@given(st.integers(1, 700), st.integers(1, 700))
def test_every_size_fits_and_its_edges_map_to_the_edges(width, height):
    canvas, (scale_x, scale_y) = letterbox(np.full((height, width, 3), 255, np.uint8), 64, 48)
    rows, columns = np.count_nonzero(canvas[:, 0, 0]), np.count_nonzero(canvas[0, :, 0])
    assert (columns == 64) or (rows == 48)
    # the outer edges of the image part are the outer edges of the image
    np.testing.assert_allclose(canvas_to_image([-0.5, -0.5], (scale_x, scale_y)), [-0.5, -0.5])
    far = canvas_to_image([columns - 0.5, rows - 0.5], (scale_x, scale_y))
    np.testing.assert_allclose(far, [width - 0.5, height - 0.5], atol=1e-9)


@pytest.mark.parametrize("size", [(640, 480), (400, 300), (200, 150), (641, 477), (1280, 720), (50, 300)])
def test_a_spot_is_found_again_where_it_was(size):
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    spot = np.array([0.37 * width, 0.61 * height])
    sigma = 0.04 * max(size)
    blob = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * sigma**2))
    canvas, scales = letterbox(np.repeat(blob.astype(np.uint8)[..., None], 3, -1), 320, 256)
    weight = canvas[..., 0].astype(float)
    y, x = np.indices(weight.shape)
    found = canvas_to_image([(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()], scales)
    expected = [(blob.astype(np.uint8) * g).sum() / blob.astype(np.uint8).sum() for g in (np.indices(blob.shape)[::-1])]
    np.testing.assert_allclose(found, expected, atol=0.06 / min(scales))


def test_an_image_that_is_halved_first_comes_out_the_same_to_a_rounding():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 3)
    plain, halved = (letterbox(image, 160, 128, halving)[0] for halving in (False, True))
    assert plain[:120].std() > 1 and np.abs(plain.astype(int) - halved).max() == 1
    np.testing.assert_array_equal(letterbox(image, 320, 256, True)[0], letterbox(image, 320, 256)[0])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_images_are_refused_with_what_they_are(image):
    with pytest.raises(HpeError, match=r"must be \(H, W, 3\) uint8 BGR, got \("):
        check_image(image, CameraModel.from_hfov(4, 4, 60.0))
