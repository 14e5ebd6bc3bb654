"""Pictures of single faces, on images in which points of a known head are marked."""

import numpy as np
import pytest

from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.pixels.face_pictures import CROP_M, SIDE_PX, aligned_face_crop, face_crop, roll_of
from hpe_core.types import HeadPose

PINHOLE = CameraModel.from_hfov(640, 480, 60.0)
LENS = CameraModel(1280, 720, [[1100.0, 0, 650], [0, 1090.0, 350], [0, 0, 1]], [-0.28, 0.09, 1e-3, -5e-4, -0.01])
PIXELS_PER_M = SIDE_PX / CROP_M
MIDDLE = (SIDE_PX - 1) / 2.0
OUTER_EYE_CORNERS_M = {"subject's right": [-0.045, 0.004, 0.020], "subject's left": [0.045, 0.004, 0.020]}


def head(yaw=0.0, pitch=0.0, roll=0.0, centre_m=(0.0, 0.0, 0.8)):
    """HeadPose with its face centre there."""
    R = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=pitch, roll=roll))
    return HeadPose(R, np.array(centre_m) - R @ FACE_CENTRE_M)


def place_of(point_m, crop_of, pose, camera):
    """Where (x, y) a crop shows a point of the head, from a soft dot drawn in the image."""
    x, y = camera.project(pose.t_camera_head_m + pose.R_camera_head @ point_m)
    rows, columns = np.mgrid[: camera.height, : camera.width]
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 5.0**2)
    crop = crop_of(np.dstack([dot] * 3).astype(np.uint8), camera, pose)[..., 1].astype(float)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    return np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()


@pytest.mark.parametrize("crop_of", [face_crop, aligned_face_crop])
@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "plumb_bob"])
def test_the_face_centre_is_in_the_middle_wherever_the_head_is(crop_of, camera):
    for roll in (0.0, 50.0, -140.0):
        pose = head(roll=roll, centre_m=(0.25, -0.15, 0.9))
        np.testing.assert_allclose(place_of(FACE_CENTRE_M, crop_of, pose, camera), MIDDLE, atol=0.3)


def test_a_crop_is_as_wide_as_a_head_at_every_distance():
    for range_m in (0.5, 1.5):
        pose = head(centre_m=(0.0, 0.0, range_m))
        beside = FACE_CENTRE_M + [0.05, 0.0, 0.0]
        expected = [MIDDLE + 0.05 * PIXELS_PER_M, MIDDLE]
        for crop_of in (face_crop, aligned_face_crop):
            np.testing.assert_allclose(place_of(beside, crop_of, pose, PINHOLE), expected, atol=0.4)


@pytest.mark.parametrize("roll", [-170.0, -60.0, 0.0, 35.0, 90.0])
@pytest.mark.parametrize("turned", [{}, {"yaw": 25.0}, {"pitch": -20.0}])
def test_the_eyes_are_level_in_the_aligned_crop_and_as_the_camera_sees_them_in_the_other(roll, turned):
    R = so3.matrix_from_rotvec([0.0, 0.0, np.radians(roll)]) @ head(**turned).R_camera_head
    pose = HeadPose(R, np.array([0.0, 0.0, 0.8]) - R @ FACE_CENTRE_M)

    def tilt_deg(crop_of):
        right, left = (place_of(np.array(p), crop_of, pose, PINHOLE) for p in OUTER_EYE_CORNERS_M.values())
        return np.degrees(np.arctan2(*(left - right)[::-1]))

    assert abs(tilt_deg(aligned_face_crop)) < 3.0  # the farther eye is smaller: perspective
    assert (tilt_deg(face_crop) - roll + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=3.0)


def test_turning_the_image_turns_the_roll_by_as_much_however_the_head_is_turned():
    rng = np.random.default_rng(0)
    for yaw, pitch, roll, turn in rng.uniform(-1, 1, (50, 4)) * [120.0, 60.0, 180.0, 180.0]:
        R = head(yaw, pitch, roll).R_camera_head
        turned = roll_of(so3.matrix_from_rotvec([0.0, 0.0, np.radians(turn)]) @ R)
        assert np.degrees(np.angle(np.exp(1j * (turned - roll_of(R))))) == pytest.approx(turn)


def test_a_head_that_turns_away_and_looks_up_stays_upright_without_a_jump():
    yaw = np.arange(-120.0, 121.0, 1.0)
    roll_deg = np.degrees(roll_of(np.array([head(y, 20.0).R_camera_head for y in yaw])))
    assert np.abs(roll_deg).max() < 40.0
    assert np.abs(np.diff(roll_deg)).max() < 1.5


def test_eyes_of_a_head_45_degrees_to_the_side_and_20_up_are_2_degrees_askew():
    R = head(45.0, 20.0).R_camera_head
    eyes_deg = np.degrees(np.arctan2(R[1, 0], R[0, 0]))
    assert np.degrees(roll_of(R)) - eyes_deg == pytest.approx(2.3, abs=0.1)


@pytest.mark.parametrize("crop_of", [face_crop, aligned_face_crop])
def test_a_face_at_the_images_edge_has_a_picture_of_the_usual_size(crop_of):
    image = np.full((480, 640, 3), 90, np.uint8)
    picture = crop_of(image, PINHOLE, head(roll=30.0, centre_m=(-0.45, 0.33, 0.8)))
    assert picture.shape == (SIDE_PX, SIDE_PX, 3) and picture.dtype == np.uint8 and (picture == 90).all()
