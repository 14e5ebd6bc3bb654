import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import RAY_ERROR_PX, CameraModel, _solved, camera_from_info

K = np.array([[600.0, 0.0, 325.0], [0.0, 610.0, 236.0], [0.0, 0.0, 1.0]])
PLUMB_BOB = [-0.32, 0.12, 1e-3, -8e-4, -0.02]
RATIONAL = [0.5, 0.1, 1e-3, -1e-3, 0.01, 0.8, 0.2, 0.05]
CAMERAS = [
    CameraModel(640, 480, K),
    CameraModel(640, 480, K, PLUMB_BOB),
    CameraModel(640, 480, K, PLUMB_BOB[:4]),
    CameraModel(640, 480, K, RATIONAL, "rational_polynomial"),
]
EVERY_CAMERA = pytest.mark.parametrize("camera", CAMERAS, ids=["none", "plumb_bob5", "plumb_bob4", "rational"])
GRID = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), -1)
POINTS = np.random.default_rng(8).uniform([-0.5, -0.4, 1.0], [0.5, 0.4, 1.5], (50, 3))


@EVERY_CAMERA
def test_project_equals_opencv(camera):
    expected, _ = cv2.projectPoints(POINTS, np.zeros(3), np.zeros(3), camera.K, camera.D if len(camera.D) else None)
    np.testing.assert_allclose(camera.project(POINTS), expected[:, 0], rtol=0, atol=1e-10)


def test_project_by_hand():
    np.testing.assert_allclose(CameraModel(640, 480, K).project([0.1, -0.2, 2.0]), [325 + 30, 236 - 61])


def test_distorted_projection_by_hand():
    x, y = 0.3, 0.2
    k1, k2, p1, p2, k3 = PLUMB_BOB
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixel = CameraModel(640, 480, K, PLUMB_BOB).project([x, y, 1.0])
    np.testing.assert_allclose(pixel, [600 * u + 325, 610 * v + 236], atol=1e-10)


@EVERY_CAMERA
def test_rays_invert_project_over_the_whole_image(camera):
    rays = camera.rays(GRID)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1.0)
    np.testing.assert_allclose(camera.project(3.0 * rays), GRID, rtol=0, atol=1e-8)


