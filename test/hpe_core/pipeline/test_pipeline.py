from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import hpe_core.rotations.nlml
from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt.parity import FRAMES
from hpe_core.config import PipelineConfig, overridden, repeatable
from hpe_core.errors import HpeError
from hpe_core.face_id import FaceIds
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.sources import open_source
from hpe_core.pipeline import Pipeline, with_method
from hpe_core.types import COUNTED

CAMERA = CameraModel.from_hfov(64, 48, 60.0)
IMAGE = np.zeros((48, 64, 3), np.uint8)
SEEDED = repeatable(PipelineConfig())
_FROM_SEED = FaceIds(SEEDED.tracker.id_seed)
A, B = _FROM_SEED.take(), _FROM_SEED.take()
BAG = Path(__file__).parents[3] / "assets" / "sample_bag"


def row(score, x, y=24.0, size=12.0):
    return [score, x, y, size, 1, 0, 0, 0, 1, 0, 0.05, 0.05, 0.02, 8]


@pytest.fixture
def build(write_onnx, model_card):
    def build(rows, card=None, **settings):
        path = write_onnx(np.reshape(rows, (-1, 14)), model_card() if card is None else card)
        return Pipeline(overridden(SEEDED, {"estimator": {"model": str(path), "threads": 1}} | settings))

    return build


def test_an_image_becomes_tracked_faces_with_metric_poses(build):
    pipeline = build([row(0.9, 16), row(0.85, 48)])
    result = pipeline.process(IMAGE, CAMERA, stamp_ns=1_000)
    assert result.stamp_ns == 1_000
    assert [face.face_id for face in result.faces] == [A, B]
    assert [face.pose.t_camera_head_m[0] < 0 for face in result.faces] == [True, False]
    f = 32 / np.tan(np.radians(30))
    np.testing.assert_allclose([face.pose.t_camera_head_m[2] for face in result.faces], f * 0.2 / 12, rtol=0.1)
    assert set(result.stage_s) == {"preprocess", "inference", "postprocess", "tracking"}


def test_a_face_keeps_its_id_until_reset(build):
    pipeline = build([row(0.9, 16)])
    assert [pipeline.process(IMAGE, CAMERA, i * 33_000_000).faces[0].face_id for i in range(3)] == [A] * 3
    pipeline.reset()
    assert pipeline.process(IMAGE, CAMERA, 0).faces[0].face_id == B


def test_an_image_without_a_face_has_an_empty_result(build):
    result = build([row(0.1, 16)]).process(IMAGE, CAMERA, 0)
    assert result.faces == () and result.counts["untracked"] == 0


def test_the_card_of_the_model_is_at_hand(build, model_card):
    assert build([row(0.9, 16)]).card.raw == model_card()


def test_an_unknown_model_is_named():
    with pytest.raises(HpeError, match="unknown model 'nonesuch', known"):
        Pipeline(overridden(PipelineConfig(), {"estimator": {"model": "nonesuch"}}))


def test_a_model_for_an_unknown_estimator_is_refused(build, model_card):
    with pytest.raises(HpeError, match=r"unknown estimator for whole images 'astrology', known: .*head6dof"):
        build([row(0.9, 16)], card=model_card(estimator="astrology"))


def test_same_stamps_and_images_give_the_same_numbers(build):
    def run():
        pipeline = build([row(0.9, 16), row(0.85, 48)])
        return [pipeline.process(IMAGE, CAMERA, i * 33_000_000).faces for i in range(4)]

    for first, second in zip(run(), run(), strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.pose.t_camera_head_m, b.pose.t_camera_head_m)
            np.testing.assert_array_equal(a.pose.covariance, b.pose.covariance)


def test_thresholds_and_filter_change_on_a_running_pipeline_and_faces_keep_their_ids(build):
    pipeline = build([row(0.9, 16), row(0.85, 48)])
    assert [face.face_id for face in pipeline.process(IMAGE, CAMERA, 0).faces] == [A, B]
    changes = {"estimator": {"score_threshold": 0.87}, "tracker": {"filter": False, "new_face_score": 0.95}}
    pipeline.reconfigure(overridden(pipeline.config, changes))
    assert [face.face_id for face in pipeline.process(IMAGE, CAMERA, 33_000_000).faces] == [A]
    pipeline.reset()
    assert pipeline.process(IMAGE, CAMERA, 66_000_000).faces == ()


