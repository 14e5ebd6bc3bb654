from dataclasses import replace

import numpy as np
import pytest

from hpe_core.io.frame import Frame
from hpe_core.output.summary import Summary, versions
from hpe_core.types import Face, FrameResult, HeadPose


def result(*face_ids, **counts):
    pose = HeadPose(np.eye(3), [0, 0, 1.0])
    faces = tuple(Face(pose, 0.9, np.zeros(4), face_id) for face_id in face_ids)
    return FrameResult(0, faces, {"inference": 0.010}, counts)


def test_summary_counts_every_frame_once():
    summary = Summary()
    summary.add(result("face_a", "face_b"), {"read": 0.001})
    summary.add(result("face_a", untracked=2, beyond_lens=1), {"read": 0.003})
    summary.add(result(), {"read": 0.002})
    summary.drop("cut off")
    summary.add(result(unconfirmed=4), {"read": 0.002})
    assert (summary.frames, summary.frames_with_faces) == (4, 2)
    assert summary.counts == {"untracked": 2, "beyond_lens": 1, "unconfirmed": 4}
    assert summary.faces == {"face_a": 2, "face_b": 1} and summary.dropped == {"cut off": 1}
    assert summary.latency_ms() == {
        "inference": pytest.approx({"p50": 10.0, "p95": 10.0}, rel=0.005),
        "read": pytest.approx({"p50": 2.0, "p95": 2.85}, rel=0.005),
    }


def test_heads_whose_faces_cannot_be_seen_are_counted():
    summary, one = Summary(), result("face_a", "face_b", "face_c")
    seen = [replace(face, face_visibility=p) for face, p in zip(one.faces, (0.49, 0.5, None), strict=True)]
    summary.add(replace(one, faces=tuple(seen)), {})
    assert summary.turned_away == 1


def test_a_stage_that_an_image_does_without_counts_as_0_there():
    summary = Summary()
    for stages in ({"read": 0.004}, {}, {}, {"read": 0.002}, {"read": 0.003}):
        summary.add(result(), stages)
    assert summary.latency_ms()["read"]["p50"] == pytest.approx(2.0, rel=0.005)


def test_counts_of_nlml_are_summed_and_there_are_none_without_it():
    summary = Summary()
    summary.add(result(), {})
    assert set(summary.counts) == {"untracked", "beyond_lens", "unconfirmed"}
    summary.add(result(**{"nlml.candidates": 3, "nlml.rigid": 1, "nlml.out_of_range": 0}), {})
    summary.add(result(**{"nlml.candidates": 2, "nlml.rigid": 1, "nlml.out_of_range": 0}), {})
    assert summary.counts["nlml.candidates"] == 5 and summary.counts["nlml.rigid"] == 2
    assert summary.counts["nlml.out_of_range"] == 0 and "nlml.out_of_range" in summary.counts


def test_reasons_that_differ_in_numbers_alone_are_counted_together():
    summary = Summary()
    for reason in ("cut off after 50 bytes", "cut off after 7 bytes", "encoding rgb8", "encoding bgr8"):
        summary.drop(reason)
    assert summary.dropped == {"cut off after 50 bytes": 2, "encoding rgb8": 1, "encoding bgr8": 1}


def test_no_more_than_100_unreadable_images_are_named_and_all_are_counted():
    summary = Summary()
    for index in range(250):
        summary.drop_frame(Frame(None, 0, "lens", index, f"{index}.jpg", error="cut off"))
    assert [one["source"] for one in summary.unreadable] == [f"{index}.jpg" for index in range(100)]
    assert summary.dropped == {"cut off": 250}


def test_versions():
    assert {"hpe", "python", "numpy", "onnxruntime", "opencv"} <= set(versions())
