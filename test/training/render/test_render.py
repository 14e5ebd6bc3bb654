"""The renderer's labels and pictures, checked against each other. Skipped where EGL or the data folder is absent."""

import numpy as np
import pytest

moderngl = pytest.importorskip("moderngl", reason="moderngl is not installed")

from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry import head  # noqa: E402
from hpe_core.geometry.camera import CameraModel  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from training.render import sample  # noqa: E402
from training.render.gl import Scene  # noqa: E402

SIZE, K = 192, sample.pinhole(40, 192, 192)


def front_scene(studio, yaw=0.0, pitch=0.0, roll=0.0, size_px=80.0, offset_m=(0.0, 0.0)):
    R = aflw2000.to_matrix(EulerDeg(yaw, pitch, roll))
    centre = np.array([*offset_m, K[0, 0] * head.REFERENCE_LENGTH_M / size_px])
    label = sample.label(K, R, centre - R @ head.FACE_CENTRE_M)
    sh = np.zeros((9, 3))
    sh[0] = 6.0
    scene = Scene(K, SIZE, SIZE, R, label.t_camera_head_m, np.zeros(3), studio.model.pivot_m, sh, 0.4)
    return scene, label


def draw(studio, look, scene):
    loaded = studio.load(look)
    studio._cached = (None, None, None)
    return studio.renderer.draw(loaded.parts, look, scene)


def mean_look(studio, **changes):
    from dataclasses import replace

    from training.render.heads.people import mean_shape

    look = studio.model.sample(np.random.default_rng(3))
    plain = {"shape": mean_shape(), "expression": {}, "hair": None, "extras": (), "beard": 0.0, "size": 1.0}
    return replace(look, **(plain | changes))


def test_size_label_equals_the_numerical_jacobian_of_the_camera():
    rng = np.random.default_rng(0)
    for _ in range(20):
        label = sample.sample_label(rng, 256)
        camera = CameraModel(256, 256, label.K)
        centre = label.R_camera_head @ head.FACE_CENTRE_M + label.t_camera_head_m
        assert label.size_px == pytest.approx(head.REFERENCE_LENGTH_M * head.pixels_per_metre(camera, centre), rel=1e-4)
        assert np.allclose(label.centre_px, camera.project(centre))


def test_a_head_turned_to_the_image_left_has_positive_yaw_and_its_nose_left_of_the_sellion(studio):
    scene, label = front_scene(studio, yaw=30.0)
    assert aflw2000.from_matrix(label.R_local).yaw > 0
    v = next(p for p in studio.model.build(mean_look(studio)).parts if p.name == "body").vertices
    face = v[studio.model.face]
    nose = face[np.argmin(face[:, 2])]
    u = [(K @ (scene.R_camera_head @ p + scene.t_camera_head_m))[:2] for p in (nose, np.zeros(3))]
    z = [(scene.R_camera_head @ p + scene.t_camera_head_m)[2] for p in (nose, np.zeros(3))]
    assert u[0][0] / z[0] < u[1][0] / z[1] - 3


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 10, -20), (-70, -20, 15), (90, 0, 30)])
def test_sellion_lies_at_the_edge_of_the_mask_and_the_face_centre_inside(studio, angles):
    scene, label = front_scene(studio, *angles, offset_m=(0.05, -0.04))
    alpha = draw(studio, mean_look(studio), scene)[..., 3]
    x, y = np.round(label.centre_px).astype(int)
    assert alpha[y, x] == 255
    p = K @ scene.t_camera_head_m  # the sellion is the head's origin
    x, y = np.round(p[:2] / p[2]).astype(int)
    assert alpha[y - 4 : y + 5, x - 4 : x + 5].max() == 255


def test_frontal_mean_head_is_left_right_symmetric(studio):
    scene, _ = front_scene(studio)
    rgba = draw(studio, mean_look(studio), scene).astype(int)
    difference = np.abs(rgba - rgba[:, ::-1])
    assert difference[..., 3].mean() < 1.0  # of 255
    assert difference[..., :3].mean() < 3.0  # skins are nearly symmetric


def test_mask_grows_with_the_size_label(studio):
    look = mean_look(studio)
    rows = []
    for size_px in (40.0, 80.0):
        alpha = draw(studio, look, front_scene(studio, size_px=size_px)[0])[..., 3]
        rows.append(SIZE // 2 - np.flatnonzero(alpha[:, SIZE // 2])[0])  # face centre to the top of the skull
    assert rows[1] / rows[0] == pytest.approx(2.0, rel=0.08)


def test_every_person_has_its_sellion_at_the_origin(studio):
    from training.render.heads.makehuman import SELLION

    for seed in range(5):
        look = studio.model.sample(np.random.default_rng(seed))
        body = studio.model.build(look).parts[0]
        assert np.linalg.norm(body.vertices[SELLION].mean(0)) < 0.004  # expressions move it a little


def test_same_seed_gives_the_same_bytes_in_any_order(studio):
    first = studio.picture(5, 9, 96)
    studio.picture(5, 2, 96)
    again = studio.picture(5, 9, 96)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.alpha, again.alpha)
    assert np.array_equal(first.faces[0].label.R_local, again.faces[0].label.R_local)
    assert np.array_equal(first.faces[0].landmarks.px, again.faces[0].landmarks.px)


def test_missing_data_names_the_folder(tmp_path):
    from training.render.heads.makehuman import HeadModel

    with pytest.raises(HpeError, match="heads/makehuman"):
        HeadModel(tmp_path)