@pytest.mark.parametrize("name, value", [("model", "another"), ("threads", 3), ("backend", "onnxruntime")])
def test_the_model_and_how_it_runs_do_not_change_on_a_running_pipeline(build, name, value):
    pipeline = build([row(0.9, 16)])
    before = pipeline.config
    with pytest.raises(HpeError, match=f"{name} cannot change while the model is loaded"):
        pipeline.reconfigure(overridden(before, {"estimator": {name: value}}))
    assert pipeline.config == before


def test_a_model_in_the_place_of_another_kind_is_named(write_onnx, model_card):
    whole = write_onnx(np.reshape(row(0.9, 16), (-1, 14)), model_card(), name="whole")
    crop = catalogue.path_of("crop6dof")
    for model, words in ((crop, "is for face crops"), (f"{whole}+{whole}", "is for whole images")):
        with pytest.raises(HpeError, match=words):
            Pipeline(overridden(PipelineConfig(), {"estimator": {"model": str(model)}}))


def test_a_face_on_which_nlml_finds_no_answer_is_counted_and_says_how_little_its_rotation_is_worth(monkeypatch):
    with open_source(str(BAG)) as source:
        image = next(iter(source)).image_bgr
    height, width = image.shape[:2]
    camera = CameraModel.from_hfov(width, height, 60.0)
    config = overridden(PipelineConfig(), {"estimator": {"model": "nlml"}, "tracker": {"filter": False}})
    pipeline, search = Pipeline(config), hpe_core.rotations.nlml.infer

    def in_vain(*arguments):
        found = search(*arguments)
        return replace(found, converged=np.zeros_like(found.converged))

    good = pipeline.process(image, camera, 0)
    pipeline.reset()
    monkeypatch.setattr(hpe_core.rotations.nlml, "infer", in_vain)
    bad = pipeline.process(image, camera, 0)
    pipeline.reset()
    empty = pipeline.process(np.full_like(image, 90), camera, 0)
    counts = dict.fromkeys(COUNTED, 0) | {"nlml.candidates": 1, "nlml.rigid": 0, "nlml.out_of_range": 0}
    assert (good.counts, bad.counts) == (counts, counts | {"nlml.rigid": 1})
    assert (len(empty.faces), empty.counts["nlml.rigid"]) == (0, 0)
    assert good.faces[0].pose.rotation_std_deg < 10.0 and bad.faces[0].pose.rotation_std_deg > 30.0


def test_other_methods_have_no_counts_of_nlml(build):
    assert set(build([row(0.9, 16)]).process(IMAGE, CAMERA, 0).counts) == set(COUNTED)


@pytest.mark.parametrize("gpu, model", [(None, "fusion_int8"), ("tensorrt", "fusion"), ("onnxruntime_cuda", "fusion")])
def test_auto_is_fusion_and_on_a_cpu_its_int8_form(monkeypatch, gpu, model):
    def load(package, name):
        return SimpleNamespace(unavailable=lambda: None if name in (gpu, "onnxruntime") else "not installed")

    monkeypatch.setattr(backends.registry, "load", load)
    assert with_method(PipelineConfig()).estimator.model == model
    for name in ("onnxruntime", "tensorrt"):
        config = overridden(PipelineConfig(), {"estimator": {"backend": name}})
        assert with_method(config).estimator.model == ("fusion_int8" if name == "onnxruntime" else "fusion")
    named = overridden(PipelineConfig(), {"estimator": {"model": "nlml"}})
    assert with_method(named) == named


def test_the_method_that_auto_became_is_at_hand_and_thresholds_still_change():
    config = overridden(PipelineConfig(), {"estimator": {"backend": "onnxruntime"}})
    pipeline = Pipeline(config)
    assert pipeline.config.estimator.model == "fusion_int8"
    pipeline.reconfigure(overridden(config, {"estimator": {"score_threshold": 0.6}}))
    assert pipeline.config.estimator.score_threshold == 0.6


