"""Comparing methods: conditions move labels exactly, baselines are never left out, targets are read off by hand."""

import csv
import json
import sys

import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.evaluate import Absent, Ours, answers_of
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import score
from hpe_core.geometry import euler, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.lookat import lookat_rotation
from training.measure import conditions as evaluate_conditions
from training.measure import cost, evaluate, sets, targets
from training.measure import video as evaluate_video
from training.measure.baselines import LANDMARKS, NETWORKS, YUNET, Baseline, baselines
from training.measure.conditions import conditions, off_axis, shrunk, with_jitter, without_lookat

CAMERA = CameraModel.from_hfov(320, 240, 60.0)
FIXED_ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    return euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=pitch, roll=roll))


def sample(box=(100.0, 60.0, 140.0, 120.0), R=None, name="a", **more):
    return Sample(name, None, "", 0, turned(20, 5, -10) if R is None else R, True, np.array(box), **more)


def angle_deg(a, b):
    return np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


# --- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degrees", "number"), [(0, 0), (10, 1), (30, 0), (30, 1)])
def test_off_axis_puts_the_face_at_the_angle_and_its_pixels_with_it(degrees, number):
    label = sample()
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(image, (120, 90), 4, (255, 255, 255), -1)  # the middle of the box
    out, camera, (moved,) = off_axis(degrees)(image, CAMERA, [label], number)
    centre = 0.5 * (moved.box_px[:2] + moved.box_px[2:])
    ray = camera.rays(centre)
    assert angle_deg(ray, np.array([0, 0, 1.0])) == pytest.approx(degrees, abs=0.5)
    assert ray[0] * (1 if number == 0 else -1) == pytest.approx(np.sin(np.radians(degrees)), abs=0.01)
    bright = np.argwhere(out[..., 0] > 128).mean(0)[::-1]
    np.testing.assert_allclose(bright, centre, atol=1.5)
    # a face that is carried around the camera looks the same from its own virtual camera
    np.testing.assert_allclose(moved.R, label.R, atol=1e-9)


def test_a_camera_that_turns_turns_the_head_the_other_way_exactly():
    t_m = np.array([0.1, -0.05, 0.8])
    box = np.concatenate([CAMERA.project(t_m) - 20, CAMERA.project(t_m) + 20])
    label = Sample("a", None, "", 0, turned(20), False, box, t_m, camera=CAMERA)
    _, camera, (moved,) = off_axis(30)(np.zeros((240, 320, 3), np.uint8), CAMERA, [label], 0)
    Q = moved.R @ label.R.T
    np.testing.assert_allclose(moved.t_m, Q @ t_m, atol=1e-12)
    assert np.linalg.norm(moved.t_m) == pytest.approx(np.linalg.norm(t_m))
    assert angle_deg(moved.t_m, np.array([0, 0, 1.0])) == pytest.approx(30, abs=1e-6)
    # what the point on the ray shows before, its new pixel shows after
    np.testing.assert_allclose(camera.project(moved.t_m), camera.project(Q @ CAMERA.rays(CAMERA.project(t_m))))


def test_a_label_away_from_the_main_face_turns_by_its_own_look_at():
    main, other = sample(), sample((10.0, 150.0, 30.0, 180.0), name="b")
    _, _, (_, moved) = off_axis(20)(np.zeros((240, 320, 3), np.uint8), CAMERA, [main, other], 0)
    Q = euler.axis_turn(1, np.radians(20)) @ lookat_rotation(CAMERA.rays([120.0, 90.0]))
    before, after = CAMERA.rays([20.0, 165.0]), Q @ CAMERA.rays([20.0, 165.0])
    # the same rotation in the world: R_camera = R_L' R_local on both sides of the turn
    np.testing.assert_allclose(lookat_rotation(after).T @ moved.R, Q @ lookat_rotation(before).T @ other.R, atol=1e-9)


