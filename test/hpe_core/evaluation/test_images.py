"""Methods on labelled images: errors that are known by hand, and every face in exactly one place."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.cli.evaluation.images import BASELINES, baselines
from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.evaluation.datasets import labels_csv, shards
from hpe_core.evaluation.errors.bootstrap import interval
from hpe_core.evaluation.images.answers import Answer, assigned, false_boxes
from hpe_core.evaluation.images.evaluate import Absent, answers_of, labelled_images, our_methods, scored
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import fitted_offset, score
from hpe_core.evaluation.report.tables import bin_tables, markdown, method_table
from hpe_core.geometry import euler, so3
from hpe_core.geometry.camera import CameraModel

ROOT = Path(__file__).parents[3]
HEADER = ["file", *labels_csv.ANGLES, *labels_csv.BOX]
FIXED_ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]  # a frontal face in the middle of 64x48


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    return euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=pitch, roll=roll))


def sample(name, R, box=(10.0, 10.0, 30.0, 30.0), **more):
    return Sample(name, None, "", 0, R, True, np.array(box), **more)


def write_labels(folder, rows, header=HEADER):
    """A labels.csv with its images, 64x48 and grey. rows: (file, yaw, pitch, roll, x0, y0, x1, y1)."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    for row in rows:
        cv2.imwrite(str(folder / "images" / row[0]), np.full((48, 64, 3), 90, np.uint8))
    return folder


def write_shard(path, count=2, **changes):
    """Two images of 64x48: a known face of 20 px in the middle of each, and one of unknown label on the first."""
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].ravel()
    faces = count + 1
    values = {
        "blob": np.tile(jpeg, count),
        "offset": len(jpeg) * np.arange(count + 1),
        "face_image": np.array([*range(count), 0]),
        "R_local": np.tile(np.eye(3), (faces, 1, 1)),
        "centre_px": np.array([[32.0, 24.0]] * count + [[4.0, 4.0]]),
        "size_px": np.array([20.0] * count + [8.0]),
        "weight": np.array([1.0] * count + [0.0]),
        "landmarks_px": np.full((faces, 68, 2), np.nan),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{k: v for k, v in (values | changes).items() if v is not None})
    return path.parent


@pytest.fixture
def frontal_model(write_onnx, model_card):
    return str(write_onnx([FIXED_ROW], model_card(), name="frontal"))


class Says:
    """A method that answers R_wrong times the label, or nothing for the images of some names."""

    faces_from = "labels"

    def __init__(self, R_wrong, silent=()):
        self.R_wrong, self.silent = R_wrong, silent

    def answers(self, image, camera, samples):
        return [
            Answer(s, reason="no face found") if s.name in self.silent else Answer(s, self.R_wrong @ s.R)
            for s in samples
        ]


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_five_degrees_of_yaw_too_much_are_5_0_0_and_gone_when_aligned():
    def answers(yaws):
        return [Answer(sample(f"{yaw}", turned(yaw=yaw)), turned(yaw=yaw + 5)) for yaw in yaws]

    found = score(answers(range(-40, 40, 8)), fitted_offset(answers(range(-45, 45, 6))))
    euler_mae = found.summary["rotation"]["euler_mae_deg"]
    np.testing.assert_allclose([euler_mae[k] for k in ("yaw", "pitch", "roll", "mean")], [5, 0, 0, 5 / 3], atol=1e-9)
    np.testing.assert_allclose(found.summary["rotation"]["euler_bias_deg"], [5, 0, 0], atol=1e-9)
    aligned = found.summary["aligned"]
    assert aligned["frame_offset_deg"] == pytest.approx(5)
    assert aligned["rotation"]["euler_mae_deg"]["yaw"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.rows["aligned_geodesic_deg"], 0, atol=1e-5)


def test_the_interval_of_equal_errors_has_no_width():
    assert interval(np.mean, np.full(16, 3.0)) == [3.0, 3.0]
    assert interval(np.median, [4.0]) is None
    found = score([Answer(sample(f"{i}", turned(yaw=i)), turned(yaw=i + 5)) for i in range(12)])
    np.testing.assert_allclose(found.summary["rotation"]["geodesic_deg"]["ci95"], [5, 5])
    np.testing.assert_allclose(found.summary["rotation"]["geodesic_deg"]["median_ci95"], [5, 5])


def test_the_interval_of_a_ratio_draws_the_same_images_for_both():
    errors = np.random.default_rng(0).uniform(1, 9, 20)
    ratio = interval(lambda a, b, axis: a.mean(axis) / b.mean(axis), 2 * errors, errors)
    np.testing.assert_allclose(ratio, [2, 2])


