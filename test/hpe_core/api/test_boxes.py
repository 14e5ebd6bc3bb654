import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core import HeadPose
from hpe_core.api.boxes import checked_boxes
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.pipeline.estimator import places_in_boxes


def apart_deg(a, b):
    return np.degrees(np.linalg.norm(so3.rotvec_from_matrix(a.R @ b.R.T)))


@pytest.mark.parametrize("boxes", [[], (), np.zeros((0, 4)), [[1, 2, 30, 40]], ((1, 2, 30, 40),), [(-5, -5, 30, 40)]])
def test_lists_tuples_and_arrays_of_boxes_are_taken(boxes):
    assert checked_boxes(boxes, 64, 48).shape == (len(boxes), 4)


@pytest.mark.parametrize(
    "boxes, words",
    [
        ([1, 2, 30, 40], "put a single box into a list"),
        ([[1, 2, 30]], r"got shape \(1, 3\)"),
        ([[1, 2, 30, 40], [1, 2]], "list that is no array of numbers"),
        ([["a", "b", "c", "d"]], "no array of numbers"),
        ("boxes", "no array of numbers"),
        ({"x": 1}, "no array of numbers"),
        ([[1, 2, 30, 40], [1, np.nan, 30, 40]], "box 1 is 1, nan, 30, 40: its numbers must be finite"),
        ([[1, 2, np.inf, 40]], "must be finite"),
        ([[0.1, 0.2, 0.5, 0.6]], "multiply x by the width 64, y by the height 48"),
        ([[30, 20, 10, 10]], r"x1 must be above x0 and y1 above y0 \(x, y, width, height\?"),
        ([[30, 20, 30, 30]], "x1 must be above x0"),
        ([[100, 20, 130, 30]], "its centre must lie in the image of 64x48"),
    ],
)
def test_what_are_no_boxes_is_named_in_one_line(boxes, words):
    with pytest.raises(HpeError, match=words) as raised:
        checked_boxes(boxes, 64, 48)
    assert "\n" not in str(raised.value)


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=5), max_size=3))
def test_any_numbers_are_boxes_in_the_image_or_refused(boxes):
    try:
        array = checked_boxes(boxes, 64, 48)
    except HpeError:
        return
    assert np.all(np.isfinite(array)) and np.all(array[:, 2:] > array[:, :2])


def test_the_box_of_a_frontal_head_gives_its_size():
    """0.144 m from ear to ear and 0.186 m from the hairline to the chin, at 1000 px per metre."""
    places = places_in_boxes(np.array([[0.0, 0.0, 144.0, 186.0]]))
    np.testing.assert_allclose(places.size_px, 200.0)
    np.testing.assert_allclose(places.centre_px, [[72.0, 93.0]])


@pytest.mark.parametrize("zoom, limit_deg", [(0.7, 3.5), (1.0, 3.0), (1.5, 3.5)])
def test_a_box_of_another_detector_gives_the_pose_that_full_frame_detection_leads_to(est, three, zoom, limit_deg):
    found = sorted(est.predict(three), key=lambda face: face.box[0])
    boxes = np.array([face.box for face in found])
    centre, half = 0.5 * (boxes[:, :2] + boxes[:, 2:]), 0.5 * zoom * (boxes[:, 2:] - boxes[:, :2])
    again = est.predict(three, boxes=np.hstack([centre - half, centre + half])[::-1])
    assert [face.box_index for face in again] == [0, 1, 2] and [face.score for face in again] == [1.0] * 3
    for face, same in zip(again, reversed(found), strict=True):
        assert apart_deg(face, same) < limit_deg
        assert face.distance_m == pytest.approx(same.distance_m, rel=0.03)


def test_a_box_without_a_face_gives_none_and_is_counted(est, image):
    (face,) = est.predict(image)
    faces = est.predict(image, boxes=[[10, 10, 80, 90], face.box])
    assert [one.box_index for one in faces] == [1] and faces.counts["unconfirmed"] == 1
    assert faces[0].id is None


def test_no_boxes_are_no_faces_and_nothing_is_searched(est, image):
    faces = est.predict(image, boxes=[])
    assert len(faces) == 0 and faces.counts["unconfirmed"] == 0


def test_two_boxes_around_one_face_give_it_twice(est, image):
    (face,) = est.predict(image)
    assert [one.box_index for one in est.predict(image, boxes=[face.box, face.box])] == [0, 1]


def test_each_image_of_a_list_has_boxes_of_its_own(est, image, three):
    (face,) = est.predict(image)
    first, second = est.predict([three, image], boxes=[[], np.array([face.box])])
    assert len(first) == 0 and len(second) == 1
    with pytest.raises(HpeError, match="boxes for 2 images must be a list of as many"):
        est.predict([three, image], boxes=[[]])
    with pytest.raises(HpeError, match="image 1 of the list: boxes must be"):
        est.predict([three, image], boxes=[[], [1, 2]])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_boxes_are_those_of_the_image_as_delivered(est, image, degrees):
    """The picture of an upright head is turned the other way; the camera's rotation sets it right again."""
    turned = np.ascontiguousarray(np.rot90(image, degrees // 90))
    rotated = HeadPose(backend="onnxruntime", settings={"estimator": {"image_rotation": degrees}})
    (face,) = rotated.predict(turned)
    (again,) = rotated.predict(turned, boxes=[face.box])
    assert apart_deg(face, again) < 2.5 and np.abs(np.subtract(face.box, again.box)).max() < 3


def test_the_whole_image_network_alone_takes_no_boxes(image):
    with pytest.raises(HpeError, match="boxes need a method with a crop network"):
        HeadPose("head6dof_int8", backend="onnxruntime").predict(image, boxes=[[10, 10, 90, 90]])