def test_a_shrunk_face_has_the_size_and_lies_in_the_middle():
    image = np.full((240, 320, 3), 40, np.uint8)
    image[60:120, 100:140] = 200
    out, camera, (moved,) = shrunk(20, 160, 128)(image, CAMERA, [sample((99.5, 59.5, 139.5, 119.5))], 0)
    assert out.shape == (128, 160, 3) and (camera.width, camera.height) == (160, 128)
    np.testing.assert_allclose(moved.box_px[2:] - moved.box_px[:2], [20 * 40 / 60, 20], rtol=0.02)
    np.testing.assert_allclose(0.5 * (moved.box_px[:2] + moved.box_px[2:]), [80, 64], atol=1)
    bright = np.argwhere(out[..., 0] > 120)[:, ::-1]
    np.testing.assert_allclose(bright.min(0), moved.box_px[:2] + 0.5, atol=1)
    # the same ray goes through the middle of the face as before
    np.testing.assert_allclose(camera.rays(bright.mean(0)), CAMERA.rays([119.5, 89.5]), atol=0.01)


def test_a_wrong_focal_length_changes_what_is_told_not_what_is_true():
    image = np.zeros((240, 320, 3), np.uint8)
    same, camera, (label,) = evaluate_conditions.focal_error(1.2)(image, CAMERA, [sample()], 0)
    assert same is image and label.R is not None
    np.testing.assert_allclose(np.diag(camera.K), [1.2 * CAMERA.K[0, 0], 1.2 * CAMERA.K[1, 1], 1])
    assert camera.K[0, 2] == CAMERA.K[0, 2]


def test_every_condition_keeps_every_face_of_an_image():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    names = set()
    for condition in conditions():
        out, camera, labels = (condition.change or (lambda *a: a[:3]))(image, CAMERA, [sample()], 3)
        assert out.dtype == np.uint8 and out.shape[:2] == (camera.height, camera.width)
        assert [label.name for label in labels] == ["a"] and so3.geodesic_angle(labels[0].R, sample().R) < 1e-6
        names.add(condition.name)
    assert len(names) == len(conditions()) == len(conditions(calibrated=False)) + 2 > 15


# --- baselines -------------------------------------------------------------------------------------------------------


def frontal(images, centre, side):
    return np.tile(np.eye(3), (len(centre), 1, 1))


def test_a_crop_is_a_share_of_the_larger_side_about_the_middle():
    network = NETWORKS["Lightweight b66"]
    centre, side = Baseline(network, frontal).crop(np.array([10.0, 20.0, 40.0, 70.0]))
    assert centre.tolist() == [25, 45] and side == pytest.approx(50 * network.of_landmarks)
    shaken = Baseline(network, frontal).variant(jitter=0.1)
    crops = [shaken.crop(np.array([10.0, 20.0, 40.0, 70.0])) for _ in range(200)]
    shifts = np.array([c - [25, 45] for c, _ in crops])
    assert 4 < np.abs(shifts).max() <= 5
    assert np.max([s for _, s in crops]) <= 1.1 * side


def test_a_baseline_sees_the_crop_and_answers_for_the_camera():
    # straight into the crop's camera: turned by the ray in the image's camera, unless taken as published
    t_m = np.array([0.4, 0.0, 0.8])
    at = CAMERA.project(t_m)
    label = Sample("a", None, "", 0, np.eye(3), False, np.concatenate([at - 10, at + 10]), t_m, camera=CAMERA)
    image = np.zeros((240, 320, 3), np.uint8)
    baseline = Baseline(NETWORKS["FSA-Net"], frontal)
    (corrected,) = baseline.answers(image, CAMERA, [label])
    (published,) = baseline.variant(as_published=True).answers(image, CAMERA, [label])
    assert np.degrees(so3.geodesic_angle(corrected.R, published.R)) == pytest.approx(np.degrees(np.arctan(0.5)))
    assert np.array_equal(published.R, np.eye(3))
    # a label in the virtual camera: there the crop is right, and taken as published it is turned by the ray
    local = Sample("a", None, "", 0, np.eye(3), True, label.box_px)
    (corrected,) = baseline.answers(image, CAMERA, [local])
    (published,) = baseline.variant(as_published=True).answers(image, CAMERA, [local])
    assert np.array_equal(corrected.R, np.eye(3))
    assert np.degrees(so3.geodesic_angle(published.R, np.eye(3))) == pytest.approx(np.degrees(np.arctan(0.5)))


