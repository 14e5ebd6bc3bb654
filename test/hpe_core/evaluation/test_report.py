"""report.html in a real browser where there is one, and errors.mcap as any reader sees it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from hpe_core.cli.main import main
from hpe_core.evaluation.report.time_plots import MAX_POINTS, thinned
from hpe_core.geometry import so3

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = """headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
disable-component-update disable-sync disable-dev-shm-usage virtual-time-budget=4000"""
FLAGS = [f"--{name}" for name in SWITCHES.split()]


def in_browser(page, tmp_path, script=""):
    """The page's DOM after a browser without any network has run it (and `script` after that)."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: the report was NOT tried in a browser (apt-get install chromium)")
    copy = tmp_path / "copy.html"  # alone in its folder, so that nothing beside it can help
    copy.write_text(page.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    profile, block = f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [CHROMIUM, *FLAGS, profile, block, "--enable-logging=stderr", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not errors, errors
    return done.stdout


@pytest.fixture
def image_bag(write_bag, synthetic):
    """Two seconds of grey 64x48 images, with truth and an estimate that misses some frames and errs in others."""
    stamps, R, t = synthetic.motion(2)
    make = synthetic.make
    K = np.array([60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1])
    roi = make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
    entries = []
    for i, s in enumerate(stamps):
        pixels = np.full(48 * 64 * 3, 90, np.uint8)
        entries.append(
            ("/cam/image_raw", s, make("sensor_msgs/msg/Image", synthetic.header(s), 48, 64, "bgr8", 0, 192, pixels))
        )
        info = (synthetic.header(s), 48, 64, "plumb_bob", np.zeros(5), K, np.eye(3).ravel(), np.zeros(12), 0, 0, roi)
        entries.append(("/cam/camera_info", s, make("sensor_msgs/msg/CameraInfo", *info)))
        entries.append(("/truth", s, synthetic.pose_stamped(s, R[i], t[i])))
        if not 20 <= i < 25:
            wrong = R[i] @ so3.matrix_from_rotvec([0.0, np.radians(0.5 * i), 0.0])
            entries.append(("/est", s, synthetic.pose_with_covariance(s, wrong, t[i], np.eye(6) * 1e-3)))
    return write_bag(entries)


def evaluate(bag, out, *more):
    assert main(["eval", "bag", str(bag), "--estimate", "<!--<script>&=/est", "--out", str(out), *more]) in (0, 1)
    return out


def test_the_report_is_one_file_that_asks_for_nothing(image_bag, tmp_path):
    text = (evaluate(image_bag, tmp_path / "out", "--ground-truth", "/truth") / "report.html").read_text("utf-8")
    assert not re.search(r"<[a-z]+[^>]*\b(src|href)=", text)
    assert "http" not in text and "@import" not in text and "fetch(" not in text
    assert text.count("</script>") == 2  # what an estimate is called does not end the data
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["labels"] == ["<!--<script>&"]
    (bag,) = data["bags"]
    assert len(bag["worst"]) > 2 and all(w["image"].startswith("data:image/jpeg;base64,") for w in bag["worst"])
    assert any("missed" in w["text"] for w in bag["worst"])
    assert ["rows: missed", 5] in bag["accounting"]


def test_the_report_runs_in_a_browser_without_network(image_bag, tmp_path):
    out = evaluate(image_bag, tmp_path / "out", "--ground-truth", "/truth")
    click = """
      const before = plots[0].x[1] - plots[0].x[0];
      document.querySelector(".worst figure").click();
      document.body.dataset.zoomed = (plots[0].x[1] - plots[0].x[0]) < before + 1 && plots[0].view !== null;
      document.querySelector(".bar input").click();
      document.body.dataset.hidden = plots[0].shown().length;
      document.body.dataset.images = [...document.images].filter((i) => i.naturalWidth > 0).length;
      document.body.dataset.inked = plots.filter((p) => p.canvas.getContext("2d")
        .getImageData(0, 0, p.canvas.width, p.canvas.height).data.some((v) => v > 0)).length;
    """
    page = in_browser(out / "report.html", tmp_path, f"window.onload = () => {{ {click} }};")
    found = dict(re.findall(r'data-(\w+)="(\w+)"', page.split("<body")[1].split(">")[0]))
    assert int(found["ready"]) == int(found["inked"]) >= 7
    assert found["zoomed"] == "true" and found["hidden"] == "0" and int(found["images"]) > 2
    assert "geodesic error, mean (deg)" in page


def test_without_truth_and_without_images_there_is_a_report_too(pose_bag, synthetic, tmp_path):
    out = evaluate(pose_bag({"/est": synthetic.motion(5)}), tmp_path / "out")
    page = in_browser(out / "report.html", tmp_path)
    assert int(re.search(r'data-ready="(\d+)"', page).group(1)) == 6
    assert not (out / "errors.mcap").exists()  # there are no errors without truth


def test_a_folder_of_bags_has_an_overview_and_a_choice(pose_bag, synthetic, tmp_path):
    (tmp_path / "bags").mkdir()
    for name in ("bags/first", "bags/second"):
        pose_bag({"/est": synthetic.motion(3), "/truth": synthetic.motion(3)}, name=name)
    out = evaluate(tmp_path / "bags", tmp_path / "out", "--ground-truth", "/truth")
    change = """
      const choice = document.querySelector("select");
      choice.value = "1"; choice.onchange();
      document.body.dataset.shown = [...document.querySelectorAll("h2")].map((h) => h.textContent).join("|");
    """
    page = in_browser(out / "report.html", tmp_path, f"window.onload = () => {{ {change} }};")
    shown = re.search(r'data-shown="([^"]*)"', page).group(1).split("|")
    assert shown[:3] == ["All 2 bags together", "Bag by bag", "Bag second"]


def test_a_thinned_line_keeps_its_peaks_and_breaks_at_gaps():
    x, y = np.arange(50_000) / 30.0, np.zeros(50_000)
    y[31_234] = 77.0
    x[40_000:] += 100.0
    thin_x, thin_y, _ = thinned(x, y, np.zeros(50_000))
    assert len(thin_x) <= MAX_POINTS + 1 and np.nanmax(thin_y) == 77.0
    assert np.isnan(thin_y).sum() == 1


def test_errors_mcap_holds_each_error_at_its_frames_time(image_bag, tmp_path):
    out = evaluate(image_bag, tmp_path / "out", "--ground-truth", "/truth")
    found = {}
    with AnyReader([Path(out / "errors.mcap")], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        last = 0
        for connection, time_ns, data in reader.messages():
            assert time_ns >= last
            last = time_ns
            found.setdefault(connection.topic, []).append((time_ns, reader.deserialize(data, connection.msgtype)))
    prefix = "/evaluation/script"
    assert len(found[f"{prefix}/missed"]) == 60
    assert sum(message.data for _, message in found[f"{prefix}/missed"]) == 5.0
    angles = [message.data for _, message in found[f"{prefix}/geodesic_deg"]]
    expected = [0.5 * i for i in range(60) if not 20 <= i < 25]
    np.testing.assert_allclose(angles, expected, atol=1e-5)
    assert len(found[f"{prefix}/euler_error_deg"]) == 55
