import csv
import json
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core import CameraModel, HpeError
from hpe_core.api.face import FacePose
from hpe_core.api.faces import Faces
from hpe_core.cli.main import main
from hpe_core.face_id import FaceId
from hpe_core.geometry import euler
from hpe_core.geometry.euler import EulerDeg
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel.from_hfov(640, 480, 60.0)


def face(angles, t=(0.0, 0.0, 1.0), std_deg=3.0, box=(250, 180, 390, 330), score=0.9):
    """A FacePose with these angles (yaw, pitch, roll in degrees) at t metres; without std_deg without covariance."""
    covariance = None if std_deg is None else np.diag([1e-4] * 3 + [np.radians(std_deg) ** 2] * 3)
    pose = HeadPose(euler.aflw2000.to_matrix(EulerDeg(*angles)), np.array(t), covariance)
    return FacePose(Face(pose, score, np.array(box, float)), CAMERA)


def test_angles_are_plain_floats_and_those_of_the_rotation():
    one = face((20.0, -10.0, 5.0))
    assert (one.yaw, one.pitch, one.roll) == pytest.approx((20.0, -10.0, 5.0))
    assert {
        type(value) for value in (one.yaw, one.pitch, one.roll, one.score, one.distance_m, one.std_deg, *one.box)
    } == {float}


def test_yaw_above_0_points_the_nose_to_the_images_left_pitch_up_and_roll_clockwise():
    nose = np.array([0.0, 0.0, -1.0])  # the head frame's z goes into the skull
    assert (face((30, 0, 0)).R @ nose)[0] < 0
    assert (face((0, 30, 0)).R @ nose)[1] < 0  # y is down
    up = face((0, 0, 30)).R @ [0.0, -1.0, 0.0]
    assert up[0] > 0 and up[1] < 0  # the top of the head goes to the image's right


def test_the_quaternion_is_that_of_the_rotation_with_w_last():
    one = face((20.0, -10.0, 5.0))
    np.testing.assert_allclose(Rotation.from_quat(one.quaternion).as_matrix(), one.R, atol=1e-12)
    frontal = Rotation.from_quat(face((0, 0, 0)).quaternion_ros).as_matrix()
    np.testing.assert_allclose(frontal @ [1.0, 0, 0], [0, 0, -1], atol=1e-12)  # REP-155: x out of the face
    np.testing.assert_allclose(frontal @ [0, 0, 1.0], [0, -1, 0], atol=1e-12)  # z to the scalp


def test_arrays_are_copies():
    one = face((20.0, -10.0, 5.0))
    for name in ("R", "position_m", "covariance"):
        getattr(one, name)[...] = 7.0
    assert one.yaw == pytest.approx(20.0) and one.distance_m == 1.0 and one.std_deg == pytest.approx(3.0)


def test_what_is_unknown_is_none():
    one = face((0, 0, 0), std_deg=None)
    assert one.covariance is one.std_deg is one.depth_std_m is one.landmarks_px is one.landmarks_m is one.id is None
    assert one.landmarks_visible is one.face_visibility is one.to_dict()["face_visibility"] is None


def test_somebody_at_the_side_who_faces_the_camera_has_no_angles_relative_to_the_line_of_sight():
    """At 45 degrees to the image's right the camera is 45 degrees to the image's left of straight ahead."""
    aside = face((45.0, 0.0, 0.0), t=(1.0, 0.0, 1.0))
    angles = aside.relative_to_line_of_sight()
    assert abs(angles.yaw) < 3.0 and abs(angles.pitch) < 3.0  # seen from the face's centre, not from the sellion
    assert aside.looks_at_camera() is True
    ahead = face((0.0, 0.0, 0.0), t=(1.0, 0.0, 1.0))
    assert ahead.relative_to_line_of_sight().yaw == pytest.approx(-45.0, abs=3.0)
    assert ahead.looks_at_camera() is False
    assert {type(value) for value in (angles.yaw, angles.pitch, angles.roll)} == {float}


@pytest.mark.parametrize("yaw, within, answer", [(0, 10, True), (8, 10, True), (12, 10, False), (12, 20, True)])
def test_looking_at_the_camera_is_pointing_there_within_some_degrees(yaw, within, answer):
    assert face((yaw, 0, 0), std_deg=1.0).looks_at_camera(within_deg=within) is answer


@pytest.mark.parametrize(
    "unknown", [face((0, 0, 0), std_deg=None), face((0, 0, 0), std_deg=13.0), face((0, 0, 0), box=(0, 0, 40, 60))]
)
def test_who_cannot_be_judged_is_neither_looking_nor_not(unknown):
    assert unknown.looks_at_camera() is None


@pytest.mark.parametrize("within", [0, 91, -3, float("nan"), "near"])
def test_an_angle_that_is_none_is_refused(within):
    with pytest.raises(HpeError, match="within_deg must"):
        face((0, 0, 0)).looks_at_camera(within)