def test_a_baseline_behind_a_detector_misses_what_it_misses():
    labels = [sample(), sample((10.0, 150.0, 30.0, 180.0), name="b")]
    baseline = Baseline(NETWORKS["FSA-Net"], frontal, lambda image: np.array([[98.0, 62.0, 141.0, 119.0]]))
    first, second = baseline.answers(np.zeros((240, 320, 3), np.uint8), CAMERA, labels)
    assert first.R is not None and second.R is None and second.reason == "only other faces found"
    assert baseline.faces_from == YUNET and Baseline(NETWORKS["FSA-Net"], frontal).faces_from == LANDMARKS


def test_baselines_without_weights_are_absent_and_named(tmp_path):
    found = baselines(tmp_path)
    assert all(isinstance(method, Absent) for name, method in found.items() if name != "MediaPipe mesh")
    assert {name.partition(",")[0] for name in found} == {*NETWORKS, "OpNet", "MediaPipe mesh"}


def test_a_baseline_whose_weights_are_broken_is_absent_and_says_so(tmp_path):
    pytest.importorskip("torch", reason="the baselines need torch")
    for name in NETWORKS["Lightweight b66"].files:
        (tmp_path / name).write_bytes(b"no weights")
    found = baselines(tmp_path)[f"Lightweight b66, {LANDMARKS}"]
    assert isinstance(found, Absent) and found.reason.startswith("cannot be loaded: ")


def test_baselines_without_torch_are_absent_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "training.label.teachers", None)
    found = baselines(tmp_path)
    assert "not installed" in found[f"FSA-Net, {LANDMARKS}"].reason
    assert "Lightweight b66, true landmarks" in found


def test_box_jitter_is_for_baselines_and_as_published_leaves_ours():
    methods = {"baseline": Baseline(NETWORKS["FSA-Net"], frontal), "ours": Absent("own detection", "x")}
    assert with_jitter(methods)["ours"].reason == "takes no box"
    assert without_lookat(methods)["ours"] is methods["ours"]


# --- video -----------------------------------------------------------------------------------------------------------


def test_a_low_pass_without_lag_changes_nothing_and_with_lag_comes_late():
    yaw = np.arange(120) * 1.0
    R = turned(yaw=0.5 * yaw, pitch=0 * yaw, roll=0 * yaw)
    np.testing.assert_allclose(evaluate_video.low_pass(R, 0.0, 1 / 30), R, atol=1e-9)
    late = evaluate_video.low_pass(R, 3 / 30, 1 / 30)
    assert euler.aflw2000.from_matrix(late[-1]).yaw == pytest.approx(0.5 * (119 - 3), abs=1e-6)


def test_noise_on_a_head_at_rest_is_its_jitter_and_a_late_method_is_late():
    rng, stamps = np.random.default_rng(0), np.arange(600) * 33_333_333
    t = stamps * 1e-9
    moves = t > 10
    yaw = np.where(moves, 30 * np.sin(1.5 * (t - 10)), 0.0)
    true = turned(yaw=yaw, pitch=0 * t, roll=0 * t)
    noise = {
        name: so3.matrix_from_rotvec(np.radians(rng.normal(0, s, (600, 3)))) for name, s in (("a", 0.1), ("b", 1.0))
    }
    R = {name: true @ n for name, n in noise.items()}
    R["late"] = np.concatenate([np.tile(true[:1], (5, 1, 1)), true[:-5]])
    R["a"][3] = np.nan  # missed once
    found, video = evaluate_video.judged(stamps, R, {"a", "b"})
    assert found["a"]["found"] == 599 and video["judged_frames"] == 599
    assert found["b"]["jitter_deg_per_axis"] == pytest.approx(1.0, rel=0.15)
    assert found["a"]["jitter_deg_per_axis"] == pytest.approx(0.1, rel=0.15)
    assert found["late"]["lag_s"] == pytest.approx(5 / 30, abs=0.02)
    assert video["shared_lag_s"] == pytest.approx(5 / 30, abs=0.02)
    # six times less noise power per pole: (share / (2 - share)) ** 0.5 = 0.30 with share = 1 / 6
    assert found["b"]["jitter_at_shared_lag_deg_per_axis"] < 0.5 * found["b"]["jitter_deg_per_axis"]
    assert 0.3 < video["still_share"] < 0.7


