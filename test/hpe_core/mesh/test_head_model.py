import io
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from hpe_core.mesh import head_model

MIRROR = np.array([-1.0, 1.0, 1.0])


def vertex_by_vertex(model, identity, expression, vertices):
    """F of some vertices as the equation is written, a term after the other."""
    points = []
    for v in vertices:
        point = model.mean_m[v].astype(float)
        for weight, moved in zip(identity, model.identity_m, strict=True):
            point = point + weight * moved[v]
        for weight, moved in zip(expression, model.expression_m, strict=True):
            point = point + weight * moved[v]
        points.append(point)
    return np.array(points)


def test_the_vertices_are_the_mean_and_the_weighted_sum_of_identities_and_expressions(model, shape_of):
    shape = shape_of(jawOpen=0.8, eyeBlink_L=1.0)
    vertices = model.vertices_m(shape.identity, shape.expression)
    some = np.arange(0, len(vertices), 97)
    assert vertices.dtype == np.float32
    np.testing.assert_allclose(
        vertices[some], vertex_by_vertex(model, shape.identity, shape.expression, some), atol=1e-6
    )


def test_the_landmarks_are_vertices_of_the_mesh(model, shape_of):
    shapes = [shape_of(seed, mouthSmile_L=0.5) for seed in range(3)]
    landmarks = model.landmarks_m(
        np.array([shape.identity for shape in shapes]), np.array([shape.expression for shape in shapes])
    )
    for shape, points in zip(shapes, landmarks, strict=True):
        vertices = model.vertices_m(shape.identity, shape.expression)
        np.testing.assert_allclose(points, vertices[model.landmark_vertices], atol=1e-6)


def test_the_neutral_mean_head_is_the_reference_head_with_the_sellion_as_origin(model):
    landmarks = model.mean_m[model.landmark_vertices]
    assert np.abs(model.mean_m).sum(1).min() < 1e-6 and np.linalg.norm(landmarks[27]) < 0.006
    apart_m = np.linalg.norm(landmarks - REFERENCE_LANDMARKS_M, axis=1)
    assert np.median(apart_m) < 0.01 and apart_m.max() < 0.03


def test_opening_the_jaw_moves_the_chin_down_and_a_blink_of_one_eye_leaves_the_other_open(model, shape_of):
    def landmarks(**expressions):
        shape = shape_of(**expressions)
        return model.landmarks_m(shape.identity[None], shape.expression[None])[0]

    neutral, open_jaw, blink = landmarks(), landmarks(jawOpen=1.0), landmarks(eyeBlink_L=1.0)
    assert open_jaw[8, 1] - neutral[8, 1] > 0.015  # y points down
    gap_left = np.linalg.norm(blink[43] - blink[47]) / np.linalg.norm(neutral[43] - neutral[47])
    gap_right = np.linalg.norm(blink[37] - blink[41]) / np.linalg.norm(neutral[37] - neutral[41])
    assert gap_left < 0.4 and gap_right > 0.95


def test_signs_of_identities_and_partners_of_expressions_mirror_a_person_to_half_a_millimetre(model, shape_of):
    shape = shape_of(3, eyeBlink_L=1.0, mouthSmile_R=0.6, jawLeft=0.5, mouthRight=0.3)
    expression = shape.expression[model.expression_mirror]
    assert expression[model.expression_names.index("eyeBlink_R")] == 1.0
    assert expression[model.expression_names.index("jawRight")] == 0.5
    skin = model.part == head_model.SKIN
    vertices = model.vertices_m(shape.identity, shape.expression)[skin] * MIRROR
    mirrored = model.vertices_m(model.identity_mirror * shape.identity, expression)[skin]
    neutral = model.mean_m[skin]
    partner = np.array([np.argmin(np.sum((neutral - point) ** 2, 1)) for point in neutral[::53] * MIRROR])
    np.testing.assert_allclose(mirrored[::53], vertices[partner], atol=0.0005)


def test_the_shipped_file_has_its_licence_and_is_at_most_six_megabytes(model):
    assert "MIT License" in model.licence and "USC Institute for Creative Technologies" in model.licence
    assert (catalogue.WEIGHTS / head_model.FILE).stat().st_size < 6e6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_m": np.full((5, 3), np.nan)}, "not finite"),
        ({"triangles": np.array([[0, 1, 99999]])}, "beyond its"),
        ({"landmark_vertices": np.array([-1])}, "beyond its"),
        ({"expression_names": ("jawOpen",) * 53}, "each once"),
    ],
)
def test_parts_that_do_not_fit_are_refused(model, changes, message):
    with pytest.raises(HpeError, match=message):
        replace(model, **changes)


def test_another_file_is_told_from_a_head_model(tmp_path):
    np.savez(tmp_path / "other.npz", mean=np.zeros((4, 3)))
    with pytest.raises(HpeError, match="is not a head model: the head model lacks 'identity'"):
        head_model.load(tmp_path / "other.npz")
    np.savez(tmp_path / "short.npz", mean=np.zeros((4, 3)), identity=np.zeros((39, 4, 3)))
    with pytest.raises(HpeError, match=r"'identity' of the head model has shape \(39, 4, 3\)"):
        head_model.load(tmp_path / "short.npz")


@pytest.fixture(scope="module")
def small_file():
    """A whole head model of 70 vertices."""
    rng = np.random.default_rng(0)
    arrays = {
        "mean": rng.normal(size=(70, 3)),
        "identity": rng.normal(size=(40, 70, 3)).astype(np.float16),
        "expression": rng.normal(size=(53, 70, 3)).astype(np.float16),
        "expression_names": np.array([f"e{i}" for i in range(53)]),
        "triangles": np.array([[0, 1, 2]], np.uint16),
        "part": np.zeros(70, np.uint8),
        "landmark_vertices": np.arange(68),
        "identity_mirror": np.ones(40),
        "log_size": np.zeros(40),
        "licence": np.array("none"),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_damaged_files_are_refused_in_one_line_or_read_whole(small_file, tmp_path_factory, data):
    damaged = bytearray(small_file[: data.draw(st.integers(0, len(small_file)))])
    for position in data.draw(st.lists(st.integers(0, len(small_file) - 1), max_size=5)):
        if position < len(damaged):
            damaged[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("fuzz") / "m.npz"
    path.write_bytes(bytes(damaged))
    try:
        model = head_model.load(path)
    except HpeError as error:
        assert "\n" not in str(error)
    else:
        assert all(getattr(model, field.name) is not None for field in fields(model))
