"""A rendered head that turns once around (training.bags.make_full_turn), a stream at 30 Hz: what is published holds."""

import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.decision import Attention, Head, State
from hpe_core.attention.targets import PlacedTarget
from hpe_core.config import PipelineConfig, overridden
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.gaze import GAZE_HEAD
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.pipeline import Pipeline

FOLDER = Path(__file__).parent / "full_turn"
TRUTH = json.loads((FOLDER / "truth.json").read_text())
R_TRUE = np.array(TRUTH["R_camera_head"])
CAMERA = CameraModel.from_hfov(TRUTH["width"], TRUTH["height"], TRUTH["hfov_deg"])
LAPS = 1.5
FRAME_NS = 33_333_333
AWAY_DEG = np.degrees(np.arccos(np.clip(-(R_TRUE @ GAZE_HEAD)[:, 2], -1.0, 1.0)))  # 0: looks along the camera's axis


def frames():
    """60 images (H, W, 3), 6 degrees of yaw apart."""
    sheet = cv2.imread(str(FOLDER / "frames.jpg"))
    rows, columns = sheet.shape[0] // CAMERA.height, sheet.shape[1] // CAMERA.width
    tiles = sheet.reshape(rows, CAMERA.height, columns, CAMERA.width, 3).swapaxes(1, 2)
    return tiles.reshape(-1, CAMERA.height, CAMERA.width, 3)


@functools.cache
def turned(model, every=1):
    """List of (index of the frame, FrameResult) of one and a half turns; `every` frame is seen so often."""
    images, pipeline = frames(), Pipeline(overridden(PipelineConfig(), {"estimator": {"model": model}}))
    numbers = np.repeat(np.arange(int(LAPS * len(images))), every) % len(images)
    return [(k, pipeline.process(images[k], CAMERA, i * FRAME_NS)) for i, k in enumerate(numbers)]


@pytest.mark.parametrize("model", ["fusion", "fusion_int8", "nlml", "head6dof", "head6dof_int8"])
def test_every_pose_of_a_full_turn_is_right_or_says_how_wrong_it_may_be(model):
    for k, result in turned(model):
        for face in result.faces:
            error_deg = np.degrees(so3.geodesic_angle(face.pose.R_camera_head, R_TRUE[k]))
            assert error_deg < max(30.0, 3.0 * face.pose.rotation_std_deg), f"turned by {AWAY_DEG[k]:.0f} degrees"


@pytest.mark.parametrize("model", ["fusion_int8", "nlml"])
def test_the_back_of_a_head_is_counted_and_not_told_and_every_face_up_to_100_degrees_is(model):
    results = turned(model)
    assert all(len(result.faces) == 1 for k, result in results if AWAY_DEG[k] < 100.0)
    assert not any(result.faces for k, result in results if AWAY_DEG[k] > 145.0)
    assert sum(result.counts["unconfirmed"] for k, result in results if AWAY_DEG[k] > 145.0) > 5
    assert sum(result.counts["unconfirmed"] for k, result in results if AWAY_DEG[k] < 100.0) == 0


def test_what_is_not_published_is_known_as_a_candidate_where_the_head_is():
    """So that it can be hidden in pictures: a back of a head, and a face that a crop does not confirm."""
    unpublished = [
        (k, result) for k, result in turned("fusion_int8") if result.counts["unconfirmed"] and not result.faces
    ]
    assert len(unpublished) > 5
    for k, result in unpublished:
        centre_m = np.array(TRUTH["t_camera_head_m"][k]) + R_TRUE[k] @ FACE_CENTRE_M
        x0, y0, x1, y1 = result.candidate_boxes_px.T
        nearest = np.linalg.norm([0.5 * (x0 + x1), 0.5 * (y0 + y1)] - CAMERA.project(centre_m)[:, None], axis=0).min()
        assert nearest < 0.5 * REFERENCE_LENGTH_M * CAMERA.K[0, 0] / centre_m[2]


def test_a_face_that_turns_away_for_less_than_the_timeout_keeps_its_id():
    assert len({face.face_id for _, result in turned("fusion_int8") for face in result.faces}) == 1


@pytest.mark.parametrize("model", ["fusion_int8", "head6dof_int8"])
def test_nobody_is_said_to_look_while_the_camera_sees_the_back_of_the_head(model):
    attention, camera, states = (
        Attention(AttentionConfig(start_dwell_s=0.1)),
        PlacedTarget("camera", np.zeros(3), 0),
        [],
    )
    for i, (k, result) in enumerate(turned(model, every=3)):
        heads = [Head(face.face_id, face.pose) for face in result.faces]
        judged, _ = attention.update(i * FRAME_NS, heads, [camera])
        states.append((AWAY_DEG[k], {judgement.state for judgement in judged}))
    assert any(seen == {State.LOOKING} for away, seen in states if away < 10.0)
    assert not any(State.LOOKING in seen for away, seen in states if away > 90.0)
    assert any(not seen or seen == {State.UNKNOWN} for away, seen in states if away > 170.0)
