"""The pair of networks from freely licensed data: it needs no other weights, and its INT8 form says what it says."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hpe_core import catalogue
from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.sources import open_source
from hpe_core.pipeline import Pipeline

pytestmark = pytest.mark.skipif("crop6dof_open" not in catalogue.networks(), reason="no open weights here")
BAG = Path(__file__).parents[3] / "assets" / "sample_bag"
OPEN = ["open", "open_int8", "head6dof_open", "head6dof_open_int8"]


def rotations_in_bag(model):
    """R_camera_head (3, 3) of the one face in each of the first frames of the sample bag, unfiltered."""
    settings = {"estimator": {"model": model, "backend": "onnxruntime"}, "tracker": {"filter": False}}
    pipeline = Pipeline(overridden(PipelineConfig(), settings))
    found = []
    with open_source(str(BAG)) as source:
        for _, frame in zip(range(30), source, strict=False):
            height, width = frame.image_bgr.shape[:2]
            camera = CameraModel.from_hfov(width, height, 60.0)
            (face,) = pipeline.process(frame.image_bgr, camera, frame.stamp_ns).faces
            found.append(face.pose.R_camera_head)
    return np.stack(found)


def test_the_open_pair_finds_the_face_of_the_sample_bag_and_int8_turns_it_by_less_than_two_degrees():
    full, int8 = (rotations_in_bag(model) for model in ("open", "open_int8"))
    assert np.degrees(np.median(so3.geodesic_angle(full, int8))) < 2.0
    assert np.degrees(np.median(so3.geodesic_angle(full, rotations_in_bag("fusion")))) < 5.0


def test_the_open_pair_runs_where_all_other_weights_were_deleted(tmp_path, monkeypatch):
    for path in catalogue.WEIGHTS.iterdir():
        if "_open" in path.name or path.name == catalogue.SUMS:
            shutil.copy(path, tmp_path)
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    assert catalogue.models() == OPEN
    assert len(rotations_in_bag("open_int8")) == 30
    with pytest.raises(HpeError, match="unknown model 'head6dof_int8', known: crop6dof_open"):
        Pipeline(overridden(PipelineConfig(), {"estimator": {"model": "auto", "backend": "onnxruntime"}}))
