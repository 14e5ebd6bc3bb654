"""The rendered cameras stand where the demo's list of cameras says."""

from pathlib import Path

import numpy as np

from hpe_core.people.camera_list import read_camera_list
from training.bags.make_two_cameras import ROOM_FRAME, SECONDS, VIEWS, person_motion

LIST = read_camera_list(Path(__file__).parents[3] / "config" / "cameras_demo.yaml")


def test_the_list_of_the_demo_has_the_places_from_which_it_was_rendered():
    assert LIST.fixed_frame == ROOM_FRAME
    for view, camera in zip(VIEWS, LIST.cameras, strict=True):
        assert (camera.name, camera.frame_id) == (view.name, view.frame_id)
        np.testing.assert_allclose(camera.place.R_fixed_camera, view.R_room_camera, atol=1e-12)
        np.testing.assert_allclose(camera.place.t_fixed_camera_m, view.t_room_camera_m)


def test_the_person_faces_the_wall_of_the_cameras_and_crosses_both_views():
    from hpe_core.geometry.gaze import GAZE_HEAD

    for t in np.linspace(0.0, SECONDS, 25):
        R, place = person_motion(t, np.zeros(3))
        assert (R @ GAZE_HEAD)[0] > 0.7
        assert 1.3 < place[2] < 1.6
    for view, t in zip(VIEWS, (1.0, 7.8), strict=True):
        in_camera = view.R_room_camera.T @ (person_motion(t, np.zeros(3))[1] - view.t_room_camera_m)
        assert abs(in_camera[0]) < in_camera[2] * np.tan(np.radians(30.0))
