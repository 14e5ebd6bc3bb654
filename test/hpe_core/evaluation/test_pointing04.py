"""Pointing'04: labels read off file names, and a score that neither scale nor offset of an estimate changes."""

import csv
import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.evaluation.datasets.pointing04 import PANS_DEG, TILTS_DEG, facing_of
from hpe_core.evaluation.errors import nominal
from hpe_core.evaluation.images.answers import Answer, assigned
from hpe_core.evaluation.images.evaluate import Absent, labelled_images, scored
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import score
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, pan_tilt

TO_FACE = np.array([0.0, 0.0, -1.0])  # out of the face, head frame


def write_published(folder, names, box="Face\n32\n24\n10\n20\n"):
    """Images of 64x48 with the text file that lies beside each."""
    for name in names:
        path = folder / f"Person{name[6:8]}" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
        path.with_suffix(".txt").write_text(f"{name}.jpg\n\n{box}")
    return folder


def write_repacked(folder, rows):
    (folder / "images").mkdir(parents=True)
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["file", "cx", "cy", "w", "h"], *rows])
    for name, *_ in rows:
        cv2.imwrite(str(folder / "images" / name), np.full((48, 64, 3), 90, np.uint8))
    return folder


def series(turn, person=1):
    """Answers to a whole series; turn: of nominal pan and tilt to the estimated ones, None where it is missed."""
    names = [
        f"person{person:02d}1{number:02d}{tilt:+d}{pan:+d}.jpg"
        for number, (tilt, pan) in enumerate((t, p) for t in TILTS_DEG for p in (PANS_DEG if abs(t) < 90 else (0,)))
    ]
    answers = []
    for name in names:
        facing, sequence = facing_of(name)
        sample = _sample(name, facing, sequence)
        estimated = turn(facing.pan_deg, facing.tilt_deg)
        answers.append(Answer(sample, None if estimated is None else facing_R(*estimated), reason=""))
    return answers


def facing_R(pan, tilt, roll=0.0):
    return pan_tilt.to_matrix(EulerDeg(yaw=pan, pitch=tilt, roll=roll))


def _sample(name, facing, sequence):
    R = facing_R(facing.pan_deg, facing.tilt_deg)
    return Sample(name, None, sequence, 0, R, False, np.array([0.0, 0, 9, 9]), of_landmarks=False, facing=facing)