def test_a_missed_face_counts_as_the_mean_pose():
    R = [turned(yaw=yaw) for yaw in (-36.0, 0.0, 36.0)]
    answers = [Answer(sample("a", R[0]), R[0]), Answer(sample("b", R[1]), R[1])]
    found = score([*answers, Answer(sample("c", R[2]), reason="no face found")])
    counts, rotation = found.summary["detection"], found.summary["rotation"]
    assert (counts["matched"], counts["missed"], counts["ground_truth_heads"]) == (2, 1, 3)
    assert counts["missed_by_reason"] == {"no face found": 1}
    assert rotation["geodesic_deg"]["mean"] == pytest.approx(0, abs=1e-6)
    # the mean of -36, 0, 36 is 0: the missed one is wrong by 36
    assert rotation["geodesic_deg"]["mean_failures_as_mean_pose"] == pytest.approx(12)
    assert rotation["euler_mae_deg"]["mean_failures_as_mean_pose"] == pytest.approx(36 / 9)
    assert [(b["from"], b["ground_truth_heads"], b["recall"]) for b in found.summary["by"]["abs_yaw_deg"]] == [
        (0.0, 1, 1.0),
        (30.0, 2, 0.5),
    ]


def test_a_covariance_as_large_as_the_error_has_nees_one():
    turn = so3.matrix_from_rotvec([np.radians(3.0)] * 3)
    covariance = np.eye(6) * np.radians(3.0) ** 2
    found = score([Answer(sample("a", turn), np.eye(3), covariance=covariance)]).summary["uncertainty"]
    assert found["rotation"]["nees_over_dof"] == pytest.approx(1)
    assert found["rotation"]["coverage"]["0.6827"] == 1.0 and "translation" not in found


def test_nobody_found_has_no_errors_and_breaks_nothing():
    found = score([Answer(sample("a", np.eye(3)), reason="no face found")])
    assert found.summary["rotation"]["geodesic_deg"]["median"] is None
    header, rows = method_table({"m": _with_source(found)})
    assert rows[0][:3] == ["m", "x", "0/1"]
    assert bin_tables({"m": found})["|yaw|"][1][0][-1] == "(1, 1 missed)"
    assert markdown(header, rows).count("\n") == 3


def _with_source(result):
    result.summary["faces_from"] = "x"
    return result


def test_boxes_go_to_the_labels_that_they_overlap_most():
    labels = [sample("a", np.eye(3), (0, 0, 10, 10)), sample("b", np.eye(3), (8, 0, 18, 10))]
    # one box lies on both labels; the other only on a: together b must take the shared one
    assert assigned([(6, 0, 16, 10), (0, 0, 9, 10)], labels, None) == [1, 0]
    assert assigned([(40, 40, 50, 50)], labels, None) == [None, None]
    assert assigned([], labels, None) == [None, None]


def test_a_face_is_false_only_where_all_faces_are_labelled():
    boxes = [(0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50)]
    assert false_boxes(boxes, sample("a", np.eye(3), boxes[0])) is None
    assert false_boxes(boxes, sample("a", np.eye(3), boxes[0], others_px=np.array([boxes[1]]))) == 1


# --- sets ------------------------------------------------------------------------------------------------------------


def test_found_and_missed_make_the_images_for_every_method(tmp_path):
    rows = [(f"{i}.png", 10.0 * i, 0, 0, 20, 14, 44, 34) for i in range(5)]
    samples = labelled_images(write_labels(tmp_path, rows))
    (tmp_path / "images" / "4.png").write_bytes(b"no image")
    methods = {
        "right": Says(np.eye(3)),
        "shy": Says(turned(roll=7), silent=("1.png",)),
        "none": Absent("x", "not here"),
    }
    results = scored(methods, answers_of(methods, samples, 60.0))
    for name in ("right", "shy"):
        counts = results[name].summary["detection"]
        assert counts["matched"] + counts["missed"] == counts["images"] == 5
        assert results[name].rows["image"].tolist() == [f"{i}.png" for i in range(5)]
    assert results["right"].summary["detection"]["missed"] == 1  # the image that cannot be read
    assert results["shy"].summary["detection"]["missed_by_reason"]["no face found"] == 1
    assert results["none"].reason == "not here"
    without = scored(methods, answers_of(methods, samples, 60.0), without=["4.png"])
    assert without["right"].summary["detection"]["images"] == 4
    with pytest.raises(HpeError, match=r"no image 9\.png"):
        scored(methods, answers_of(methods, samples, 60.0), without=["9.png"])


