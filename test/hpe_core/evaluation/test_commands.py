"""`hpe eval bag` from the outside: files, bytes, exit codes."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from hpe_core.cli.main import main
from hpe_core.evaluation.report.results import write_junit
from hpe_core.evaluation.report.thresholds import Check
from hpe_core.geometry import so3

FIXED_ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]


@pytest.fixture
def bag(pose_bag, synthetic):
    stamps, R, t = synthetic.motion(8)
    wrong = R @ so3.matrix_from_rotvec(np.radians([0.0, 5.0, 0.0]))
    return pose_bag({"/truth": (stamps, R, t), "/good": (stamps, R, t), "/bad": (stamps, wrong, t)})


def hpe(*arguments):
    try:
        return main([str(a) for a in arguments])
    except SystemExit as stop:  # argparse
        return stop.code


def both(bag, out, *more):
    return hpe(
        "eval",
        "bag",
        bag,
        "--estimate",
        "/good",
        "--estimate",
        "b=/bad",
        "--ground-truth",
        "/truth",
        "--out",
        out,
        *more,
    )


def test_several_estimates_come_into_one_result(bag, tmp_path):
    out = tmp_path / "out"
    assert both(bag, out) == 0
    values = json.loads((out / "results.json").read_text())
    assert (values["schema"], values["schema_version"]) == ("hpe-evaluation", "1.0")
    estimates = values["bags"][0]["estimates"]
    assert estimates["/good"]["rotation"]["geodesic_deg"]["mean"] < 1e-5
    assert estimates["b"]["rotation"]["geodesic_deg"]["mean"] == pytest.approx(5.0, abs=1e-6)
    with open(out / "frames.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 240 and {row["status"] for row in rows} == {"matched"}
    assert float(rows[-1]["geodesic_deg"]) == pytest.approx(5.0)


def test_two_runs_give_identical_bytes_that_name_no_place(bag, tmp_path):
    texts = []
    for name in ("one", "two"):
        assert both(bag, tmp_path / name) == 0
        texts.append([(tmp_path / name / file).read_bytes() for file in ("results.json", "frames.csv", "junit.xml")])
    assert texts[0] == texts[1]
    assert str(tmp_path).encode() not in texts[0][0]


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\x0b", "\ud800", "\ufffe"])
def test_junit_is_readable_whatever_an_estimate_is_called(tmp_path, character):
    limit = {"bound": "max", "limit": 1.0}
    checks = [
        Check(estimate=f"a{character}b", metric=f"m{character}", value=None, **limit),
        Check(estimate="ä<&\U0001f600", metric="m", value=0.5, **limit),
    ]
    write_junit(tmp_path / "junit.xml", checks, "suite")
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")
    assert [case.get("classname") for case in cases] == ["suite", "suite.a\ufffdb", "suite.ä<&\U0001f600"]
    assert cases[1].get("name") == "m\ufffd max 1" and "not measured" in cases[1].find("failure").get("message")


def test_thresholds_decide_the_exit_code_and_junit(bag, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text(
        "detection.recall: {min: 0.99}\nestimates:\n  b:\n    rotation.geodesic_deg.mean: {max: 4.0}\n"
        "    uncertainty.rotation.nees_over_dof: {max: 2.0}\n"
    )
    assert both(bag, tmp_path / "out", "--thresholds", limits) == 1
    root = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("5", "2")
    messages = sorted(node.get("message") for node in root.iter("failure"))
    assert messages[0].startswith("b: rotation.geodesic_deg.mean = 5") and "not measured" in messages[1]
    limits.write_text("rotation.geodesic_deg.mean: {max: 6.0}\n")
    assert both(bag, tmp_path / "out2", "--thresholds", limits) == 0


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("rotation.geodesic: {max: 1}", "unknown metric 'rotation.geodesic'"),
        ("rotation: {max: 1}", "no number"),
        ("detection.recall: 0.5", "must have min or max"),
        ("detection.recall: {min: high}", "must be a number"),
        ("estimates: {theirs: {detection.recall: {min: 1}}}", "estimate 'theirs', known: /good, b"),
    ],
)
def test_bad_thresholds_end_with_2_and_one_line(bag, tmp_path, capsys, limits, message):
    path = tmp_path / "limits.yaml"
    path.write_text(limits)
    assert both(bag, tmp_path / "out", "--thresholds", path) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--estimate", "/none"], "no topic /none"),
        (["--estimate", "/good", "--estimate", "/good"], "two estimates are named /good"),
        (["--estimate", "/good", "--ground-truth", "run"], "the ground truth cannot be 'run'"),
        (["--estimate", "/good", "--target", "shelf=1,2"], "--target must be NAME=X,Y,Z"),
        (["--estimate", "/good", "--calibration-part", "1.5"], "calibration part must lie in (0, 1)"),
        (["--estimate", "/good", "--max-offset", "1e12"], "max offset must lie in (0, 60], got"),
        (["--estimate", "/good", "--gate", "nan"], "gate must lie in (0, 100], got nan"),
        (["--estimate", "/good", "--jobs", "0"], "argument --jobs: must be at least 1"),
        (["--estimate", "run"], "has no image topic"),
        (["--estimate", "missing.csv"], "missing.csv cannot be read"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(bag, tmp_path, capsys, arguments, message):
    assert hpe("eval", "bag", bag, "--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_bag_that_does_not_exist_and_a_folder_without_bags(tmp_path, capsys):
    assert hpe("eval", "bag", tmp_path / "nothing", "--estimate", "/a") == 2
    (tmp_path / "empty").mkdir()
    assert hpe("eval", "bag", tmp_path / "empty", "--estimate", "/a") == 2
    assert "holds no rosbag2" in capsys.readouterr().err


def test_what_was_lost_and_why_nothing_matched_is_said(pose_bag, synthetic, tmp_path, capsys):
    stamps, R, t = synthetic.motion(2)
    far = t + [2.0, 0.0, 0.0]
    far[3] = np.nan
    bag = pose_bag({"/truth": (stamps, R, t), "/est": (stamps, R, far)})
    assert hpe("eval", "bag", bag, "--estimate", "e=/est", "--ground-truth", "/truth", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "lost      e: pose with a number that is not finite: 1" in printed
    assert "note      e: no pose was matched; too far from every ground-truth head (--gate): 59" in printed


def test_earlier_results_are_kept_unless_told(bag, tmp_path, capsys):
    assert both(bag, tmp_path / "out") == 0
    assert both(bag, tmp_path / "out") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert both(bag, tmp_path / "out", "--overwrite") == 0


def test_an_evaluation_never_deletes_what_it_reads_or_did_not_write(bag, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "errors.parts").mkdir(parents=True)
    (out / "errors.parts" / "thesis.tex").write_text("years of work")
    assert both(bag, out) == 0
    assert (out / "errors.parts" / "thesis.tex").read_text() == "years of work"
    before = (out / "errors.mcap").read_bytes()
    topic = "/evaluation/b/euler_error_deg"
    assert hpe("eval", "bag", out / "errors.mcap", "--estimate", topic, "--out", out, "--overwrite") == 2
    assert "errors.mcap is read and would be replaced" in capsys.readouterr().err
    read_beside = ("--estimate", f"x={out / 'errors.mcap'}:{topic}")
    assert hpe("eval", "bag", bag, *read_beside, "--out", out, "--overwrite") == 2
    assert "errors.mcap is read and would be replaced" in capsys.readouterr().err
    mine = tmp_path / "mine" / "errors.mcap"
    mine.parent.mkdir()
    mine.write_bytes((bag / "bag.mcap").read_bytes())
    assert hpe("eval", "bag", mine, "--estimate", "/good", "--out", mine.parent, "--overwrite") == 2
    assert "holds errors.mcap, not written by hpe" in capsys.readouterr().err
    assert (out / "errors.mcap").read_bytes() == before and mine.read_bytes() == (bag / "bag.mcap").read_bytes()


def test_a_failed_evaluation_leaves_the_earlier_results(bag, tmp_path, capsys):
    assert both(bag, tmp_path / "out") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert hpe("eval", "bag", bag, "--estimate", "/none", "--out", tmp_path / "out", "--overwrite") == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_of_bags_is_pooled_from_its_poses_and_a_broken_bag_is_named(pose_bag, synthetic, tmp_path, capsys):
    for name, degrees, seconds in (("bags/a", 2.0, 2), ("bags/b", 6.0, 6)):
        stamps, R, t = synthetic.motion(seconds)
        wrong = R @ so3.matrix_from_rotvec(np.radians([0.0, degrees, 0.0]))
        (tmp_path / "bags").mkdir(exist_ok=True)
        pose_bag({"/truth": (stamps, R, t), "/est": (stamps, wrong, t)}, name=name)
    arguments = ("--estimate", "e=/est", "--ground-truth", "/truth")
    assert hpe("eval", "bag", tmp_path / "bags", *arguments, "--out", tmp_path / "out") == 0
    values = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [b["bag"]["name"] for b in values["bags"]] == ["a", "b"]
    # 60 poses of 2 degrees and 180 of 6, not the mean of two means
    assert values["combined"]["e"]["rotation"]["geodesic_deg"]["mean"] == pytest.approx(5.0, abs=1e-6)
    assert values["combined"]["e"]["detection"]["matched"] == 240

    (tmp_path / "bags" / "c").mkdir()
    (tmp_path / "bags" / "c" / "c.mcap").write_bytes(b"no bag")
    assert hpe("eval", "bag", tmp_path / "bags", *arguments, "--out", tmp_path / "out2", "--jobs", 2) == 2
    assert "1 of 3 bags could not be evaluated; c: " in capsys.readouterr().err
    again = json.loads((tmp_path / "out2" / "results.json").read_text())
    assert list(again["failed_bags"]) == ["c"]
    assert (again["bags"], again["combined"]) == (values["bags"], values["combined"])  # whatever --jobs


@pytest.fixture
def image_bag(write_bag, synthetic, tmp_path):
    """64x48 images with CameraInfo and truth; every third image is late in the file."""
    stamps, _, _ = synthetic.motion(1)
    make = synthetic.make
    K = np.array([60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1])
    roi = make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
    entries = []
    for i, s in enumerate(stamps):
        pixels = np.full((48, 64, 3), 5 * i, np.uint8)
        image = make("sensor_msgs/msg/Image", synthetic.header(s), 48, 64, "bgr8", 0, 192, pixels.ravel())
        info = make(
            "sensor_msgs/msg/CameraInfo",
            *(synthetic.header(s), 48, 64, "plumb_bob", np.zeros(5), K, np.eye(3).ravel(), np.zeros(12), 0, 0, roi),
        )
        entries.append(("/cam/camera_info", s, info))
        entries.append(("/cam/image_raw", s + (70_000_000 if i % 3 == 0 else 0), image))
        entries.append(("/truth", s, synthetic.pose_stamped(s, np.eye(3), [0.0, 0.0, 0.6])))
    return write_bag(sorted(entries, key=lambda entry: entry[1]))


def test_run_answers_every_image_in_stamp_order_with_the_same_bytes_each_time(
    image_bag, write_onnx, model_card, tmp_path
):
    model = write_onnx([FIXED_ROW], model_card(), gain=1e-4)
    texts = []
    for name in ("one", "two"):
        arguments = ("--estimate", "run", "--model", model, "--ground-truth", "/truth", "--flip")
        assert hpe("eval", "bag", image_bag, *arguments, "--gate", "3", "--out", tmp_path / name) == 0
        texts.append((tmp_path / name / "results.json").read_bytes())
    assert texts[0] == texts[1]
    found = json.loads(texts[0])["bags"][0]["estimates"]["run"]
    assert found["detection"]["matched"] == found["detection"]["frames"] == 30
    assert found["by"]["face_size_px"]
    assert found["flip_consistency"]["images"] == 30
    assert "latency" not in str(found) or found["latency_ms"] is None  # the wall clock has no place in results
    with open(tmp_path / "one" / "frames.csv", newline="") as file:
        stamps = [int(row["stamp_ns"]) for row in csv.DictReader(file)]
    assert stamps == sorted(set(stamps))


def test_two_models_run_side_by_side_with_jobs(image_bag, write_onnx, model_card, tmp_path):
    one = write_onnx([FIXED_ROW], model_card(), name="one")
    two = write_onnx([FIXED_ROW], model_card(), name="two")
    arguments = ("--estimate", f"run:{one}", "--estimate", f"run:{two}", "--ground-truth", "/truth", "--gate", "3")
    out = tmp_path / "out"
    assert hpe("eval", "bag", image_bag, *arguments, "--jobs", "2", "--out", out) == 0
    estimates = json.loads((out / "results.json").read_text())["bags"][0]["estimates"]
    assert list(estimates) == ["run:one.onnx", "run:two.onnx"]