def test_landmarks_lie_in_the_box_of_the_face(est, image):
    (one,) = est.predict(image)
    assert one.landmarks_px.shape == (68, 2) and one.landmarks_m.shape == (68, 3)
    assert one.landmarks_visible.shape == (68,)
    x0, y0, x1, y1 = one.box
    inner = one.landmarks_px[17:]  # without the contour, which lies on its edge
    assert np.all((inner > [x0 - 10, y0]) & (inner < [x1 + 10, y1]))
    assert np.linalg.norm(one.landmarks_m.mean(0) - one.position_m) < 0.1
    nose = one.landmarks_px[30]  # its tip
    assert nose[0] < one.landmarks_px[27][0]  # yaw above 0: to the left of its root


def test_short_texts():
    one = face((20.04, -10.0, 5.0))
    assert repr(one) == "<face: yaw +20.0, pitch -10.0, roll +5.0 deg, 1.00 m, score 0.90>"
    assert repr(Faces([one], CAMERA, {})) == f"<1 face\n {one!r}>"


def test_faces_are_a_sequence():
    three = Faces([face((angle, 0, 0)) for angle in (1, 2, 3)], CAMERA, {})
    assert len(three) == 3 and [round(one.yaw) for one in three] == [1, 2, 3]
    assert isinstance(three[1:], Faces) and len(three[1:]) == 2 and three[-1].yaw == pytest.approx(3)
    with pytest.raises(IndexError):
        three[3]


def test_the_dict_is_ready_for_json(est, image):
    for faces in (
        est.predict(image),
        est.predict(np.zeros_like(image)),
        Faces([face((0, 0, 0), std_deg=None)], CAMERA, {}),
    ):
        values = faces.to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert values["image"] == {"width": 640, "height": 480} and len(values["faces"]) == len(faces)


def test_faces_survive_pickling(est, frames):
    *_, last = est.track(frames[:5])
    again = pickle.loads(pickle.dumps(last))
    assert again.faces.to_dict() == last.faces.to_dict() and again.faces[0].id == last.faces[0].id is not None


def test_a_drawing_is_saved_in_the_format_of_its_name(est, image, folder, tmp_path):
    faces = est.predict(image)
    picture = faces.draw(folder / "photo.png")
    assert picture.save(tmp_path / "out.png") == tmp_path / "out.png"
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png")), picture.bgr)
    assert (picture.bgr != image).any() and np.array_equal(picture.rgb, picture.bgr[:, :, ::-1])
    assert picture._repr_png_().startswith(b"\x89PNG")
    for name, words in (
        ("out.docx", "got suffix '.docx'"),
        ("out", "got suffix ''"),
        ("no/out.png", "cannot be written"),
    ):
        with pytest.raises(HpeError, match=words):
            picture.save(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png"]


def test_faces_are_not_drawn_into_another_image(est, image, three):
    before = image.copy()
    with pytest.raises(HpeError, match="the image is 960x240, but the faces are of one of 640x480"):
        est.predict(image).draw(three)
    est.predict(image).draw(image)
    np.testing.assert_array_equal(image, before)


def test_the_table_has_the_numbers_of_poses_csv(est, folder, tmp_path):
    pandas = pytest.importorskip("pandas", reason="NOT TESTED: to_pandas (pip install pandas)")
    options = ["--no-overlay", "--backend", "onnxruntime", "--out", str(tmp_path / "out")]
    extras = ("covariance", "landmarks", "landmarks_m")
    options += ["--columns", ",".join(extras)]
    assert main(["run", str(folder / "photo.png"), *options]) == 0
    with open(tmp_path / "out" / "poses.csv") as file:
        (row,) = csv.DictReader(file)
    table = est.predict(folder / "photo.png").to_pandas(columns=extras)
    assert [*row] == ["source", "frame", "stamp_ns", *table.columns, "error"]
    assert isinstance(table, pandas.DataFrame) and len(table) == 1
    for name in table.columns.drop("face_id"):
        assert float(row[name]) == pytest.approx(table[name][0], abs=6e-3), name
    assert table["face_id"][0] is None
    empty = est.predict(np.zeros((48, 64, 3), np.uint8)).to_pandas(extras)
    assert list(empty.columns) == list(table.columns) and len(empty) == 0


def test_supervision_gets_boxes_scores_ids_and_angles(est, frames, three):
    supervision = pytest.importorskip("supervision", reason="NOT TESTED: to_supervision (pip install supervision)")
    faces = est.predict(three)
    found = faces.to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == 3 and found.tracker_id is None
    np.testing.assert_allclose(found.xyxy, [face.box for face in faces], rtol=1e-5)
    np.testing.assert_allclose(found[found.confidence > 0].data["yaw_deg"], [face.yaw for face in faces])
    assert supervision.BoxAnnotator().annotate(three.copy(), found).shape == three.shape
    *_, last = est.track(frames[:5])
    assert last.faces.to_supervision().tracker_id.tolist() == [FaceId(last.faces[0].id).number]
    assert len(est.predict(np.zeros_like(three)).to_supervision()) == 0


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_package_that_is_not_installed_is_named(package):
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from hpe_core import CameraModel, HpeError\n"
        "from hpe_core.api.faces import Faces\n"
        "try:\n"
        f"    Faces([], CameraModel.from_hfov(6, 4, 60), {{}}).to_{package}()\n"
        "except HpeError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"to_{package} needs {package}: pip install {package}"