def test_three_labels_as_published_by_hand(tmp_path):
    write_published(tmp_path, ["person01146+0-90", "person09200-30+0", "person09201+60+15"])
    a, b, c = labelled_images(tmp_path)
    assert [(s.facing.person, s.sequence) for s in (a, b, c)] == [("1", "p01s1"), ("9", "p09s2"), ("9", "p09s2")]
    # pan -90: the nose points to the image's right (x), tilt -30: half down (y), tilt 60: up
    np.testing.assert_allclose(a.R @ TO_FACE, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(b.R @ TO_FACE, [0, 0.5, -np.sqrt(0.75)], atol=1e-12)
    assert (c.R @ TO_FACE)[1] == pytest.approx(-np.sqrt(0.75)) and (c.R @ TO_FACE)[0] < 0
    assert a.box_px.tolist() == [27, 14, 37, 34] and a.camera is None


def test_the_repacked_set_is_not_taken_for_another_labels_csv(tmp_path):
    write_repacked(tmp_path, [["p01s1_+00-15.jpg", 30, 20, 10, 12], ["p02s2_-90+00.jpg", 30, 20, 10, 12]])
    a, b = labelled_images(tmp_path)
    assert (a.facing.pan_deg, a.facing.tilt_deg, a.facing.person) == (-15, 0, "1")
    assert (b.facing.pan_deg, b.facing.tilt_deg, b.sequence) == (0, -90, "p02s2")
    assert a.box_px.tolist() == [25, 14, 35, 26]


@given(st.text(max_size=40) | st.from_regex(r"p(erson)?\d{2,5}s?\d?_?[+-]\d{1,2}[+-]\d{1,2}\.jpg", fullmatch=True))
def test_any_file_name_is_read_is_another_or_is_refused(name):
    try:
        found = facing_of(name)
    except HpeError as error:
        assert name in str(error)
        return
    if found is not None:
        facing, _ = found
        assert facing.tilt_deg in TILTS_DEG and facing.pan_deg in PANS_DEG and facing.person.isdecimal()


@given(st.integers(1, 15), st.sampled_from(TILTS_DEG), st.sampled_from(PANS_DEG), st.sampled_from([1, 2]))
def test_both_names_of_a_direction_say_the_same(person, tilt, pan, number):
    published = facing_of(f"person{person:02d}{number}07{tilt:+d}{pan:+d}.jpg")
    assert published == facing_of(f"p{person:02d}s{number}_{tilt:+03d}{pan:+03d}.jpg")
    assert published[0].tilt_deg == tilt and published[0].pan_deg == pan


@pytest.mark.parametrize("box", ["Face\n32\n24\n10\n", "Face\n32\n24\n0\n20\n", "Face\n32\n24\n1e9.\n20\n", ""])
def test_a_broken_box_is_one_line_with_its_place(tmp_path, box):
    write_published(tmp_path, ["person01146+0-90"], box)
    with pytest.raises(HpeError, match=r"person01146\+0-90.txt"):
        labelled_images(tmp_path)


def test_a_direction_that_the_set_does_not_have_is_refused(tmp_path):
    write_published(tmp_path, ["person01146+7-90"])
    with pytest.raises(HpeError, match="got 7 and -90"):
        labelled_images(tmp_path)


def test_persons_are_chosen_and_an_unknown_one_is_named(tmp_path):
    write_published(tmp_path, ["person01146+0-90", "person09200-30+0", "person10200-30+0"])
    assert [s.facing.person for s in labelled_images(tmp_path, persons=["9", "10"])] == ["9", "10"]
    with pytest.raises(HpeError, match=r"no image of person 7: .* has 1, 9, 10"):
        labelled_images(tmp_path, persons=["7", "9"])


def test_neither_a_slope_nor_an_offset_of_a_series_is_an_error():
    first = series(lambda pan, tilt: (0.7 * pan + 4.0, 0.5 * tilt - 3.0), person=1)
    second = series(lambda pan, tilt: (0.7 * pan - 9.0, 0.5 * tilt + 1.0), person=2)
    found = score(first + second).summary["facing"]
    assert found["residual_deg"]["mean"] == pytest.approx(0, abs=1e-9)
    assert found["slope"]["pan"] == pytest.approx(0.7) and found["slope"]["tilt"] == pytest.approx(0.5)
    assert found["scale"]["pan"] == pytest.approx(1 / 0.7) and found["rank_correlation"]["tilt"] == pytest.approx(1)
    assert (found["series"], found["persons"]) == (2, ["1", "2"])


def test_one_slope_is_for_the_whole_set():
    first = series(lambda pan, tilt: (0.5 * pan, 0.5 * tilt), person=1)
    second = series(lambda pan, tilt: (pan, tilt), person=2)
    found = score(first + second).summary["facing"]["residual_deg"]
    # scale = (0.5 + 1) / (0.25 + 1) = 1.2, so the residuals are 0.4 and 0.2 of |label|: 0.3 on average
    pans = [abs(pan) for tilt in TILTS_DEG if abs(tilt) < 90 for pan in PANS_DEG]
    assert found["pan"] == pytest.approx(0.3 * np.mean(pans))


def test_roll_is_no_direction_and_a_pan_straight_up_does_not_count():
    answers = series(lambda pan, tilt: (pan if abs(tilt) < 90 else 50.0, tilt))
    turned = [Answer(a.sample, a.R @ facing_R(0, 0, 20.0)) for a in answers]
    found = score(turned)
    assert found.summary["facing"]["residual_deg"]["mean"] == pytest.approx(0, abs=1e-6)
    straight = np.abs(found.rows["tilt_deg"]) == 90
    assert np.isnan(found.rows["pan_residual_deg"][straight]).all() and straight.sum() == 2


def test_a_missed_face_counts_as_the_middle_of_its_series():
    found = score(series(lambda pan, tilt: None if (pan, tilt) == (90, 60) else (pan, tilt)))
    residual = found.summary["facing"]["residual_deg"]
    assert residual["mean"] == pytest.approx(0, abs=1e-9)
    assert residual["mean_failures_as_mean_pose"] == pytest.approx((90 + 60) / 2 / 93)
    assert found.summary["detection"]["missed"] == 1 and (found.rows["status"] == "missed").sum() == 1


def test_ranks_share_their_mean_and_reversed_order_is_minus_one():
    a, one = np.array([3.0, 1.0, 2.0, 2.0]), np.zeros(4)
    assert nominal.rank_correlation(a, a**3, one) == pytest.approx(1)
    assert nominal.rank_correlation(a, -a, one) == pytest.approx(-1)
    assert np.isnan(nominal.rank_correlation(a, one, one))


def test_a_face_box_that_is_no_landmark_box_takes_the_face_around_its_middle():
    (answer,) = series(lambda pan, tilt: (pan, tilt))[:1]
    camera = CameraModel.from_hfov(64, 48, 60.0)
    boxes = [[20, 20, 30, 30], [-40, -40, 60, 60]]  # the second holds (4.5, 4.5), with an overlap of 0.008
    assert assigned(boxes, [answer.sample], camera) == [1]


def test_a_method_that_is_given_landmarks_is_absent_where_there_are_none():
    from training.measure.baselines import LANDMARKS, NETWORKS, Baseline

    baseline = Baseline(NETWORKS["FSA-Net"], None)
    samples = [a.sample for a in series(lambda pan, tilt: (pan, tilt))]
    answers = baseline.answers(np.zeros((48, 64, 3), np.uint8), CameraModel.from_hfov(64, 48, 60.0), samples)
    assert scored({"p": baseline}, {"p": answers})["p"] == Absent(LANDMARKS, "the labels have no landmarks")


def test_the_command_writes_residuals_for_chosen_persons(tmp_path, capsys):
    folder = write_published(tmp_path / "set", [f"person09{i:03d}+0{pan:+d}" for i, pan in enumerate(PANS_DEG, 100)])
    write_published(folder, ["person10100+0+0"])
    out = tmp_path / "out"
    command = ["eval", "images", str(folder), "--persons", "9", "--model", "head6dof", "--out", str(out)]
    assert main(command) == 0
    (results,) = json.loads((out / "results.json").read_text())["tables"].values()
    assert results["head6dof"]["detection"]["ground_truth_heads"] == len(PANS_DEG)
    assert results["head6dof"]["facing"]["persons"] == ["9"]
    rows = list(csv.DictReader((out / "frames.csv").open()))
    assert [row["pan_deg"] for row in rows][:2] == ["-90.000", "-75.000"] and rows[0]["status"] == "missed"
    assert "residual" in (out / "tables.md").read_text() and "nominal" in (out / "report.html").read_text()
    assert main([*command[:3], "--persons", "3", "--out", str(out)]) == 2
    assert "no image of person 3" in capsys.readouterr().err
