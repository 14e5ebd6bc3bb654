"""A crop network that says nothing but a rotation, by ONNX Runtime, behind the shipped whole-image network."""

import json

import cv2
import numpy as np
import pytest

from hpe_core import HeadPose, catalogue
from hpe_core.backends.tensorrt.parity import FRAMES
from hpe_core.config import PipelineConfig, overridden, repeatable
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, HEAD_FRAME_STD_RAD
from hpe_core.geometry.lookat import local_from_global
from hpe_core.pipeline import Pipeline

pytestmark = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")
PHOTO = cv2.imread(str(FRAMES / "0.jpg"))  # one face of a score of 0.999, in the middle
CAMERA = CameraModel.from_hfov(PHOTO.shape[1], PHOTO.shape[0], 60.0)


def pipeline_of(model):
    settings = {"estimator": {"model": str(model), "threads": 1}, "tracker": {"filter": False}}
    return Pipeline(overridden(repeatable(PipelineConfig()), settings))


def centre_m(face):
    return face.pose.R_camera_head @ FACE_CENTRE_M + face.pose.t_camera_head_m


def test_in_a_stream_every_image_is_detected_and_a_face_keeps_its_id(weights_with_whenet):
    pipeline = pipeline_of("whenet")
    results = [pipeline.process(np.roll(PHOTO, 2 * i, 1), CAMERA, i * 33_000_000) for i in range(5)]
    assert [{"inference", "refinement"} <= set(result.stage_s) for result in results] == [True] * 5
    ids = [[face.face_id for face in result.faces] for result in results]
    assert len(ids[0]) == 1 and ids == [ids[0]] * 5
    assert all(result.counts["unconfirmed"] == 0 for result in results)


def test_the_rotation_is_the_crops_and_the_place_is_that_of_the_whole_image(weights_with_whenet):
    (face,) = pipeline_of("whenet").process(PHOTO, CAMERA, 0).faces
    (alone,) = pipeline_of("head6dof").process(PHOTO, CAMERA, 0).faces
    R_local, _, _ = local_from_global(face.pose.R_camera_head, centre_m(face))
    np.testing.assert_allclose(R_local, np.eye(3), atol=1e-6)  # as the network says of every crop
    assert np.degrees(so3.geodesic_angle(face.pose.R_camera_head, alone.pose.R_camera_head)) > 5.0
    np.testing.assert_allclose(CAMERA.project(centre_m(face)), CAMERA.project(centre_m(alone)), atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(centre_m(face)), np.linalg.norm(centre_m(alone)), rtol=0.02)
    assert face.confirmed is None and face.landmarks is None
    expected_deg = np.hypot(7.0, np.degrees(HEAD_FRAME_STD_RAD))  # 7: of the card
    assert face.pose.rotation_std_deg == pytest.approx(expected_deg, rel=1e-3)


def test_a_box_of_another_detector_gives_a_face_by_one_pass(weights_with_whenet):
    (face,) = HeadPose("whenet", backend="onnxruntime").predict(PHOTO)
    boxed = HeadPose("head6dof_int8+whenet", backend="onnxruntime").predict(PHOTO, boxes=[face.box])
    (again,) = boxed
    assert again.box_index == 0 and boxed.counts["unconfirmed"] == 0
    assert again.distance_m == pytest.approx(face.distance_m, rel=0.1)


def test_nlml_without_landmarks_is_one_line(weights_with_whenet, monkeypatch):
    monkeypatch.setitem(catalogue.METHODS, "nlml", catalogue.Method("head6dof", "whenet", "nlml"))
    with pytest.raises(HpeError, match=r"^nlml needs landmarks, and whenet has no column 'landmarks_m'$"):
        pipeline_of("nlml")


def test_a_network_that_places_faces_but_has_no_landmarks_tracks_them(tmp_path, write_fixed_crops):
    row = {"centre_m": [0, 0], "log_size": 0, "log_centre_std_m": np.log(0.003), "log_size_std": np.log(0.03)}
    pipeline = pipeline_of(f"head6dof+{write_fixed_crops(tmp_path / 'placed.onnx', **row)}")
    results = [pipeline.process(PHOTO, CAMERA, i * 33_000_000) for i in range(3)]
    assert ["inference" in result.stage_s for result in results] == [True, False, False]
    assert [[face.confirmed for face in result.faces] for result in results] == [[True]] * 3


@pytest.mark.parametrize("plus", ["", "head6dof+"])
def test_a_crop_that_gives_no_rotation_gives_no_face_and_is_counted(weights_with_whenet, write_fixed_crops, plus):
    write_fixed_crops(weights_with_whenet / "zoo" / "whenet.onnx", sixd=np.zeros(6))
    (weights_with_whenet / catalogue.SUMS).write_text(json.dumps(catalogue.actual_sums()))
    pipeline = pipeline_of(f"{plus}whenet")
    result = pipeline.process(PHOTO, CAMERA, 0)
    assert result.faces == () and result.counts["unconfirmed"] == len(result.candidate_boxes_px) >= 1
    result, rows = pipeline.process_boxes(PHOTO, CAMERA, np.array([[142.0, 82.0, 191.0, 152.0]]))
    assert (result.faces, rows, result.counts["unconfirmed"]) == ((), [], 1)
