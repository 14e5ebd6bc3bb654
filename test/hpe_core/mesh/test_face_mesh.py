import numpy as np
import pytest

from hpe_core.mesh.face_mesh import landmarks_at, mesh_of
from hpe_core.mesh.head_model import EYE_LEFT, EYE_RIGHT, SKIN
from hpe_core.mesh.normals import VertexNormals
from hpe_core.types import FaceShape, Landmarks, RangeScale


def loop_normals(vertices, triangles):
    """Area-weighted normals of vertices, triangle by triangle."""
    sums = np.zeros((len(vertices), 3))
    for a, b, c in triangles:
        across = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for vertex in (a, b, c):
            sums[vertex] += across
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)


def test_normals_are_those_of_a_loop_over_the_triangles(model, shape_of):
    shape = shape_of(jawOpen=1.0)
    vertices, triangles = model.vertices_m(shape.identity, shape.expression), model.triangles[::20]
    fast = VertexNormals(triangles)(vertices)
    np.testing.assert_allclose(fast, loop_normals(vertices.astype(float), triangles), atol=2e-3)
    assert (fast[np.setdiff1d(np.arange(len(vertices)), triangles)] == 0.0).all()


def test_normals_of_a_triangle_without_area_are_zero_and_not_nan():
    assert (VertexNormals(np.array([[0, 1, 2]]))(np.ones((3, 3))) == 0.0).all()


@pytest.mark.parametrize("part", [SKIN, EYE_LEFT, EYE_RIGHT])
def test_the_normals_of_a_facing_head_point_out_of_the_head(face_of, model, part):
    """The front of each part looks to the camera: those of its vertices that lie nearest to it."""
    mesh = mesh_of(face_of(0.0, 0.0, 0.0, (0.0, 0.0, 1.0)))
    of_part = model.part == part
    z = mesh.vertices_m[of_part, 2]
    front = z < np.quantile(z, 0.1)
    assert (mesh.normals[of_part][front, 2] < 0.0).mean() > 0.8


def test_a_vertex_is_where_rotation_and_translation_put_it_and_projects_as_the_pinhole_says(face_of, model, camera):
    face = face_of()
    mesh, tip = mesh_of(face), model.landmark_vertices[30]
    head_point = model.vertices_m(face.shape.identity, face.shape.expression)[tip].astype(float)
    point = face.pose.R_camera_head @ head_point + face.pose.t_camera_head_m
    np.testing.assert_allclose(mesh.vertices_m[tip], point, atol=1e-6)
    expected = [320 * point[0] / point[2] / np.tan(np.pi / 6) + 319.5, 320 * point[1] / point[2] / np.tan(np.pi / 6)]
    np.testing.assert_allclose(mesh.pixels(camera)[tip], [expected[0], expected[1] + 239.5], atol=1e-3)


def test_a_head_that_depth_says_is_larger_is_larger_and_farther_and_looks_the_same(face_of, camera):
    face = face_of()
    near = mesh_of(face)
    pose = type(face.pose)(face.pose.R_camera_head, 1.2 * face.pose.t_camera_head_m)
    far = mesh_of(face_of(t=tuple(pose.t_camera_head_m), scale=RangeScale(1.2, 0.01)))
    np.testing.assert_allclose(far.vertices_m, 1.2 * near.vertices_m, atol=1e-5)
    np.testing.assert_allclose(far.pixels(camera), near.pixels(camera), atol=1e-2)


def test_what_lies_behind_the_camera_has_no_pixel(face_of, camera):
    mesh = mesh_of(face_of(0.0, 0.0, 0.0, (0.0, 0.0, -0.05)))
    pixels = mesh.pixels(camera)
    behind = mesh.vertices_m[:, 2] <= 0.0
    assert behind.any() and not behind.all()
    assert np.isnan(pixels[behind]).all() and np.isfinite(pixels[mesh.vertices_m[:, 2] > 0.02]).all()


def test_landmarks_made_of_the_mesh_are_its_vertices_in_the_camera(face_of, model):
    for scale in (None, RangeScale(1.1, 0.02)):
        face = face_of(scale=scale)
        points = landmarks_at(face.pose, 1.0 if scale is None else scale.ratio, face.shape)
        with_landmarks = face_of(scale=scale, landmarks=Landmarks(points, np.ones(68)))
        vertices = mesh_of(face).vertices_m[model.landmark_vertices]
        np.testing.assert_allclose(with_landmarks.landmarks_camera_m, vertices, atol=1e-6)


def test_eyes_turn_by_the_gaze_to_the_subjects_left_and_up_and_nothing_else_moves(face_of, model, shape_of):
    shape = shape_of()
    turned = FaceShape(shape.identity, shape.expression, np.radians([30.0, 0.0, 0.0, 20.0]))
    before, after = (mesh_of(face_of(0.0, 0.0, 0.0, (0, 0, 1.0), shape=s)).vertices_m for s in (shape, turned))
    for part, axis, sign in ((EYE_LEFT, 0, 1.0), (EYE_RIGHT, 1, -1.0)):  # x to the subject's left, y down
        ball = model.part == part
        pupil = np.flatnonzero(ball)[np.argmin(before[ball, 2])]
        assert sign * (after - before)[pupil, axis] > 0.003
        radius = np.linalg.norm(before[ball] - (before[ball].max(0) + before[ball].min(0)) / 2, axis=1)
        assert np.abs((after - before)[ball]).max() < 2.0 * radius.max()
    rest = ~np.isin(model.part, (EYE_LEFT, EYE_RIGHT))
    np.testing.assert_array_equal(after[rest], before[rest])


def test_a_face_of_a_network_that_tells_no_shape_has_no_mesh(face_of):
    face = face_of()
    assert mesh_of(type(face)(face.pose, face.score, face.box_px)) is None
