"""Textures and backgrounds that are drawn, so that no photograph goes into what is trained on them."""

import numpy as np
import pytest

moderngl = pytest.importorskip("moderngl", reason="moderngl is not installed")

from hpe_core.errors import HpeError  # noqa: E402
from training.data.shards import ShardSet  # noqa: E402
from training.render import assets, backgrounds, light  # noqa: E402
from training.render.heads import drawn_skins  # noqa: E402
from training.render.heads.ict import IctModel  # noqa: E402
from training.render.heads.skins import MODES, Baker, fit  # noqa: E402


@pytest.fixture(scope="module")
def model(studio):
    try:
        return IctModel()
    except HpeError as error:
        pytest.skip(str(error))


def test_icts_face_lies_on_the_landmarks_of_a_drawn_person_and_takes_the_colour_of_the_skin(studio, model):
    image, landmarks = drawn_skins.portrait(studio, seed=0, number=0)
    assert ((landmarks > 0) & (landmarks < drawn_skins.SIDE_PX)).all()
    v, camera, residual_m = fit(model, np.concatenate([model.identity[:MODES], model.expression]), landmarks)
    assert np.median(residual_m) < 0.003
    texture = Baker(model).bake(image, v, camera)
    assert texture is not None
    cheek = np.median(image[tuple(np.round(landmarks[[31, 35], ::-1] + [0, 60]).astype(int).T)], 0)
    np.testing.assert_allclose(np.median(texture[:, 512:], (0, 1)), cheek, atol=40)  # the back of the head


def test_beside_a_drawn_face_the_portrait_has_the_colour_of_skin_instead_of_black(studio):
    image, _ = drawn_skins.portrait(studio, seed=0, number=0)
    corners = image[[0, 0], [0, -1]].astype(int)
    assert (corners.sum(-1) > 40).all() and (corners[0] == corners[1]).all()


def test_pictures_without_anybody_become_shards_without_faces(tmp_path, monkeypatch, capsys):
    if not (assets.DEFAULT_DATA / "hdri").exists():
        pytest.skip(f"no environments in {assets.DEFAULT_DATA}")
    kept = light.load_environments(assets.DEFAULT_DATA)[:1]
    monkeypatch.setattr(light, "load_environments", lambda data: kept)
    monkeypatch.setattr("sys.argv", ["backgrounds", "--out", str(tmp_path), "--images", "3", "--seed", "4"])
    backgrounds.main()
    shards = ShardSet([tmp_path])
    assert len(shards) == 3
    for index in range(3):
        image, faces, alpha = shards.read(index)
        assert image.shape == (backgrounds.HEIGHT, backgrounds.WIDTH, 3) and len(faces) == 0 and alpha is None
    again = backgrounds.picture(np.random.default_rng([4, 7, 2]), kept)
    assert np.abs(again[..., ::-1].astype(int) - image).mean() < 8  # the same picture but for JPEG