class Walk:
    """A real photograph that moves over a grey image, seen by the default pipeline at 30 Hz."""

    def __init__(self, put_off=False, **settings):
        self.put_off = put_off
        self.photo = cv2.imread(str(FRAMES / "0.jpg"))[:480, :640]
        self.camera = CameraModel.from_hfov(800, 600, 60.0)
        self.pipeline, self.stamp_ns = Pipeline(overridden(SEEDED, settings)), 0

    def see(self, x=0, y=0, photo=True, after_s=1 / 30):
        """The FrameResult of the next image, and whether full-frame detection ran."""
        image = np.full((600, 800, 3), 110, np.uint8)
        if photo:
            image[y : y + self.photo.shape[0], x : x + self.photo.shape[1]] = self.photo
        return self.show(image, after_s)

    def show(self, image, after_s=1 / 30):
        """As `see`, of any image."""
        self.stamp_ns += round(after_s * 1e9)
        result = self.pipeline.process(image, self.camera, self.stamp_ns, put_off=self.put_off)
        return result, "inference" in result.stage_s


def test_a_face_is_tracked_by_its_crop_and_full_frame_detection_is_due_after_the_interval():
    walk = Walk(estimator={"detection_interval_s": 0.12})
    seen = [walk.see(x=2 * i, y=i) for i in range(9)]
    assert [full_frame for _, full_frame in seen] == [True, False, False, False, True, False, False, False, True]
    assert [[face.face_id for face in result.faces] for result, _ in seen] == [[A]] * 9
    assert all(face.landmarks is not None and face.confirmed for result, _ in seen for face in result.faces)


def two_of(walk, second):
    """The image of a Walk with its photo small at the left and, where `second`, at the right too."""
    image, small = np.full((600, 800, 3), 110, np.uint8), cv2.resize(walk.photo, None, fx=0.55, fy=0.55)
    image[100 : 100 + small.shape[0], 20 : 20 + small.shape[1]] = small
    if second:
        image[100 : 100 + small.shape[0], 420 : 420 + small.shape[1]] = small
    return image


@pytest.mark.parametrize("put_off", [False, True])
def test_a_newcomer_is_told_at_the_latest_after_the_interval_whenever_he_comes(put_off):
    for comes in range(2, 8):
        walk = Walk(put_off=put_off)
        told = [len(walk.show(two_of(walk, image >= comes))[0].faces) for image in range(14)].index(2)
        assert comes <= told <= comes + 6  # images at 30 Hz, the interval is 0.2 s


def test_detection_that_is_put_off_runs_after_the_result_and_never_within_it_while_all_are_tracked():
    walk, searched = Walk(put_off=True, estimator={"detection_interval_s": 0.12}), []
    for i in range(9):
        result, within = walk.see(x=2 * i)
        assert within == (i == 0) and [face.face_id for face in result.faces] == [A]
        searched.append(walk.pipeline._search is not None)
        walk.pipeline.search()
        assert walk.pipeline._search is None
    assert searched == [i in (3, 6) for i in range(9)]  # one image before the interval is over
    assert walk.see(photo=False)[1] and walk.see(photo=False)[1]  # whoever is lost is looked for at once


def looks_of(walk, images):
    """Of each of the next images: `full` or `quick` where detection ran or was put off, else nothing."""
    looks = []
    for _ in range(images):
        walk.show(two_of(walk, False), after_s=0.04)
        at = [ns == walk.stamp_ns for ns in (walk.pipeline._full_size_ns, walk.pipeline._full_frame_ns)]
        looks.append("full" if at[0] else "quick" if at[1] else "")
    return looks


@pytest.mark.parametrize("put_off, every", [(False, 5), (True, 4)])  # put off, it runs an image earlier
def test_detection_while_all_are_tracked_is_a_quick_look_but_for_once_in_a_second(put_off, every):
    looks = looks_of(Walk(put_off=put_off), 28)
    full = (0, 25 - put_off)
    assert looks == ["full" if i in full else "quick" if i % every == 0 else "" for i in range(28)]
    assert "quick" not in looks_of(Walk(put_off=put_off, estimator={"small_faces_interval_s": 0.0}), 14)


@pytest.mark.parametrize("interval_s, loaded", [(1.0, [False, True, True]), (0.0, [False, False, False])])
def test_quick_looks_are_made_ready_with_the_second_image_of_a_face_and_only_where_they_are_used(interval_s, loaded):
    walk, ready = Walk(estimator={"small_faces_interval_s": interval_s}), []
    for _ in range(3):
        walk.see()
        ready.append(walk.pipeline._estimator._quick is not None)
    assert ready == loaded