@EVERY_CAMERA
def test_batched_calls_equal_a_loop(camera):
    rays, pixels = camera.rays(GRID), camera.project(POINTS)
    assert rays.shape == (*GRID.shape[:2], 3)
    np.testing.assert_allclose(rays[2, 3], camera.rays(GRID[2, 3]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(pixels[7], camera.project(POINTS[7]), rtol=0, atol=1e-12)


@EVERY_CAMERA
def test_no_points_give_no_pixels_and_no_rays(camera):
    assert camera.project(np.zeros((0, 3))).shape == (0, 2)
    assert camera.rays(np.zeros((0, 2))).shape == (0, 3)


plumb_bob = st.tuples(
    st.floats(-0.25, 0.25), st.floats(-0.03, 0.1), st.floats(-2e-3, 2e-3), st.floats(-2e-3, 2e-3), st.floats(0, 0.02)
)
rational = st.tuples(
    *[st.floats(0.0, 0.6), st.floats(0.0, 0.2), st.floats(-2e-3, 2e-3), st.floats(-2e-3, 2e-3)],
    *[st.floats(0.0, 0.05), st.floats(0.0, 0.6), st.floats(0.0, 0.2), st.floats(0.0, 0.05)],
)


@given(plumb_bob, st.floats(-0.6, 0.6), st.floats(-0.45, 0.45))
def test_rays_return_the_projected_point_for_plumb_bob_lenses(D, x, y):
    camera = CameraModel(640, 480, K, D)
    ray = camera.rays(camera.project([x, y, 1.0]))
    np.testing.assert_allclose(ray / ray[2], [x, y, 1.0], rtol=0, atol=1e-9)


@given(rational, st.floats(-0.6, 0.6), st.floats(-0.45, 0.45))
def test_rays_return_the_projected_point_for_rational_lenses(D, x, y):
    camera = CameraModel(640, 480, K, D, "rational_polynomial")
    ray = camera.rays(camera.project([x, y, 1.0]))
    np.testing.assert_allclose(ray / ray[2], [x, y, 1.0], rtol=0, atol=1e-9)


BARREL = CameraModel(640, 480, [[260.0, 0, 320], [0, 260.0, 240], [0, 0, 1]], [-0.3, 0.08, 0, 0, -0.01])
BARREL_EDGE_PX = 247.69  # r (1 - .3 r^2 + .08 r^4 - .01 r^6) is largest at r = 1.739, where it is 0.9527


def test_a_barrel_lens_has_rays_up_to_where_its_polynomial_turns_back():
    assert BARREL.max_radius == pytest.approx(1.739, abs=1e-3)
    y, x = np.mgrid[0:480:3, 0:640:3]
    rays = BARREL.rays(np.stack([x, y], -1))
    none, edge = np.isnan(rays).any(-1), np.hypot(x - 320, y - 240)
    assert none[edge > BARREL_EDGE_PX + 0.1].all() and not none[edge < BARREL_EDGE_PX - 0.1].any()
    assert np.mean(none) == pytest.approx(0.377, abs=0.002)
    np.testing.assert_allclose(BARREL.project(rays[~none]), np.stack([x, y], -1)[~none], rtol=0, atol=RAY_ERROR_PX)


def test_what_lies_beyond_the_lens_comes_to_its_border_and_not_back_into_the_image():
    along = BARREL.project([[r, 0.0, 1.0] for r in (1.7, 1.739, 2.5, 11.0)])
    np.testing.assert_allclose(along, [[320 + 247.43, 240], *[[320 + 247.69, 240]] * 3], atol=0.02)
    seen = BARREL.in_range([[1.73, 0.0, 1.0], [1.75, 0.0, 1.0], [3.4, 0.0, 2.0], [0.1, 0.0, -1.0]])
    assert seen.tolist() == [True, False, True, False]
    assert CAMERAS[0].max_radius == np.inf and CAMERAS[0].in_range([50.0, 0.0, 1.0])


def test_the_corner_pixels_are_on_the_image_with_half_a_pixel_around_their_centres():
    camera = CameraModel.from_hfov(640, 480, 60.0)
    pixels = [[0.0, 0.0], [639.0, 479.0], [-0.4, 479.4], [-0.6, 100.0], [639.6, 100.0], [100.0, 480.0], [np.nan, 0.0]]
    assert camera.on_image(pixels).tolist() == [True, True, True, False, False, False, False]


any_plumb_bob = st.tuples(
    st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(-1, 1)
)
any_rational = st.tuples(*[st.floats(-1, 1)] * 2, *[st.floats(-0.05, 0.05)] * 2, *[st.floats(-1, 1)] * 4)


@given(any_plumb_bob | any_rational, st.lists(st.tuples(st.floats(-50, 690), st.floats(-50, 530)), min_size=1))
def test_every_ray_of_any_lens_projects_back_to_its_pixel(D, pixels):
    model = "plumb_bob" if len(D) == 5 else "rational_polynomial"
    camera, pixels = CameraModel(640, 480, K / [[2.0], [2.0], [1.0]], D, model), np.array(pixels)
    rays = camera.rays(pixels)
    some = np.isfinite(rays).all(-1)
    assert np.isnan(rays[~some]).all()
    np.testing.assert_allclose(camera.project(rays[some]), pixels[some], rtol=0, atol=RAY_ERROR_PX)
    assert (rays[some] @ [0, 0, 1] > 0).all()
    cosine = rays[some][:, 2]
    assert (np.sqrt(1.0 - cosine**2) <= camera.max_radius * cosine + 1e-6).all()


@given(st.tuples(*[st.floats(-1, 1)] * 2), st.floats(-1, 1), st.floats(0, 0.98), st.floats(-np.pi, np.pi))
def test_every_point_within_a_lens_without_tilt_has_its_ray(k12, k3, share, angle):
    camera = CameraModel(640, 480, K, [*k12, 0.0, 0.0, k3])
    radius = share * min(camera.max_radius, 3.0)
    point = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.0])
    ray = camera.rays(camera.project(point))
    np.testing.assert_allclose(ray, point / np.linalg.norm(point), rtol=0, atol=1e-6)


def test_field_of_view_of_ninety_degrees_has_half_the_width_as_focal_length():
    camera = CameraModel.from_hfov(640, 480, 90.0)
    assert camera.K[0, 0] == camera.K[1, 1] == pytest.approx(320.0)
    np.testing.assert_allclose(camera.K[:2, 2], [319.5, 239.5])
    assert camera.assumed
    # the outer edge of the last column, half a pixel beyond its centre, is 45 degrees off the axis
    np.testing.assert_allclose(camera.rays([639.5, 239.5]), np.array([1, 0, 1]) / np.sqrt(2), atol=1e-12)


@pytest.mark.parametrize("hfov", [0.0, -10.0, 180.0, np.nan])
def test_impossible_field_of_view_is_refused(hfov):
    with pytest.raises(HpeError, match=r"field of view must lie in \(0, 180\)"):
        CameraModel.from_hfov(640, 480, hfov)


@EVERY_CAMERA
def test_resized_camera_sees_each_point_at_the_scaled_pixel(camera):
    small = camera.resized(320, 160)
    expected = (camera.project(POINTS) + 0.5) * [0.5, 1 / 3] - 0.5
    np.testing.assert_allclose(small.project(POINTS), expected, rtol=0, atol=1e-10)
    assert (small.width, small.height) == (320, 160)


def test_resized_camera_agrees_with_where_opencv_puts_a_spot():
    image = np.zeros((480, 640), np.float32)
    image[100:108, 200:208] = 1.0  # centre (203.5, 103.5)
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    y, x = np.nonzero(small > 0)
    np.testing.assert_allclose([x.mean(), y.mean()], (np.array([203.5, 103.5]) + 0.5) / 4 - 0.5)


