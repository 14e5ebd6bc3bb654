import cv2
import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh import drawing
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import SKIN, shipped_small

STYLES = ("mesh", "normals", "depth", "wireframe")
GREY = 90


def drawn(face, camera, style, size=(480, 640)):
    canvas = np.full((*size, 3), GREY, np.uint8)
    drawing.draw_mesh(canvas, camera, mesh_of(face, shipped_small()), style)
    return canvas


def changed(canvas):
    return (canvas != GREY).any(-1)


@pytest.fixture
def facing(face_of, shape_of):
    return face_of(0.0, 0.0, 0.0, (0.0, 0.0, 0.6), shape=shape_of())


@pytest.mark.parametrize("style", STYLES)
def test_the_drawn_face_covers_where_its_vertices_are_and_nothing_else(facing, camera, style):
    pixels = mesh_of(facing).pixels(camera)
    x0, y0 = pixels.min(0)
    x1, y1 = pixels.max(0)
    rows, columns = np.nonzero(changed(drawn(facing, camera, style)))
    assert abs(columns.min() - x0) < 3 and abs(columns.max() - x1) < 3
    assert abs(rows.min() - y0) < 3 and abs(rows.max() - y1) < 3
    tip = np.round(pixels[mesh_of(facing).model.landmark_vertices[30]])
    assert style == "wireframe" or changed(drawn(facing, camera, style))[int(tip[1]), int(tip[0])]


def test_the_nose_is_bright_in_depth_and_looks_to_the_camera_in_normals(facing, camera, model):
    pixels = mesh_of(facing).pixels(camera)
    tip, ear = (np.round(pixels[model.landmark_vertices[i]]).astype(int) for i in (30, 0))
    depth, normals = drawn(facing, camera, "depth"), drawn(facing, camera, "normals")
    assert depth[tip[1], tip[0], 0] > 230 and depth[ear[1], ear[0] + 3, 0] < 170
    blue, _, red = normals[tip[1], tip[0]].astype(int)
    assert blue > 200 and abs(red - 127) < 50
    left, right = (normals[tip[1] - 10, tip[0] + side, 2].astype(int) for side in (-60, 60))
    assert left < 100 < 160 < right  # red: to the right of the image


def test_a_larger_picture_of_the_same_face_is_the_same_picture(facing, camera):
    """What is computed on fewer pixels and enlarged differs from what is computed on all of them at edges alone."""
    plain = drawn(facing, camera, "mesh").astype(int)
    most, drawing.MOST_PIXELS = drawing.MOST_PIXELS, 10**9
    try:
        whole = drawn(facing, camera, "mesh").astype(int)
        large = drawn(facing, camera.resized(1920, 1440), "mesh", (1440, 1920))
    finally:
        drawing.MOST_PIXELS = most
    assert np.abs(plain - whole).mean() < 1.0
    shrunk = cv2.resize(large, (640, 480), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(shrunk - whole).mean() < 1.0


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "t", [(0.0, 0.0, 0.05), (0.0, 0.0, -0.03), (0.3, 0.1, 0.4), (5.0, 0.0, 0.5), (0.0, 0.0, -2.0), (0.0, 0.0, 30.0)]
)
def test_a_head_beside_behind_or_in_the_camera_is_drawn_as_far_as_it_is_seen(face_of, camera, style, t):
    canvas = drawn(face_of(t=t), camera, style)
    seen = mesh_of(face_of(t=t)).pixels(camera)
    inside = np.isfinite(seen).all(1) & (seen > 0).all(1) & (seen < [639, 479]).all(1)
    if not inside.any():
        assert not changed(canvas).any()


@pytest.mark.parametrize("style", STYLES)
def test_a_profile_and_the_back_of_a_head_are_drawn_without_fault(face_of, camera, style):
    for yaw in (-90.0, 90.0, 180.0):
        drawn(face_of(yaw=yaw), camera, style)


def test_a_distorted_camera_bends_the_mesh_as_it_bends_the_face(facing):
    K = np.array([[300.0, 0, 319.5], [0, 300.0, 239.5], [0, 0, 1]])
    plain, bent = CameraModel(640, 480, K), CameraModel(640, 480, K, np.array([-0.2, 0.05, 0, 0, 0]))
    a, b = changed(drawn(facing, plain, "mesh")), changed(drawn(facing, bent, "mesh"))
    pixels = mesh_of(facing).pixels(bent)
    assert b.sum() < a.sum()
    assert abs(np.nonzero(b)[1].max() - pixels[:, 0].max()) < 3


def test_the_tongue_is_drawn_behind_open_lips_alone(face_of, camera, shape_of):
    def red_pixels(weight):
        face = face_of(0.0, 0.0, 0.0, (0, 0, 0.4), shape=shape_of(jawOpen=weight))
        blue, _, red = np.moveaxis(drawn(face, camera, "mesh").astype(int), -1, 0)
        return np.sum(red > blue + 40)

    assert red_pixels(0.0) == 0 and red_pixels(1.0) > 100


def test_the_smaller_surface_has_all_landmarks_and_lies_on_the_head_model(model, shape_of):
    small, shape = shipped_small(), shape_of(jawOpen=0.6, eyeBlink_R=1.0)
    assert len(small.mean_m) < 0.3 * len(model.mean_m)
    whole, few = (one.vertices_m(shape.identity, shape.expression) for one in (model, small))
    np.testing.assert_allclose(few[small.landmark_vertices], whole[model.landmark_vertices], atol=1e-6)
    skin = whole[model.part == SKIN]
    few = few[small.part == SKIN]
    # nowhere on the skin is the next drawn vertex farther than the spacing of the rear
    apart = np.array([np.sqrt(np.min(np.sum((few - point) ** 2, 1))) for point in skin[::37]])
    assert apart.max() < 0.011 and np.median(apart) < 0.005