def test_a_newcomer_too_small_for_quick_looks_is_told_within_their_interval():
    walk = Walk(estimator={"small_faces_interval_s": 0.4})
    told = []
    for i in range(12):
        image = two_of(walk, False)
        if i >= 2:
            tiny = cv2.resize(walk.photo, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
            image[400 : 400 + tiny.shape[0], 500 : 500 + tiny.shape[1]] = tiny
        told.append(len(walk.show(image, after_s=0.04)[0].faces))
    assert told.index(2) == 10  # 0.4 s after the first image; the quick look of 0.2 s does not show him


def test_results_are_the_same_whether_the_caller_searches_or_leaves_it_to_the_next_image():
    found = []
    for calls in (False, True):
        walk = Walk(put_off=True)
        for i in range(12):
            result, _ = walk.show(two_of(walk, i >= 4))
            found.append([(face.face_id, face.pose.t_camera_head_m.tolist()) for face in result.faces])
            if calls:
                walk.pipeline.search()
    assert found[:12] == found[12:] and len(found[-1]) == 2


def test_what_was_put_off_is_forgotten_with_the_stream():
    walk = Walk(put_off=True)
    for _ in range(7):
        walk.show(two_of(walk, True))
    assert walk.pipeline._search is not None
    walk.pipeline.reset()
    assert (walk.pipeline._search, walk.pipeline._searched) == (None, None)
    assert walk.see(photo=False)[0].faces == ()


def test_roi_tracking_and_full_frame_detection_give_the_same_pose():
    tracked, detected = Walk(), Walk(estimator={"detection_interval_s": 0.0})
    for i in range(4):
        (a,), (result, full_frame) = tracked.see(x=3 * i)[0].faces, detected.see(x=3 * i)
        (b,) = result.faces
        assert full_frame
        assert np.degrees(so3.geodesic_angle(a.pose.R_camera_head, b.pose.R_camera_head)) < 4.0
        np.testing.assert_allclose(a.pose.t_camera_head_m, b.pose.t_camera_head_m, rtol=0.04, atol=0.01)


def test_a_tracked_face_that_goes_is_missed_at_once_and_found_again_at_once():
    walk = Walk()
    assert len(walk.see()[0].faces) == 1
    gone = [walk.see(photo=False) for _ in range(2)]
    assert [(len(result.faces), full_frame) for result, full_frame in gone] == [(0, True), (0, True)]
    result, full_frame = walk.see()
    assert ([face.face_id for face in result.faces], full_frame) == ([A], True)


def test_nothing_is_tracked_over_a_pause_or_while_time_stands_still_or_goes_back():
    walk = Walk()
    walk.see()
    assert not walk.see()[1]
    assert walk.see(after_s=0.0)[1]
    assert walk.see(after_s=0.25)[1]
    assert walk.see(after_s=-0.1)[1]


def test_without_a_crop_network_full_frame_detection_runs_in_every_image():
    walk = Walk(estimator={"model": "head6dof"})
    assert [walk.see()[1] for _ in range(3)] == [True, True, True]


def test_what_exceeds_max_faces_is_counted_in_every_full_frame_detection(build):
    pipeline = build([row(0.9, 8 + 16 * (i % 4), 8 + 16 * (i // 4), size=6) for i in range(12)])
    for stamp_ns in (0, 33_000_000):
        result = pipeline.process(IMAGE, CAMERA, stamp_ns)
        assert (len(result.faces), result.counts["untracked"]) == (8, 4)


def test_who_has_an_id_keeps_it_when_a_larger_face_comes_and_there_is_no_room():
    walk = Walk(estimator={"max_faces": 1})
    half, image = (
        cv2.resize(walk.photo, (160, 120), interpolation=cv2.INTER_AREA),
        np.full((600, 800, 3), 110, np.uint8),
    )
    image[:120, :160] = half
    (known,) = walk.show(image)[0].faces
    image[300:540, 400:720] = walk.photo  # twice as large
    results = [walk.show(image)[0] for _ in range(20)]
    assert {face.face_id for result in results for face in result.faces} == {known.face_id}
    assert all(len(result.faces) == 1 for result in results)
    assert sum(result.counts["untracked"] for result in results) >= 2  # once per full-frame detection
