import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.nlml.infer import infer
from hpe_core.nlml.landmarks import centred_and_scaled, isotropic, original_normalised
from hpe_core.nlml.model import load


@pytest.mark.parametrize("kind", ["so3", "cosine", "fourier"])
def test_a_saved_model_comes_back(build_model, tmp_path, kind):
    model = build_model(kind, hidden_noise=2.5, covariance_scale=1.5)
    model.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    R = np.eye(3)[None]
    np.testing.assert_allclose(again.points(R), model.points(R), atol=1e-4)  # weights are kept as float16
    assert (again.hidden_noise, again.covariance_scale, again.order) == (2.5, 1.5, "yaw_first")
    assert json.loads((tmp_path / "m.json").read_text()) == {"name": "test"} == again.card
    points = model.points(R, np.ones((1, 2)))
    np.testing.assert_allclose(infer(again, points).R_local, infer(model, points).R_local, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_std": np.zeros(36)}, "positive"),
        ({"noise_std": np.ones(35)}, "do not fit"),
        ({"weights": np.full((3, 10, 36), np.nan)}, "not finite"),
        ({"limits_deg": np.zeros((2, 2))}, "limits_deg"),
        ({"normalisation": "eyes"}, "free, original"),
        ({"order": "xyz"}, "yaw_first"),
        ({"hidden_noise": 0.5}, "at least 1"),
    ],
)
def test_a_model_whose_parts_do_not_fit_is_refused(build_model, changes, message):
    with pytest.raises(HpeError, match=message):
        build_model(**changes)


def test_a_missing_file_and_a_file_that_is_no_model_are_told_apart(tmp_path):
    with pytest.raises(HpeError, match="No such file"):
        load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(HpeError, match="format"):
        load(tmp_path / "other.npz")
    np.savez(tmp_path / "object.npz", format=np.array([{}], dtype=object))
    with pytest.raises(HpeError, match="pickle"):
        load(tmp_path / "object.npz")


@pytest.fixture(scope="module")
def model_bytes():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("nlml_conftest", Path(__file__).with_name("conftest.py"))
    helpers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helpers)
    model = helpers.make_model("cosine")
    buffer = io.BytesIO()
    arrays = {name: np.asarray(getattr(model, name), np.float32) for name in ("weights", "features", "noise_std")}
    np.savez(buffer, format=np.array(1), **arrays)
    return buffer.getvalue()


@given(st.data())
def test_damaged_model_files_are_refused_in_one_line(model_bytes, tmp_path_factory, data):
    damaged = bytearray(model_bytes[: data.draw(st.integers(0, len(model_bytes)))])
    for position in data.draw(st.lists(st.integers(0, len(model_bytes) - 1), max_size=5)):
        if position < len(damaged):
            damaged[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("fuzz") / "m.npz"
    path.write_bytes(bytes(damaged))
    with pytest.raises(HpeError) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_original_normalisation_puts_the_nose_at_zero_and_the_eyes_one_apart():
    points = np.random.default_rng(0).normal(size=(2, 68, 3))
    x = original_normalised(points)
    np.testing.assert_allclose(x[:, 30], 0.0)
    np.testing.assert_allclose(np.linalg.norm(x[:, 36] - x[:, 45], axis=-1), 1.0)


def test_eye_corners_at_one_point_have_no_original_normalisation():
    assert np.isnan(original_normalised(np.zeros((1, 68, 3)))).all()
    with pytest.raises(HpeError, match="468"):
        original_normalised(np.zeros((1, 5, 3)))


def test_centring_counts_only_what_is_seen():
    points = np.zeros((1, 3, 3))
    points[0, :, 0] = [0.0, 2.0, 1000.0]
    x = centred_and_scaled(points, np.array([[1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(x[0, :2, 0], [-1.0, 1.0])


def test_fractions_of_a_wide_image_become_isotropic():
    np.testing.assert_allclose(isotropic([[0.5, 0.5, 0.1]], 640, 480), [[320.0, 240.0, 64.0]])