def test_a_video_that_is_none_is_one_line(tmp_path):
    with pytest.raises(HpeError, match="not a video"):
        list(evaluate_video.frames_of(tmp_path / "gone.mp4"))


def test_every_frame_of_a_video_goes_through_every_method(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (1280, 720))
    for i in range(40):
        writer.write(np.full((720, 1280, 3), 5 * i, np.uint8))
    writer.release()
    sizes, crops = set(), []

    def detect(image):
        sizes.add(image.shape[:2])
        return np.array([[9.5, 9.5, 19.5, 19.5], [99.5, 99.5, 199.5, 219.5]])

    def still(images, centre, side):
        crops.append((*centre[0], side[0]))
        return np.eye(3)[None]

    methods = evaluate_video.video_methods(
        {"P, YuNet": Baseline(NETWORKS["FSA-Net"], still, detect), "Q, YuNet": Absent(YUNET, "not here")}, ("gone",)
    )
    found, video = evaluate_video.evaluate_video(tmp_path / "clip.avi", methods, detect, limit=35)
    assert found["P, YuNet"]["found"] == video["frames"] == 35 and found["P, YuNet"]["jitter_deg_per_axis"] < 1e-6
    assert found["gone"]["status"] == found["Q, YuNet"]["status"] == "absent" and "gone" in found["gone"]["reason"]
    # the detector sees half of 1280 pixels; the larger of its boxes comes back in the pixels of the frame
    assert sizes == {(360, 640)}
    assert crops[0] == pytest.approx((299.5, 319.5, 240 * NETWORKS["FSA-Net"].of_detector))


# --- targets ---------------------------------------------------------------------------------------------------------


def results_of(error_deg, missed=0, R_true=None, **more):
    """ImageResult of five faces whose yaw is wrong by error_deg, and some that are missed."""
    labels = [
        sample(R=turned(yaw=yaw) if R_true is None else R_true, name=str(yaw), **more) for yaw in range(5 + missed)
    ]
    answers = [Answer(s, s.R @ turned(yaw=error_deg)) for s in labels[:5]]
    result = score(answers + [Answer(s, reason="no face found") for s in labels[5:]])
    result.summary["faces_from"] = "own detection"
    return result


def measured(**more):
    empty = {"dev_all": {}, "dev": {}, "rendered": {}, "pointing": {}, "conditions": {}, "video": {}, "cost": {}}
    return targets.Measurements(ours=("ours",), **(empty | more))


def verdicts(measurements):
    return {what: got["ours"] for what, _, got in targets.targets(measurements)}


def test_a_target_that_was_not_measured_is_not_met():
    found = verdicts(measured())
    assert all(got.met is None for got in found.values())
    text = targets.table(targets.targets(measured()), ("ours",))
    assert "| yes |" not in text and text.count("not measured | not measured") == len(found)


def test_targets_of_photographs_by_hand():
    dev = {"ours": results_of(6.0), "baseline": results_of(12.0), "gone": Absent("x", "y")}
    found = verdicts(measured(dev_all={"ours": results_of(6.0, missed=1)}, dev=dev))
    assert found["found faces, aflw2000_dev16"] == targets.Got("5 of 6", False)
    mae = found["Euler MAE, aflw2000_dev16 without image02773, own detection"]
    assert mae.text.startswith("2.00 deg") and mae.met  # 6 of yaw, 0, 0
    ratio = found["the same against the best baseline of this run, any source of faces"]
    assert ratio.text.startswith("0.50 x baseline (4.00 deg) (0.50 to 0.50)") and ratio.met
    assert found["the same against the best baseline of this run, crops from ground-truth landmarks"].met is None


def test_slopes_of_rendered_people_are_targets_of_their_own():
    at = np.array([0.0, 0.0, 1.0])
    labels = [Sample(str(i), None, "", 0, turned(yaw=i), False, np.zeros(4), at) for i in range(-60, 61, 10)]
    shrunk = score([Answer(s, turned(yaw=0.9 * i), at) for s, i in zip(labels, range(-60, 61, 10), strict=True)])
    found = verdicts(measured(rendered={"ours": shrunk}))
    pan = found["slope of estimated on true pan, rendered unseen people, within 85 deg"]
    assert pan.text == "0.900 (0.90 to 0.90), 13 heads" and pan.met is False
    assert found["slope of estimated on true tilt, rendered unseen people, within 50 deg"].met is None