def test_a_label_is_read_as_it_is_written(tmp_path):
    (found,) = labelled_images(write_labels(tmp_path, [("a.png", 30.0, -20.0, 10.0, 1, 2, 3, 4)]))
    angles = found.angles
    np.testing.assert_allclose([angles.yaw, angles.pitch, angles.roll], [30, -20, 10])
    assert found.box_px.tolist() == [1, 2, 3, 4] and found.local and found.image().shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (HEADER[:-1], ("a.png", 0, 0, 0, 1, 2, 3), "no column lm_y1"),
        (HEADER, ("a.png", "left", 0, 0, 1, 2, 3, 4), r"line 2: yaw_deg must be a number, got 'left'"),
        (HEADER, ("a.png", "nan", 0, 0, 1, 2, 3, 4), "yaw_deg must be a number"),
        (HEADER, ("a.png", 0, 0, 0, 3, 2, 1, 4), "x0 < x1"),
    ],
)
def test_a_wrong_label_is_one_line_with_its_place(tmp_path, capsys, header, row, message):
    folder = write_labels(tmp_path / "set", [row], header)
    with pytest.raises(HpeError, match=message):
        labelled_images(folder)
    assert main(["eval", "images", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_missing_or_double_image_is_named(tmp_path):
    folder = write_labels(tmp_path, 2 * [("a.png", 0, 0, 0, 1, 2, 3, 4)])
    with pytest.raises(HpeError, match="labelled twice"):
        labelled_images(folder)
    (folder / "images" / "a.png").unlink()
    with pytest.raises(HpeError, match=r"no image a\.png"):
        labelled_images(folder)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_labels_csv_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("labels")
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / "labels.csv").write_bytes(data)
    with pytest.raises(HpeError):
        labelled_images(folder)


@given(st.lists(st.text(alphabet="0123456789.-einfa,\"'\n\r\0 ", max_size=12), min_size=8, max_size=8))
def test_any_row_of_labels_csv_is_read_or_refused(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("labels")
    (folder / "a.png").write_bytes(b"")
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, ["a.png", *cells[1:]]])
    try:
        (found,) = labelled_images(folder)
    except HpeError:
        return
    assert np.all(np.isfinite(found.R)) and np.all(np.isfinite(found.box_px))


