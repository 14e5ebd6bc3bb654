"""What the report says first, which values it marks, its bands, its worst images, and its tables as LaTeX and CSV."""

import base64
import csv
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.cli.main import main
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.report.export import latex, write_exports
from hpe_core.evaluation.report.headline import GREATEST, LEAST, NEAREST, best_of, cards, marked_table
from hpe_core.evaluation.report.tables import ROWS
from hpe_core.evaluation.report.worst_images import worst_images
from hpe_core.geometry import euler
from hpe_core.io.text import csv_value

GEODESIC = "rotation.geodesic_deg.mean"


def summary(mean, recall=1.0):
    geodesic = {"mean": mean, "median": mean, "p95": 2 * mean, "ci95": [mean - 1, mean + 1]}
    return {"detection": {"recall": recall, "ground_truth_heads": 10}, "rotation": {"geodesic_deg": geodesic}}


def values_in(page):
    return json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])


def test_every_path_that_is_marked_has_a_row():
    assert {*LEAST, *GREATEST, *NEAREST} <= {path for _, path in ROWS}


def test_the_best_is_the_least_error_the_greatest_recall_and_the_slope_nearest_to_one():
    assert best_of(GEODESIC, [3.0, 2.0, None, 2.5]) == [1]
    assert best_of("detection.recall", [0.9, 0.95]) == [1]
    assert best_of("rotation.slope.pan.slope", [0.8, 1.1, 0.7]) == [1]
    assert best_of(GEODESIC, [2.0, 2.0, 3.0]) == [0, 1]
    assert best_of(GEODESIC, [2.0, None]) == best_of("stream.rate_hz", [1.0, 2.0]) == []


def test_nothing_is_marked_where_all_are_alike_or_alone():
    rows = {row["title"]: row["best"] for row in marked_table({"a": summary(2.0), "b": summary(3.0)})}
    assert rows["geodesic error, mean (deg)"] == [0] and rows["found (recall)"] == []
    assert all(row["best"] == [] for row in marked_table({"a": summary(2.0)}))


def test_a_card_shows_the_best_estimate_with_interval_and_percentile_by_name():
    card = cards({"a": summary(3.0), "b": summary(2.0)})[0]
    assert (card["title"], card["value"], card["of"]) == ("Rotation error, mean", "2°", "b, best of 2")
    assert card["note"] == "95 % CI of the mean 1.00 to 3.00; median 2.00; 95th percentile (p95) 4.00"
    assert [c["of"] for c in cards({"a": summary(3.0), "b": summary(2.0)})][1] == "all 2 alike"


def test_the_tables_are_there_as_latex_and_csv_with_the_best_in_bold(tmp_path):
    labels = {"a_b & 50 %": summary(3.0), "=1+1": summary(2.0)}
    write_exports(tmp_path, {"my $bag$": labels, "other": {"=1+1": summary(1.0)}})
    text = (tmp_path / "table.tex").read_text()
    assert r" & a\_b \& 50 \% & =1+1 \\" in text
    assert r"geodesic error, mean (deg) & 3.000 & \textbf{2.000} \\" in text
    assert text.count(r"\begin{tabular}{lrr}") == text.count(r"\begin{tabular}{lr}") == 1
    with open(tmp_path / "table.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert header[:3] == ["table", "measure", "a_b & 50 %"] and csv_value(header[3]) == "=1+1" != header[3]
    assert ["my $bag$", "geodesic error, mean (deg)", "3.000", "2.000"] in lines
    assert ["my $bag$", "geodesic error, mean (deg): 95th percentile (p95)", "6.000", "4.000"] in lines
    assert ["other", "geodesic error, mean (deg)", "", "1.000"] in lines


@given(st.text(max_size=40))
def test_no_text_is_a_command_to_latex(text):
    done = latex(text)
    assert "\n" not in done and "\r" not in done
    plain = re.sub(r"\\text[a-z]+\{\}", "", done)
    assert not re.search(r"(?<!\\)[&%$#_{}~^]|\\(?![&%$#_{}])", plain)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: table.tex was NOT set by LaTeX")
def test_latex_sets_the_table(tmp_path):
    write_exports(tmp_path, {"bag": {"a_b\\&{": summary(3.0), "b": summary(2.0)}})
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table.tex}\end{document}"
    (tmp_path / "all.tex").write_text(head)
    subprocess.run(["pdflatex", "-halt-on-error", "all.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_angles_and_positions_have_bands_as_wide_as_the_covariance_says(write_bag, synthetic, tmp_path):
    stamps, R, t = synthetic.motion(2)
    covariance = np.diag([0.01, 0.02, 0.03, 0.0, 0.0, 0.0]) ** 2
    entries = [("/truth", s, synthetic.pose_stamped(s, R[i], t[i])) for i, s in enumerate(stamps)]
    entries += [("/est", s, synthetic.pose_with_covariance(s, R[i], t[i], covariance)) for i, s in enumerate(stamps)]
    out, bag = tmp_path / "out", write_bag(entries)
    assert main(["eval", "bag", str(bag), "--estimate", "/est", "--ground-truth", "/truth", "--out", str(out)]) == 0
    values = values_in(out / "report.html")
    plots = {plot["title"]: plot["series"] for plot in values["bags"][0]["time_plots"]}
    assert {"Yaw", "Pitch", "Roll", "X", "Y", "Z"} <= set(plots)
    for name, std_m in (("X", 0.01), ("Y", 0.02), ("Z", 0.03)):
        truth, line = plots[name]
        assert truth["name"] == "ground truth"
        width = np.array(line["high"], float) - np.array(line["low"], float)
        assert np.nanmax(np.abs(width - 2 * 1.96 * std_m)) < 2e-3
    about = dict(values["about"])
    assert about["command"].startswith("hpe eval bag ") and {"hpe", "date"} <= set(about) and "model" not in about
    assert [path.name for path in out.glob("table.*")]


def test_the_worst_images_are_those_with_the_largest_errors_and_the_missed_ones(tmp_path):
    answers = []
    for number, yaw in enumerate((0.0, 5.0, 40.0, 20.0, 1.0, None)):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((100, 100, 3), 90, np.uint8))
        box = np.array([30.0, 30.0, 70.0, 70.0])
        one = Sample(name=path.name, path=path, sequence="", stamp_ns=number, R=np.eye(3), local=True, box_px=box)
        R = None if yaw is None else euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=0.0, roll=0.0))
        answers.append(Answer(one, R=R, reason="no face found" if R is None else ""))
    shown = worst_images({"a": answers, "b": answers, "c": answers, "d": answers}, 60.0)
    texts = [one["text"] for one in shown if one["text"].startswith("b: ")]
    assert texts == ["b: 40.0 deg, yaw 0, 2.png", "b: 20.0 deg, yaw 0, 3.png", "b: missed: no face found, yaw 0, 5.png"]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(shown[0]["image"].split(",")[1]), np.uint8), 1)
    assert picture.std() > 5  # axes on grey


def test_an_image_that_cannot_be_read_is_listed_without_a_picture(tmp_path):
    one = Sample(name="x", path=tmp_path / "x.png", sequence="", stamp_ns=0, R=np.eye(3), local=True)
    (shown,) = worst_images({"a": [Answer(one, reason="image cannot be read")]}, 60.0)
    assert shown["image"] is None and "image cannot be read" in shown["text"]
