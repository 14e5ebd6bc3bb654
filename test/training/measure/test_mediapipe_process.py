"""MediaPipe in a process of its own: the real one where HPE_MEDIAPIPE_PYTHON names it, else said loudly."""

import os
import sys

import numpy as np
import pytest

from bench.latency import sample_frames, with_faces
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.evaluate import Absent
from training.measure.baseline_mediapipe import mediapipe_baseline
from training.measure.mediapipe_process import PYTHON, MediaPipeProcess

with_mediapipe = pytest.mark.skipif(
    PYTHON not in os.environ, reason=f"{PYTHON} names no environment: MediaPipe was NOT run"
)


def test_an_interpreter_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(PYTHON, str(tmp_path / "python"))
    with pytest.raises(HpeError, match=f"{PYTHON}: .*python does not start"):
        MediaPipeProcess(video=False, faces=1)


def test_an_environment_without_mediapipe_is_an_absent_baseline_that_says_so(monkeypatch):
    if "mediapipe" in sys.modules:
        pytest.skip("MediaPipe is in this environment")
    monkeypatch.delenv(PYTHON, raising=False)
    found = mediapipe_baseline()
    assert isinstance(found, Absent) and PYTHON in found.reason and "mediapipe" in found.reason


@with_mediapipe
def test_a_face_has_468_points_in_pixels_and_an_empty_image_has_none():
    frame = with_faces(sample_frames(1)[0], 1)
    mesh = MediaPipeProcess(video=False, faces=2, cores=1)
    points, seconds = mesh.points(frame)
    assert points.shape == (1, 468, 3) and 0 < seconds < 60
    assert np.all(points[0, :, :2].min(0) > 0) and np.all(points[0, :, :2].max(0) < [640, 480])
    assert mesh.points(np.zeros((48, 64, 3), np.uint8))[0].shape == (0, 468, 3)
    mesh.close()
    with pytest.raises((HpeError, ValueError)):
        mesh.points(frame)
