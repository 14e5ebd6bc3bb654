"""Renders of ICT-FaceKit heads with expressions: labels, gaze and what is sampled."""

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="moderngl is not installed")

from hpe_core.errors import HpeError
from hpe_core.io import shards as files
from training.data import shards
from training.render import assets
from training.render.heads.expressions import CLOSED, sample_expression
from training.render.heads.ict import LANDMARKS, IctModel
from training.render.make_shards import write_shard


@pytest.fixture(scope="module")
def ict():
    if not (assets.DEFAULT_DATA / "heads" / "ict_facekit").exists():
        pytest.skip(f"no render data in {assets.DEFAULT_DATA}")
    return IctModel()


@pytest.fixture(scope="module")
def photo_studio(tmp_path_factory):
    """A studio of ICT-FaceKit heads with one texture, a plain colour."""
    if not (assets.DEFAULT_DATA / "heads" / "ict_facekit").exists():
        pytest.skip(f"no render data in {assets.DEFAULT_DATA}")
    from training.render.studio import Studio

    skins = tmp_path_factory.mktemp("skins") / "skins.npz"
    texture = cv2.imencode(".jpg", np.full((512, 1024, 3), (120, 150, 200), np.uint8))[1].tobytes()
    np.savez(skins, **shards.packed([texture]), person=np.array(["nobody"]))
    try:
        return Studio(skins=skins, photo_share=1.0, facing=True, bare=True)
    except HpeError as error:
        pytest.skip(str(error))


def only(ict, **units):
    return np.array([units.get(name, 0.0) for name in ict.expression_names])


def test_labels_of_a_rendered_expression_project_to_its_landmarks_in_the_image(photo_studio):
    ict = photo_studio.photo.ict
    for index in (0, 1, 5):
        face = photo_studio.picture(3, index, 96).faces[0]
        v = ict.face(face.label.identity, face.label.expression)[LANDMARKS]
        camera = v @ face.label.R_camera_head.T + face.label.t_camera_head_m
        pixel = camera @ face.label.K.T
        np.testing.assert_allclose(pixel[:, :2] / pixel[:, 2:], face.landmarks.px, atol=1e-3)
        np.testing.assert_allclose(face.label.gaze_rad, ict.gaze_rad(face.label.expression))


def test_another_image_of_the_same_person_has_another_expression(photo_studio):
    first, second = (photo_studio.picture(3, index, 96).faces[0].label for index in (0, 1))
    np.testing.assert_array_equal(first.identity, second.identity)
    assert np.abs(first.expression - second.expression).max() > 0.05


def test_a_shard_keeps_identity_expression_and_gaze_and_one_without_them_says_unknown(photo_studio, tmp_path):
    picture = photo_studio.picture(4, 0, 96)
    write_shard(tmp_path / files.name(0), [picture], ["a test"])
    label, found = picture.faces[0].label, shards.ShardSet([tmp_path]).shape(0)
    for key in files.SHAPE:
        np.testing.assert_allclose(found[key][0], getattr(label, key), atol=1e-6)
    range_m = np.linalg.norm(label.R_camera_head @ [0.0, 0.03, 0.05] + label.t_camera_head_m)
    assert found["per_range"][0] == pytest.approx(1 / range_m, rel=1e-5)
    old = {key: value for key, value in shards.read(tmp_path / files.name(0)).items() if key not in files.SHAPE}
    shards.save(tmp_path / files.name(0), old)
    assert all(np.isnan(shards.ShardSet([tmp_path]).shape(0)[key]).all() for key in files.SHAPE)


def test_eyes_that_look_to_the_subjects_left_turn_both_balls_that_way(ict):
    still, turned = (
        ict.face(np.zeros(1), e) for e in (only(ict), only(ict, eyeLookOut_L=0.5, eyeLookIn_R=0.5, eyeLookUp_L=0.5))
    )
    for number, ball in enumerate(ict.eye_balls):
        pupil = ball[np.argmin(still[ball, 2])]
        assert turned[pupil, 0] > still[pupil, 0] + 0.002  # x is the subject's left
        assert (turned[pupil, 1] < still[pupil, 1] - 0.001) == (number == 0)  # only the left eye looks up
    np.testing.assert_allclose(
        np.degrees(ict.gaze_rad(only(ict, eyeLookOut_L=0.5, eyeLookIn_R=0.5, eyeLookUp_L=0.5))), [20, 15, 20, 0]
    )


def test_expressions_are_weights_of_which_a_third_is_near_neutral_and_some_close_both_eyes(ict):
    rng, names = np.random.default_rng(0), ict.expression_names
    e = np.array([sample_expression(rng, names) for _ in range(1500)])
    assert e.shape == (1500, 53) and e.min() >= 0 and e.max() <= 1
    lids = np.array([name.startswith("eye") for name in names])
    assert 0.25 < (e[:, ~lids].max(1) < 0.13).mean() < 0.45
    closed = e[:, [names.index("eyeBlink_L"), names.index("eyeBlink_R")]] >= CLOSED
    assert 0.08 < closed.all(1).mean() < 0.25 and 0.03 < (closed.sum(1) == 1).mean() < 0.15
    assert 0.1 < (e[:, names.index("jawOpen")] > 0.3).mean() < 0.4
    assert (e[:, names.index("mouthClose")] <= e[:, names.index("jawOpen")] + 0.13).mean() > 0.95