def test_targets_of_conditions_by_hand():
    by = {
        "0 deg off axis": {"ours": results_of(2.0)},
        "30 deg off axis": {"ours": results_of(2.6)},
        "20 px face in 320x240": {"ours": results_of(9.0, missed=1)},
        "20 px face in 640x480": {"ours": results_of(9.0, missed=2)},
    }
    found = verdicts(measured(conditions={"set": by}))
    grown = found["30 deg off axis against on axis, set"]
    assert grown.text.startswith("+0.60 deg") and grown.met is False
    assert found["20 px face in 320x240, set"] == targets.Got("found 83 %, 9.0 deg", True)
    assert found["20 px face in 640x480, set"] == targets.Got("found 71 %, 9.0 deg", False)


def test_targets_of_positions_by_hand():
    t_m = np.array([0.0, 0.0, 1.0])
    labels = [
        Sample(str(i), None, "", 0, np.eye(3), False, np.array([0, 0, 9, 9.0]), z * t_m) for i, z in enumerate([1, 3])
    ]
    far = t_m * [0, 0, 1.02] + [0.004, 0, 0]
    result = score([Answer(labels[0], np.eye(3), far), Answer(labels[1], np.eye(3), 9 * t_m)])
    found = verdicts(measured(rendered={"ours": result}))
    depth = found["depth, rendered unseen people, true K, 0.4 to 2 m"]
    assert depth.text.startswith("2.00 %") and depth.text.endswith("1 of 1 found") and depth.met
    assert found["the same, lateral"].text.startswith("4.00 mm")
    assert found["geodesic, rendered unseen people, |yaw| < 60"].met


def test_jitter_is_compared_with_the_best_baseline_that_is_as_late():
    methods = {
        "ours": {"jitter_deg_per_axis": 0.1, "lag_s": 0.05},
        "ours, no filter": {"jitter_at_shared_lag_deg_per_axis": 0.05},
        "A, YuNet": {"jitter_at_shared_lag_deg_per_axis": 0.4},
        "B, YuNet": {"jitter_at_shared_lag_deg_per_axis": 0.25},
        "C": {"status": "absent", "reason": "x"},
    }
    found = verdicts(measured(video={"methods": methods}))["static jitter, head-move video, at equal lag"]
    assert found == targets.Got("0.100 deg, 0.40 x B, YuNet (0.250 deg), lag 50 ms", True)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_main_face_is_the_largest_of_its_image():
    faces = [sample((0.0, 0, 10, 10), name="a", image_id="i"), sample((0.0, 0, 20, 20), name="b", image_id="i")]
    assert [s.name for s in sets.main_faces([*faces, sample(name="c", image_id="j")])] == ["b", "c"]


@pytest.fixture
def data(tmp_path):
    """A data folder with three grey images that stand for the labelled photographs."""
    folder = tmp_path / "data" / "real_labelled" / "aflw2000_dev16"
    folder.mkdir(parents=True)
    header = ["file", "yaw_deg", "pitch_deg", "roll_deg", "lm_x0", "lm_y0", "lm_x1", "lm_y1"]
    rows = [[f"{n}.jpg", yaw, 0, 0, 22, 14, 42, 34] for n, yaw in (("image00001", 9), ("image00002", 0))]
    rows.append(["image02773.jpg", 90, 0, 0, 1, 1, 4, 4])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    for row in rows:
        cv2.imwrite(str(folder / row[0]), np.full((48, 64, 3), 90, np.uint8))
    return tmp_path / "data"