@given(st.binary(max_size=300))
def test_any_mat_file_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("aflw")
    (folder / "image00001.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + content)
    (folder / "image00001.jpg").write_bytes(b"")
    with pytest.raises(HpeError, match="not a label file"):
        labelled_images(folder)


@given(st.lists(st.floats(width=32) | st.none(), max_size=9), st.integers(0, 70))
def test_any_numbers_in_a_mat_file_are_read_or_refused(tmp_path_factory, pose, points):
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("aflw")
    values = np.array([[np.nan if v is None else v for v in pose]], np.float32)
    savemat(str(folder / "image00001.mat"), {"Pose_Para": values, "pt3d_68": np.ones((3, points), np.float32)})
    (folder / "image00001.jpg").write_bytes(b"")
    try:
        (found,) = labelled_images(folder)
    except HpeError:
        return
    assert np.all(np.isfinite(found.R)) and found.size_px > 0 and points == 68


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(HpeError, match="no labelled images that are known here"):
        labelled_images(tmp_path)
    with pytest.raises(HpeError, match="is not a folder"):
        labelled_images(tmp_path / "gone")


# --- shards ----------------------------------------------------------------------------------------------------------


def test_a_face_of_unknown_label_is_no_sample_but_a_known_place(tmp_path):
    first, second = labelled_images(write_shard(tmp_path / "shard_0000.npz"))
    assert first.image().shape == (48, 64, 3) and first.local and first.t_m is None
    assert first.others_px.shape == (1, 4) and second.others_px.shape == (0, 4)
    # 68 landmarks of a mean head of 0.2 m = 20 px reach from 7.4 px left of its middle to 7.4 right
    np.testing.assert_allclose(first.box_px[[0, 2]], [32 - 7.4, 32 + 7.4], atol=0.01)
    assert false_boxes([first.others_px[0]], first) == 0


def test_a_rendered_shard_has_positions_in_its_own_camera(tmp_path):
    K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
    exact = {
        "K": np.tile(K, (3, 1, 1)),
        "R_camera_head": np.tile(turned(yaw=20), (3, 1, 1)),
        "t_camera_head_m": np.tile([0.1, 0.0, 0.8], (3, 1)),
    }
    first, _ = labelled_images(write_shard(tmp_path / "shard_0000.npz", **exact))
    assert not first.local and first.t_m.tolist() == [0.1, 0.0, 0.8] and first.camera.K[0, 0] == 60.0
    assert first.angles.yaw == pytest.approx(20)
    found = score([Answer(first, first.R, first.t_m * 1.05)]).summary["translation"]  # too far, exactly along the ray
    assert found["depth_percent"]["median"] == pytest.approx(5) and found["lateral_mm"]["median"] < 1e-6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": None}, "has no weight"),
        ({"R_local": np.eye(3)[None]}, r"R_local must be \(3, 3, 3\)"),
        ({"face_image": np.array([0, 1, 7])}, "beyond the 2"),
    ],
)
def test_a_broken_shard_is_named(tmp_path, changes, message):
    with pytest.raises(HpeError, match=message):
        list(shards.samples(write_shard(tmp_path / "shard_0000.npz", **changes)))
    (tmp_path / "shard_0000.npz").write_bytes(b"PK no zip")
    with pytest.raises(HpeError, match="is not a shard"):
        list(shards.samples(tmp_path))


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_what_it_prints(frontal_model, tmp_path, capsys):
    rows = [(f"{i}.png", 10.0 * i, 0, 0, 22, 14, 42, 34) for i in range(4)]
    folder, out = write_labels(tmp_path / "set", rows), tmp_path / "out"
    arguments = ["eval", "images", str(folder), "--model", frontal_model, "--out", str(out), "--without", "3.png"]
    assert main(arguments) == 0
    found = json.loads((out / "results.json").read_text())["tables"]
    assert list(found) == ["set", "set without 3.png"]
    one = found["set"]["frontal"]
    assert one["detection"]["matched"] == 4 and one["rotation"]["euler_mae_deg"]["yaw"] == pytest.approx(15, abs=0.5)
    assert found["set without 3.png"]["frontal"]["rotation"]["euler_mae_deg"]["yaw"] == pytest.approx(10, abs=0.5)
    text = (out / "tables.md").read_text()
    assert "| frontal | own detection | 4/4 |" in text and "4/4" in capsys.readouterr().out
    assert len((out / "frames.csv").read_text().splitlines()) == 5
    page = json.loads((out / "report.html").read_text().split('id="data">')[1].split("</script>")[0])
    assert [bag["name"] for bag in page["bags"]] == list(found)
    assert main(arguments) == 2  # there are results already
    limits = tmp_path / "limits.yaml"
    limits.write_text("rotation.euler_mae_deg.mean: {max: 1.0}\n")
    assert main([*arguments, "--overwrite", "--thresholds", str(limits)]) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--limit", "0"], "argument --limit: must be at least 1"),
        (["--model", "gone"], "unknown model 'gone'"),
        (["--without", "9.png"], "no image 9.png"),
        (["--align-on", "nowhere"], "nowhere is not a folder"),
        (["--hfov", "180"], "field of view"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, more, message):
    folder = write_labels(tmp_path / "set", [("a.png", 0, 0, 0, 22, 14, 42, 34)])
    assert main(["eval", "images", str(folder), "--out", str(tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and not (tmp_path / "out").exists()


def test_the_command_without_baselines_loads_neither_torch_nor_training():
    code = (
        "import sys, hpe_core.cli.evaluation.images\n"
        "print([m for m in ('torch', 'training', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_baselines_need_a_checkout(tmp_path, monkeypatch, entry_point, capsys):
    folder = write_labels(tmp_path / "set", [("a.png", 0, 0, 0, 22, 14, 42, 34)])
    entry_point(BASELINES, "baselines = training.measure.baselines:baselines")
    for name in ["training", *(name for name in sys.modules if name.startswith("training."))]:
        monkeypatch.setitem(sys.modules, name, None)
    arguments = ["eval", "images", str(folder), "--out", str(tmp_path / "out"), "--baselines", str(tmp_path)]
    assert main(arguments) == 2
    assert "--baselines is not part of this installation: it is in the source checkout" in capsys.readouterr().err


def test_baselines_come_from_the_checkout(tmp_path, entry_point):
    pytest.importorskip("training.measure.baselines")
    (declared,) = re.findall(r'"hpe\.baselines": \["baselines = (.*)"\]', (ROOT / "setup.py").read_text())
    entry_point(BASELINES, f"baselines = {declared}")
    assert baselines(str(tmp_path)) and all(isinstance(found, Absent) for found in baselines(str(tmp_path)).values())


def test_our_methods_name_one_that_cannot_run(monkeypatch):
    monkeypatch.setattr("hpe_core.evaluation.images.evaluate.OURS", ("later",))
    (found,) = our_methods().values()
    assert isinstance(found, Absent) and "unknown model 'later'" in found.reason


def test_the_camera_of_an_image_without_calibration_is_assumed(tmp_path):
    seen = []

    class Looks:
        faces_from = "labels"

        def answers(self, image, camera, samples):
            seen.append(camera)
            return [Answer(s, s.R) for s in samples]

    samples = labelled_images(write_labels(tmp_path, [("a.png", 0, 0, 0, 1, 2, 3, 4)]))
    answers_of({"m": Looks()}, samples, 90.0)
    np.testing.assert_allclose(seen[0].K, CameraModel.from_hfov(64, 48, 90.0).K)
