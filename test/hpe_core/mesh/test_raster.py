import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.raster import rasterised

SIZE = (40, 30)


def pixel_by_pixel(pixels, depth_m, triangles, colours, width, height):
    """Every triangle at every pixel: inside by the signs of three areas, nearest by the plane of the triangle."""
    picture, depth = np.zeros((height, width, colours.shape[1])), np.full((height, width), np.inf)
    for corners in triangles:
        a, b, c = pixels[corners].astype(float)
        area = np.linalg.det(np.stack([b - a, c - a]))
        if not area < 0.0:
            continue
        low = np.maximum(np.floor(np.minimum(np.minimum(a, b), c)), 0).astype(int)
        high = np.minimum(np.ceil(np.maximum(np.maximum(a, b), c)), [width - 1, height - 1]).astype(int)
        for y in range(low[1], high[1] + 1):
            for x in range(low[0], high[0] + 1):
                p = np.array([x, y])
                shares = [np.linalg.det(np.stack([q - p, r - p])) / area for q, r in ((b, c), (c, a), (a, b))]
                if min(shares) < 0.0:
                    continue
                z = 1.0 / np.dot(shares, 1.0 / depth_m[corners])
                if z < depth[y, x]:
                    depth[y, x], picture[y, x] = z, np.dot(shares, colours[corners])
    return picture, depth


def assert_same(fast, slow, share):
    """The same pixels are covered and of the same colour but for a share: those through whose middle an edge goes."""
    (picture, depth), (plain, plain_depth) = fast, slow
    same = np.isfinite(depth) == np.isfinite(plain_depth)
    both = np.isfinite(depth) & np.isfinite(plain_depth)
    same[both] &= np.abs(depth[both] - plain_depth[both]) < 1e-3 * plain_depth[both]
    same &= np.abs(picture - plain).max(-1) < 0.02 * np.abs(plain).max(initial=1.0)
    assert (~same).sum() <= share * max(both.sum(), 1), (~same).sum()


@pytest.mark.parametrize("seed", range(5))
def test_random_triangles_in_depth_come_out_as_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(-10.0, 50.0, (30, 2)).astype(np.float32)
    depth_m, colours = rng.uniform(0.5, 2.0, 30), rng.uniform(0.0, 1.0, (30, 3))
    triangles = rng.integers(0, 30, (25, 3))
    given = pixels, depth_m, triangles, colours, *SIZE
    assert_same(rasterised(*given), pixel_by_pixel(*given), 0.01)


def test_a_face_comes_out_as_pixel_by_pixel(face_of, camera, model):
    mesh = mesh_of(face_of(yaw=35.0))
    pixels = mesh.pixels(camera) / 4.0
    width, height = 160, 120
    given = pixels, mesh.vertices_m[:, 2], model.triangles, 0.5 - 0.5 * mesh.normals, width, height
    assert_same(rasterised(*given), pixel_by_pixel(*given), 0.01)


def test_the_nearer_of_two_triangles_hides_the_farther_whatever_their_order():
    pixels = np.array([[0, 0], [0, 20], [20, 0]] * 2, np.float32)
    depth_m, colours = np.array([1.0] * 3 + [2.0] * 3), np.array([[1.0]] * 3 + [[0.5]] * 3)
    for triangles in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        picture, depth = rasterised(pixels, depth_m, np.array(triangles), colours, *SIZE)
        assert picture[5, 5] == 1.0 and depth[5, 5] == 1.0
        assert np.isinf(depth[29, 39]) and picture[29, 39] == 0.0


def test_neighbours_leave_no_gap_and_the_back_of_a_triangle_is_not_seen():
    pixels = np.array([[2, 2], [2, 12], [12, 2], [12, 12]], np.float32)
    square, ones = np.array([[0, 1, 2], [2, 1, 3]]), np.ones((4, 1))
    _, depth = rasterised(pixels, np.ones(4), square, ones, *SIZE)
    assert np.isfinite(depth[2:13, 2:13]).all() and np.isfinite(depth).sum() == 11 * 11
    _, depth = rasterised(pixels, np.ones(4), square[:, ::-1], ones, *SIZE)
    assert np.isinf(depth).all()


numbers = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")))


@settings(deadline=None, max_examples=60)
@given(pixels=st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9), data=st.data())
def test_vertices_far_outside_or_nowhere_give_finite_colours(pixels, data):
    count = len(pixels)
    index = st.integers(0, count - 1)
    triangles = np.array(data.draw(st.lists(st.tuples(index, index, index), min_size=1, max_size=6)))
    picture, depth = rasterised(np.array(pixels, np.float32), np.ones(count), triangles, np.ones((count, 1)), *SIZE)
    assert picture.shape == (30, 40, 1) and np.isfinite(picture).all() and not np.isnan(depth).any()


def test_no_triangle_gives_an_empty_picture():
    picture, depth = rasterised(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3), int), np.zeros((0, 3)), *SIZE)
    assert picture.shape == (30, 40, 3) and not picture.any() and np.isinf(depth).all()