@pytest.fixture
def frontal_model(tmp_path):
    """An ONNX that sees one frontal face in the middle of a 64x48 image, always."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    columns = {"score": [0, 1], "centre_px": [1, 3], "size_px": [3, 4], "sixd": [4, 10], "rotation_std_rad": [10, 11]}
    columns |= {"size_rel_std": [11, 12], "centre_rel_std": [12, 13], "stride": [13, 14]}
    rows = np.array([[FIXED_ROW]], np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows_fixed", "nothing"], ["rows"]),
    ]
    constants = [numpy_helper.from_array(rows, "rows_fixed"), numpy_helper.from_array(np.float32(0), "zero")]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 48, 64, 3])
    output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, list(rows.shape))
    graph = helper.make_graph(nodes, "fixed", [image], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    entry = model.metadata_props.add()
    card = {"name": "fixed", "estimator": "head6dof", "spec": {"columns": columns}}
    entry.key, entry.value = "hpe_model_card", json.dumps(card)
    onnx.save(model, tmp_path / "fixed.onnx")
    return str(tmp_path / "fixed.onnx")


def test_one_command_measures_everything_that_is_there(data, frontal_model, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--model", frontal_model, "--data", str(data), "--no-baselines", "--out", str(out)]
    assert evaluate.main(arguments) == 0
    found = json.loads((out / "results.json").read_text())
    assert list(found["tables"]) == ["aflw2000_dev16", "aflw2000_dev16 without image02773.jpg"]
    assert found["tables"]["aflw2000_dev16"]["fixed"]["detection"]["matched"] == 2
    text = (out / "targets.md").read_text()
    assert "| found faces, aflw2000_dev16 | all | 2 of 3 | **no** |" in text and text in capsys.readouterr().out
    assert evaluate.main(arguments) == 2
    assert "holds earlier results" in capsys.readouterr().err


def test_a_card_has_one_model_and_its_numbers(data, frontal_model, tmp_path, capsys):
    out = tmp_path / "metrics.json"
    arguments = ["--model", frontal_model, "--data", str(data), "--no-video", "--out", str(out)]
    assert evaluate.main(arguments) == 0
    card = json.loads(out.read_text())["aflw2000_dev16"]
    assert (card["images"], card["found"], card["missed"]) == (3, 2, ["image02773.jpg"])
    np.testing.assert_allclose(card["euler_mae_deg"], [4.5, 0, 0, 1.5], atol=0.3)
    assert set(card["per_image_deg"]) == {"image00001.jpg", "image00002.jpg"}
    assert evaluate.main([*arguments, "--model", "head6dof"]) == 2


def test_what_is_not_there_is_one_line(tmp_path, capsys):
    assert evaluate.main(["--no-baselines", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_cost_is_the_size_of_all_files_and_a_time_beside_the_baselines(frontal_model, tmp_path, monkeypatch):
    from pathlib import Path

    from bench import latency
    from hpe_core.evaluation.images.evaluate import our_methods

    class Baseline:
        def run(self, frame):
            return 1, {"pose": 0.0}

    monkeypatch.setattr(latency, "sample_frames", lambda count: [np.full((48, 64, 3), 90, np.uint8)] * 4)
    monkeypatch.setattr(latency, "with_faces", lambda frame, faces: frame)
    monkeypatch.setattr(latency, "pipelines", lambda data, threads: {"hpe_ros": None, "some baseline": Baseline()})
    found = cost.cost_of(our_methods([frontal_model]) | {"gone": Absent("x", "y")}, tmp_path)
    assert found["weights_mb"] == {"fixed": Path(frontal_model).stat().st_size / 1e6}
    assert found["cpu_ms"]["fixed"] > 0 and set(found["baselines_cpu_ms"]) == {"some baseline"}
    assert found["fastest_baseline_cpu_ms"] == found["baselines_cpu_ms"]["some baseline"]


def test_ours_on_an_image_is_the_pipeline(frontal_model):
    from hpe_core.config import EstimatorConfig, PipelineConfig

    method = Ours(PipelineConfig(estimator=EstimatorConfig(model=frontal_model)))
    label = sample(
        (22.0, 14.0, 42.0, 34.0), R=np.eye(3), encoded=cv2.imencode(".png", np.zeros((48, 64, 3)))[1].tobytes()
    )
    (answer,) = answers_of({"m": method}, [label], 60.0)["m"]
    assert np.degrees(so3.geodesic_angle(answer.R, np.eye(3))) < 0.1 and answer.covariance is not None