@EVERY_CAMERA
def test_cropped_camera_sees_each_point_shifted(camera):
    crop = camera.cropped(100, 40, 300, 200)
    np.testing.assert_allclose(crop.project(POINTS), camera.project(POINTS) - [100, 40], rtol=0, atol=1e-10)
    assert (crop.width, crop.height) == (300, 200)


def test_camera_info_without_options_is_the_camera_itself():
    camera = camera_from_info(640, 480, K.ravel(), PLUMB_BOB)
    np.testing.assert_array_equal(camera.K, K)
    np.testing.assert_array_equal(camera.D, PLUMB_BOB)
    assert not camera.assumed


def test_camera_info_with_roi_then_binning_sees_the_cropped_then_averaged_image():
    full = CameraModel(640, 480, K, PLUMB_BOB)
    delivered = camera_from_info(640, 480, K.ravel(), PLUMB_BOB, roi=(100, 40, 300, 200), binning=(2, 4))
    assert (delivered.width, delivered.height) == (150, 50)
    # the two columns 100, 101 make column 0, whose centre is therefore at 100.5
    expected = (full.project(POINTS) - [100, 40] + 0.5) / [2, 4] - 0.5
    np.testing.assert_allclose(delivered.project(POINTS), expected, rtol=0, atol=1e-10)


def test_binning_of_a_size_that_does_not_divide_keeps_the_exact_factor():
    delivered = camera_from_info(641, 481, K.ravel(), binning=(2, 2))
    assert (delivered.width, delivered.height) == (320, 240)
    assert (delivered.K[0, 0], delivered.K[1, 1]) == (300.0, 305.0)


def test_binning_of_zero_and_an_empty_roi_mean_everything():
    camera = camera_from_info(640, 480, K.ravel(), binning=(0, 0), roi=(0, 0, 0, 0))
    np.testing.assert_array_equal(camera.K, K)


def test_rectified_image_uses_p_and_no_distortion():
    P = np.array([[500.0, 0, 310, -40.0], [0, 505.0, 230, 0], [0, 0, 1, 0]])
    camera = camera_from_info(640, 480, K.ravel(), PLUMB_BOB, p=P.ravel(), rectified=True)
    np.testing.assert_array_equal(camera.K, P[:, :3])
    assert len(camera.D) == 0


def test_zero_distortion_is_no_distortion():
    assert len(CameraModel(640, 480, K, np.zeros(5)).D) == 0


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"k": np.zeros(9)}, "uncalibrated"),
        ({"k": np.ones(8)}, "k must have 9 numbers, got 8"),
        ({"k": K.ravel(), "d": [0.1, 0.2, 0.3]}, "'plumb_bob' has 3 coefficients"),
        ({"k": K.ravel(), "d": PLUMB_BOB, "distortion_model": "rational_polynomial"}, "'rational_polynomial' has 5"),
        ({"k": K.ravel(), "distortion_model": "equidistant"}, "'equidistant' is unknown, allowed: plumb_bob, rational"),
        ({"k": K.ravel(), "d": [np.nan] * 5}, "'plumb_bob'"),
        ({"k": K.ravel(), "rectified": True}, "p must have 12 numbers for a rectified image, got 0"),
        ({"k": -K.ravel()}, "positive focal lengths"),
    ],
)
def test_camera_info_that_cannot_be_used_says_why(fields, message):
    with pytest.raises(HpeError, match=message):
        camera_from_info(640, 480, **fields)


@pytest.mark.parametrize("size", [(0, 480), (640, 0), (-1, 480)])
def test_camera_without_pixels_is_refused(size):
    with pytest.raises(HpeError, match="size must be positive"):
        CameraModel(*size, K)


@pytest.mark.parametrize("focal", [(0.0, 600.0), (600.0, 0.0)])
def test_a_camera_whose_focal_length_is_zero_is_refused(focal):
    with pytest.raises(HpeError, match="positive focal lengths"):
        CameraModel(640, 480, np.diag([*focal, 1.0]))


def test_the_smallest_image_has_one_pixel():
    assert CameraModel(1, 1, K).width == 1


def test_two_equations_with_two_unknowns_are_solved_as_numpy_does_and_singular_ones_stay_finite():
    J, right = np.random.default_rng(0).normal(size=(5, 2, 2)), np.random.default_rng(1).normal(size=(5, 2))
    np.testing.assert_allclose(_solved(J, right), np.linalg.solve(J, right[..., None])[..., 0])
    assert np.isfinite(_solved(np.ones((1, 2, 2)), np.ones((1, 2)))).all()


def test_camera_owns_its_numbers():
    mine = K.copy()
    camera = CameraModel(640, 480, mine)
    mine[0, 0] = 1.0
    assert camera.K[0, 0] == 600.0
