"""Files of samples, labelled images, synthetic faces."""

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm")

from hpe_core.errors import HpeError
from hpe_core.geometry import euler
from training.nlml import heads, samples


def some(count=4):
    rng = np.random.default_rng(0)
    names = np.array([f"p{i}" for i in range(count)])
    R = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    return samples.Samples(rng.normal(size=(count, 68, 3)), rng.random((count, 68)), R, names, names)


def test_a_file_gives_back_its_samples_failures_included(tmp_path):
    faces = some()
    faces.points[2] = np.nan
    faces.save(tmp_path / "s.npz")
    back = samples.load(tmp_path / "s.npz")
    np.testing.assert_allclose(back.points, faces.points, rtol=1e-6)
    assert back.found.tolist() == [True, True, False, True] and back.person.tolist() == faces.person.tolist()
    assert len(back[back.found]) == 3


@pytest.mark.parametrize("name", ["points", "visible", "R_local", "person"])
def test_a_file_that_lacks_something_is_told(tmp_path, name):
    faces = some()
    arrays = {key: getattr(faces, key) for key in faces.__dataclass_fields__ if key != name}
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(HpeError, match=name):
        samples.load(tmp_path / "s.npz")


def test_faces_that_do_not_match_in_number_are_told(tmp_path):
    faces = some()
    arrays = {key: getattr(faces, key) for key in faces.__dataclass_fields__}
    np.savez(tmp_path / "s.npz", **arrays | {"R_local": np.zeros((3, 3, 3))})
    with pytest.raises(HpeError, match="R_local"):
        samples.load(tmp_path / "s.npz")


def test_images_without_a_face_or_without_a_file_stay_in_the_count(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "labels.csv").write_text(
        "file,yaw_deg,pitch_deg,roll_deg\na.png,30,-10,5\ndark.png,0,0,0\ngone.png,0,0,0\n"
    )

    def detector(image):
        return None if image.mean() < 100 else (np.ones((68, 3)), np.ones(68))

    made = samples.from_images(tmp_path, detector)
    assert made.found.tolist() == [True, False, False]
    angles = euler.aflw2000.from_matrix(made.R_local[0])
    np.testing.assert_allclose([angles.yaw, angles.pitch, angles.roll], [30, -10, 5], atol=1e-9)


@pytest.mark.parametrize("text", ["file,yaw_deg\na,1\n", "file,yaw_deg,pitch_deg,roll_deg\na,1,2,north\n"])
def test_labels_that_cannot_be_read_are_told(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(HpeError, match="yaw_deg"):
        samples.from_images(tmp_path, None)
    with pytest.raises(HpeError):
        samples.from_images(tmp_path / "none", None)


def test_synthetic_faces_lie_in_their_limits_and_are_the_same_again():
    if not (heads.DATA / "heads" / "ict_facekit").is_dir():
        pytest.skip(f"no ICT-FaceKit heads in {heads.DATA}")
    limits = np.array([[-20.0, 20.0], [-10.0, 10.0], [-5.0, 5.0]])
    first, second = (samples.synthetic(30, limits, seed=3, order="aflw2000") for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    angles = euler.aflw2000.from_matrix(first.R_local)
    assert np.abs(angles.yaw).max() < 20 and np.abs(angles.pitch).max() < 10 and np.abs(angles.roll).max() < 5
    noisy = samples.synthetic(30, limits, seed=3, order="aflw2000", noise=heads.DetectorNoise())
    assert 0.001 < np.std(noisy.points - first.points) < 0.006
    frontal = samples.synthetic(5, 1e-3 * limits, seed=1)
    assert np.all(frontal.points[:, 30, 2] < frontal.points[:, 27, 2])  # the nose's tip is nearer than its root
