import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.output.annotations import image_annotations
from hpe_core.types import Face, HeadPose, Landmarks

CAMERA = CameraModel(640, 480, np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]))


def face(t_m=(0.0, 0.0, 1.0), landmarks=None):
    """A frontal face of the id `face_a`, whose colour is (86, 180, 233)."""
    return Face(HeadPose(np.eye(3), t_m), 0.9, np.array([300.0, 200.0, 340.0, 260.0]), "face_a", landmarks)


def of_kind(annotations, kind):
    return [one for one in annotations.points if one.kind == kind]


def test_pixels_are_counted_from_the_corner_of_the_image_half_a_pixel_more_than_in_the_box():
    drawn = image_annotations(CAMERA, [face()])
    (box,) = of_kind(drawn, "line_loop")
    assert box.points_px == [(300.5, 200.5), (340.5, 200.5), (340.5, 260.5), (300.5, 260.5)]
    assert box.colours == [pytest.approx((86 / 255, 180 / 255, 233 / 255))]
    assert drawn.circles[0].centre_px == (320.5, 240.5)  # the sellion on the optical axis


def test_axes_are_red_out_of_the_face_green_to_the_subjects_left_and_blue_up():
    (axes,) = of_kind(image_annotations(CAMERA, [face()]), "line_list")
    # 0.1 m at 1 m and 500 px: 50 px to the image's right, and as many up; out of the face is along the line of sight
    assert np.array(axes.points_px) == pytest.approx(
        np.array([(320.5, 240.5), (320.5, 240.5), (320.5, 240.5), (370.5, 240.5), (320.5, 240.5), (320.5, 190.5)])
    )
    assert [int(np.argmax(colour)) for colour in axes.colours] == [0, 1, 2]


def test_a_text_says_id_distance_and_angles():
    (text,) = image_annotations(CAMERA, [face()]).texts
    assert text.text == "face_a 1.00 m, yaw +0 pitch +0 roll +0"


def test_landmarks_that_the_network_sees_are_white_and_the_hidden_ones_grey():
    points_m = np.zeros((68, 3))
    points_m[0, 0] = 0.05
    visible = np.ones(68)
    visible[1:] = 0.2
    seen, hidden = of_kind(image_annotations(CAMERA, [face(landmarks=Landmarks(points_m, visible))]), "points")
    assert (len(seen.points_px), len(hidden.points_px)) == (1, 67)
    assert seen.colours == [(1.0, 1.0, 1.0)] and hidden.colours == [(0.5, 0.5, 0.5)]
    # 0.05 m to the right of the face centre, which lies 0.03 m below the sellion and 0.05 m behind it
    assert seen.points_px[0] == pytest.approx((320.5 + 500 * 0.05 / 1.05, 240.5 + 500 * 0.03 / 1.05), abs=0.1)


def test_what_lies_behind_the_camera_is_not_drawn():
    drawn = image_annotations(CAMERA, [face(t_m=(0.0, 0.0, -1.0))])
    assert [one.kind for one in drawn.points] == ["line_loop"] and drawn.circles == []


def test_no_face_is_nothing_to_draw():
    drawn = image_annotations(CAMERA, [])
    assert drawn.points == drawn.circles == drawn.texts == []
