import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader

import hpe_core
from hpe_core import catalogue
from hpe_core.cli.interrupt import Interrupt
from hpe_core.cli.main import main
from hpe_core.evaluation.streams.pose_csv import read_pose_csv
from hpe_core.io.bags import Bag
from hpe_core.io.sources.bag import BagSource

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
SAMPLE = ROOT / "assets" / "sample_bag"
SHIPPED = "head6dof" in catalogue.networks()
needs_weights = pytest.mark.skipif(not SHIPPED, reason="hpe_core/weights/head6dof.onnx is not there")
needs_sample = pytest.mark.skipif(not (SAMPLE / "metadata.yaml").exists(), reason="assets/sample_bag is not there")
FIXED_ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]

LENS = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [26.0, 0, 32, 0, 26.0, 24, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.08, 0, 0, -0.01]}
"""


@pytest.fixture
def model(request):
    """Arguments that name a model: the shipped one, else one that sees one frontal face in every image."""
    if SHIPPED:
        return []
    write_onnx, card = request.getfixturevalue("write_onnx"), request.getfixturevalue("model_card")
    return ["--model", str(write_onnx([FIXED_ROW], card()))]


@pytest.fixture
def video(tmp_path):
    def write(count, name="clip.avi", size=(64, 48)):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, size)
        for i in range(count):
            writer.write(np.full((size[1], size[0], 3), i % 256, np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def fails(capfd):
    """fails(arguments) -> the one line on stderr of a command that must end with exit code 2."""

    def run(*arguments):
        capfd.readouterr()  # what came before
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        captured = capfd.readouterr()
        assert code == 2, captured
        assert captured.err.count("\n") == 1 and captured.err.startswith("hpe: error: "), captured.err
        return captured.err

    return run


def rows_of(folder):
    with open(folder / "poses.csv", newline="") as file:
        return list(csv.DictReader(file))


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def counts_in(bag):
    with Reader(bag) as reader:
        read = [connection.topic for connection, _, _ in reader.messages()]
    return {topic: read.count(topic) for topic in ("/head_pose", "/head_poses", "/tf")}


def test_video_becomes_poses_bag_overlay_and_summary(video, model, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", str(video(6)), "--out", str(out), *model]) == 0
    names = [".hpe_manifest.json", "overlay.mp4", "poses", "poses.csv", "summary.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    rows, summary = rows_of(out), summary_of(out)
    assert sorted({int(row["frame"]) for row in rows}) == [0, 1, 2, 3, 4, 5]
    assert rows[-1]["stamp_ns"] == "200000000" and rows[0]["source"] == "clip.avi"
    faces = sum(row["face_id"] != "" for row in rows)
    assert (summary["frames"], summary["faces"], summary["dropped"], summary["finished"]) == (6, faces, {}, True)
    counts = counts_in(out / "poses")
    assert counts["/head_poses"] == 6
    assert counts["/head_pose"] == counts["/tf"] == summary["frames_with_faces"]
    assert "frames    6" in capsys.readouterr().out


@needs_weights
def test_faces_where_the_distortion_has_no_inverse_are_counted_and_shown(
    video, write_onnx, model_card, tmp_path, capsys
):
    corner = [0.9, 60.0, 44.0, *FIXED_ROW[3:]]  # 34 of 25 px from the middle: a lens that ends there has no ray
    model = write_onnx([FIXED_ROW, corner], model_card())
    lens = tmp_path / "lens.yaml"
    lens.write_text(LENS)
    main(["run", str(video(3)), "--out", str(tmp_path / "out"), "--model", str(model), "--camera-info", str(lens)])
    assert "\ncounted   faces where the distortion has no inverse: 3\n" in capsys.readouterr().out
    summary = summary_of(tmp_path / "out")
    assert (summary["beyond_lens"], summary["faces"]) == (3, 3)


def test_counts_of_nlml_are_shown_where_it_was_asked_and_nowhere_else(video, tmp_path, capsys):
    for name, shown in (("nlml", True), ("fusion", False)):
        out = tmp_path / name
        assert main(["run", str(video(2)), "--out", str(out), "--no-overlay", "--model", name]) == 0
        assert ("nlml" in summary_of(out)) == shown
        assert ("\ncounted   nlml rigid: 0\n" in capsys.readouterr().out) == shown
    assert summary_of(tmp_path / "nlml")["nlml"] == {"candidates": 0, "rigid": 0, "out_of_range": 0}


@needs_weights
def test_the_back_of_a_head_is_counted_as_not_published(tmp_path, capsys):
    sheet = cv2.imread(str(Path(__file__).parents[1] / "pipeline" / "full_turn" / "frames.jpg"))
    (tmp_path / "photos").mkdir()
    for name, k in (("front", 0), ("back", 27)):
        row, column = divmod(k, 10)
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), sheet[180 * row :, 240 * column :][:180, :240])
    assert main(["run", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--no-overlay"]) == 0
    assert (summary_of(tmp_path / "out")["faces"], summary_of(tmp_path / "out")["unconfirmed"]) == (1, 1)
    assert "\ncounted   faces not confirmed, not published: 1\n" in capsys.readouterr().out


@needs_weights
def test_the_image_of_a_camera_mounted_turned_is_turned_by_the_option(tmp_path, capsys):
    photo = cv2.imread(str(ROOT / "hpe_core" / "backends" / "tensorrt" / "parity_frames" / "0.jpg"))
    cv2.imwrite(str(tmp_path / "turned.png"), cv2.rotate(photo, cv2.ROTATE_90_COUNTERCLOCKWISE))
    for degrees, faces in ((90, 1), (0, 0)):
        out = ["--out", str(tmp_path / str(degrees)), "--no-overlay"]
        assert main(["run", str(tmp_path / "turned.png"), "--image-rotation", str(degrees), *out]) == 0
        assert summary_of(tmp_path / str(degrees))["faces"] == faces
    (row,) = rows_of(tmp_path / "90")
    assert float(row["roll_deg"]) == pytest.approx(-90.0, abs=15.0)
    capsys.readouterr()
    assert main(["run", str(tmp_path / "turned.png"), "--image-rotation", "45"]) == 2
    assert capsys.readouterr().err == "hpe: error: image_rotation must be one of 0, 90, 180, 270, got 45\n"


def test_summary_names_model_camera_latency_versions_and_arguments(video, model, tmp_path):
    main(["run", str(video(2)), "--out", str(tmp_path / "out"), "--hfov", "90", "--no-overlay", *model])
    summary = summary_of(tmp_path / "out")
    assert not (tmp_path / "out" / "overlay.mp4").exists()
    assert summary["camera"]["assumed"] is True and summary["camera"]["K"][0] == pytest.approx(32.0)
    assert summary["model_files"]
    assert all(re.fullmatch("[0-9a-f]{64}", m["sha256"]) and m["card"]["name"] for m in summary["model_files"])
    assert summary["backend"] == "onnxruntime" and summary["versions"]["hpe"] == hpe_core.__version__
    assert summary["arguments"]["hfov"] == 90.0
    for stage in ("read", "preprocess", "inference", "postprocess", "tracking", "image_to_pose", "end_to_end"):
        assert 0 < summary["latency_ms"][stage]["p50"] <= summary["latency_ms"][stage]["p95"]


def test_assumed_field_of_view_is_announced_and_a_calibration_is_not(video, model, tmp_path, capsys):
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(
        "image_width: 64\nimage_height: 48\ncamera_matrix: {data: [70, 0, 31.5, 0, 70, 23.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\ndistortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )
    clip = str(video(1))
    main(["run", clip, "--out", str(tmp_path / "a"), *model])
    assert "assuming 60 degrees field of view" in capsys.readouterr().err
    main(["run", clip, "--out", str(tmp_path / "b"), "--camera-info", str(calibration), *model])
    assert "assum" not in capsys.readouterr().err
    camera = summary_of(tmp_path / "b")["camera"]
    assert (camera["assumed"], camera["K"][0]) == (False, 70.0)


def test_folder_of_images_gives_overlay_images_and_counts_the_broken_one(model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, shape in enumerate([(48, 64, 3), (60, 40, 3)]):
        cv2.imwrite(str(folder / f"img{i}.png"), np.full(shape, 90, np.uint8))
    (folder / "img2.png").write_bytes((folder / "img1.png").read_bytes()[:50])
    out = tmp_path / "out"
    assert main(["run", str(folder), "--out", str(out), *model]) == 0
    assert sorted(path.name for path in (out / "overlay").iterdir()) == ["img0.png", "img1.png"]
    summary = summary_of(out)
    assert summary["frames"] == 2 and summary["dropped"] == {"compressed image is cut off after 50 bytes": 1}
    assert [row["source"] for row in rows_of(out) if not row["error"]][-1] == "img1.png"


def test_unreadable_images_are_named_in_the_summary_and_have_a_row_also_before_the_first_good_one(model, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    good = cv2.imencode(".png", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    (folder / "1.png").write_bytes(good[:50])
    (folder / "2.png").write_bytes(good)
    os.mkfifo(folder / "3.png")
    assert main(["run", str(folder), "--out", str(out), *model]) == 0
    reasons = {
        "1.png": "compressed image is cut off after 50 bytes",
        "3.png": "cannot be read: a named pipe, not a file",
    }
    named = [{"source": name, "frame": frame, "reason": reasons[name]} for name, frame in (("1.png", 0), ("3.png", 2))]
    assert summary_of(out)["unreadable"] == {"count": 2, "first": named}
    rows = rows_of(out)
    assert {row["source"]: row["error"] for row in rows} == reasons | {"2.png": ""}
    assert [row["face_id"] for row in rows if row["error"]] == ["", ""]
    series = read_pose_csv(out / "poses.csv")
    assert series.message_stamp_ns.tolist() == [0, 1_000_000_000, 2_000_000_000]
    assert len(series) == summary_of(out)["faces"]


@pytest.mark.parametrize("settings", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_names_that_are_no_text_go_through_from_end_to_end(model, tmp_path, settings):
    sources = tmp_path / "sources"
    sources.mkdir()
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    photo, out = os.path.join(os.fsencode(sources), "=caf\xe9 \x1b[31m鎌.jpg".encode() + b"\xff.jpg"), b"out \xfe"
    with open(photo, "wb") as file:
        file.write(picture)
    command = [sys.executable, "-m", "hpe_core", "run", os.fsencode(sources), "--out", out, *model]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT | settings, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"\\xfe/poses.csv" in done.stdout and b"\x1b[31m" not in done.stdout + done.stderr
    folder = os.path.join(os.fsencode(tmp_path), out)
    assert os.path.exists(os.path.join(folder, b"overlay", os.path.basename(photo)))
    with open(os.path.join(folder, b"poses.csv"), newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["source"].startswith("'=caf") and "\x1b" not in row["source"] and row["source"].endswith("\\xff.jpg")
    with open(os.path.join(folder, b"summary.json"), "rb") as file:
        assert json.loads(file.read())["source"]["name"] == "sources"


@pytest.mark.parametrize("settings", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_a_video_whose_name_is_no_text_goes_into_a_folder_whose_name_is_none(video, model, tmp_path, settings):
    os.rename(video(3), os.path.join(os.fsencode(tmp_path), b"\xe9.avi"))
    command = [sys.executable, "-m", "hpe_core", "run", b"\xe9.avi", *model]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT | settings, capture_output=True)
    assert done.returncode == 0, done.stderr
    names = os.listdir(os.path.join(os.fsencode(tmp_path), b"hpe_out", b"\xe9"))
    assert sorted(names) == [b".hpe_manifest.json", b"overlay.mp4", b"poses", b"poses.csv", b"summary.json"]


def test_reasons_and_paths_on_the_terminal_hold_no_escapes(tmp_path, fails, capfd):
    folder = tmp_path / "a\x1b[2Jb"
    folder.mkdir()
    assert "a\\x1b[2Jb" in fails("run", folder / "nix.mp4")
    assert "\x1b" not in fails("run", folder, "--out", folder / "\x9bnix")


@needs_weights
@needs_sample
def test_a_folder_of_mixed_sizes_runs_with_one_calibration_and_a_resized_image_has_the_same_pose(tmp_path, capsys):
    with BagSource(SAMPLE) as source:
        frame = next(iter(source))
    height, width = frame.image_bgr.shape[:2]
    (tmp_path / "camera.yaml").write_text(
        f"image_width: {width}\nimage_height: {height}\ncamera_matrix: {frame.camera.K.ravel().tolist()}\n"
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    half = cv2.resize(frame.image_bgr, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    for name, image in {"a": frame.image_bgr, "b": half, "c": frame.image_bgr[:-100], "d": half}.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    out = tmp_path / "out"
    arguments = ["--camera-info", str(tmp_path / "camera.yaml"), "--no-overlay"]
    assert main(["run", str(folder), "--out", str(out), *arguments]) == 0
    err, summary = capsys.readouterr().err, summary_of(out)
    assert summary["camera"]["images"] == {"exact": 1, "resized": 2, "assumed": 1}
    assert len(summary["notices"]) == 2 and all(err.count(notice) == 1 for notice in summary["notices"])
    whole, smaller, cut, _ = rows_of(out)
    assert float(smaller["tz_m"]) == pytest.approx(float(whole["tz_m"]), rel=0.05)
    assert cut["face_id"] != ""


def test_default_output_folder_carries_the_name_of_the_source(video, model, tmp_path, monkeypatch):
    clip = video(1)
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(clip), "--no-overlay", *model]) == 0
    assert (tmp_path / "hpe_out" / "clip" / "poses.csv").exists()


def test_earlier_results_need_overwrite(video, model, tmp_path, fails):
    arguments = ["run", video(1), "--out", tmp_path / "out", *model]
    assert main([str(a) for a in arguments]) == 0
    line = (tmp_path / "out" / "summary.json").read_text()
    assert "holds earlier results" in fails(*arguments)
    assert (tmp_path / "out" / "summary.json").read_text() == line
    assert main([*(str(a) for a in arguments), "--overwrite"]) == 0


@needs_sample
def test_cut_bag_is_processed_as_far_as_it_goes_and_the_loss_is_in_the_summary(model, tmp_path, capsys):
    data = (SAMPLE / "sample_bag.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[:300_000])
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "cut.mcap"), "--out", str(out), "--no-overlay", *model]) == 0
    summary = summary_of(out)
    assert 3 <= summary["frames"] < 30 and summary["losses"]["rosbag2 file is cut off"] == 1
    assert summary["camera"]["assumed"] is False
    assert "cut.mcap is cut off" in capsys.readouterr().err


@needs_sample
@needs_weights
def test_sample_bag_has_one_face_of_one_id_in_nearly_every_frame(tmp_path):
    out = tmp_path / "out"
    assert main(["run", str(SAMPLE), "--out", str(out), "--no-overlay"]) == 0
    summary = summary_of(out)
    assert summary["frames"] == 150 and summary["frames_with_faces"] >= 147
    assert max(summary["faces_by_id"].values()) >= 147 and summary["faces"] <= 153
    with Reader(SAMPLE) as reader:
        images = [c for c in reader.connections if c.topic == "/camera/image/compressed"]
        assert [time_ns for _, time_ns, _ in reader.messages(images)] == sorted(
            {int(row["stamp_ns"]) for row in rows_of(out)}
        )


def test_bad_sources_are_one_line_each(tmp_path, fails, model):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no jpeg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "not.mcap").write_bytes(b"hello")
    (tmp_path / "cut.mcap").write_bytes(b"\x89MCAP0\r\n\x01")
    out = ["--out", tmp_path / "out", *model]
    assert "does not exist" in fails("run", tmp_path / "nix.mp4", *out)
    assert "has no image that can be read: compressed image is cut off" in fails("run", tmp_path / "broken.jpg", *out)
    assert "holds neither images" in fails("run", tmp_path / "empty", *out)
    assert "is not an MCAP file" in fails("run", tmp_path / "not.mcap", *out)
    assert "has no image topic; it has: no messages at all" in fails("run", tmp_path / "cut.mcap", *out)
    assert not (tmp_path / "out").exists()


def run_outside(*arguments, **options):
    command = [sys.executable, "-m", "hpe_core", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.mark.parametrize("source, line", [("text.mp4", "is not an image, a video or a rosbag2"), ("98", "camera 98")])
def test_libraries_add_no_lines_of_their_own(tmp_path, source, line):
    (tmp_path / "text.mp4").write_text("no video")
    result = run_outside("run", tmp_path / source if source.endswith("4") else source)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and line in result.stderr


def test_full_disk_is_one_line(video, model, tmp_path):
    resource = pytest.importorskip("resource")
    limit = (8_000, 8_000)  # bytes that one file may have; as a full disk, it fails while writing
    result = run_outside(
        *("run", video(400), "--out", tmp_path / "out", "--no-overlay", *model),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == "hpe: error: File too large"


def test_bad_options_are_one_line_each(video, tmp_path, fails, model):
    clip = video(1)
    (tmp_path / "config.yaml").write_text("estimator: {treshold: 0.5}\n")
    (tmp_path / "file").write_text("x")
    run = ["run", clip, *model]
    assert "unknown model 'nix', known:" in fails("run", clip, "--model", "nix")
    assert "unknown backend 'nix', known: onnxruntime" in fails(*run, "--backend", "nix")
    assert "argument --threads: must be at least 0, a whole number, got '-1'" in fails(*run, "--threads", -1)
    assert "field of view must lie in (0, 180) degrees, got 200" in fails(*run, "--hfov", 200)
    assert "config.yaml: unknown setting 'treshold', known:" in fails(*run, "--config", tmp_path / "config.yaml")
    assert "nix.yaml cannot be read" in fails(*run, "--camera-info", tmp_path / "nix.yaml")
    assert "--topic /image needs a rosbag2" in fails(*run, "--topic", "/image")
    assert "output folder" in fails(*run, "--out", tmp_path / "file" / "below")
    assert "is a file" in fails(*run, "--out", tmp_path / "file")
    assert "not allowed with argument" in fails(*run, "--hfov", 60, "--camera-info", "x.yaml")
    assert "arguments are required: SOURCE" in fails("run")
    assert "invalid choice" in fails("walk")
    assert "arguments are required" in fails()


def test_options_beat_the_config_file(video, tmp_path, fails, model):
    (tmp_path / "config.yaml").write_text("estimator: {backend: nix, threads: 1}\ntracker: {timeout_s: 2.0}\n")
    run = ["run", str(video(1)), "--out", str(tmp_path / "out"), "--config", str(tmp_path / "config.yaml"), *model]
    assert "unknown backend 'nix'" in fails(*run)
    assert main([*run, "--backend", "auto"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="windows need DISPLAY on Linux only")
@pytest.mark.parametrize("option", ["--show", "--view"])
def test_without_a_screen_it_is_one_line_and_nothing_is_left(video, tmp_path, fails, model, monkeypatch, option):
    if option == "--view":
        pytest.importorskip("rerun", reason="no rerun-sdk: --view was NOT tested")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    out = tmp_path / "out"
    assert f"{option} needs a screen" in fails("run", video(1), "--out", out, option, *model)
    assert not out.exists()


def test_bag_image_puts_the_images_into_the_bag(video, model, tmp_path):
    main(["run", str(video(3)), "--out", str(tmp_path / "out"), "--bag-image", *model])
    bag = Bag(tmp_path / "out" / "poses")
    assert bag.counts["/camera/image/compressed"] == bag.counts["/camera/camera_info"] == 3


def test_a_saved_recording_is_replaced_only_with_overwrite(video, model, tmp_path, fails, capfd):
    pytest.importorskip("rerun", reason="no rerun-sdk (pip install 'hpe_ros[view]'): --save was NOT tested")
    saved = tmp_path / "clip.rrd"
    run = ["run", str(video(3)), "--out", str(tmp_path / "out"), "--save", str(saved), *model]
    assert main(run) == 0
    assert f"written   {saved}" in capfd.readouterr().out
    assert saved.read_bytes()[:4] == b"RRF2" and [path.name for path in tmp_path.glob(".hpe_*")] == []
    other = ["--out", str(tmp_path / "other")]
    assert "clip.rrd is there already: use --overwrite" in fails(*run, *other)
    assert main([*run, "--overwrite"]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruption_finishes_all_files_with_exit_code_130(video, model, tmp_path, number):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hpe_core", "run", str(video(4000)), "--out", str(out), *model]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while (
        not (out / "hpe_unfinished" / "poses" / "poses.mcap").exists()
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr and "interrupted" in stdout
    summary, rows = summary_of(out), rows_of(out)
    assert (summary["interrupted"], summary["finished"]) == (True, False)
    assert 0 < summary["frames"] < 4000 and int(rows[-1]["frame"]) == summary["frames"] - 1
    assert rows[-1]["depth_std_m"] != "" or rows[-1]["face_id"] == ""
    assert counts_in(out / "poses")["/head_poses"] == summary["frames"]
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == summary["frames"]


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored():
    for action, requested in ((signal.SIG_IGN, False), (signal.SIG_DFL, True)):
        before = signal.signal(signal.SIGHUP, action)
        try:
            with Interrupt() as interrupt:
                os.kill(os.getpid(), signal.SIGHUP)
                assert interrupt.requested == requested
        finally:
            signal.signal(signal.SIGHUP, before)


def start(*arguments):
    command = [sys.executable, "-m", "hpe_core", "run", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_chunks(out, process, chunks):
    """Until the bag of a run on its way has grown so often, which it does every second."""
    path, sizes, deadline = out / "hpe_unfinished" / "poses" / "poses.mcap", set(), time.monotonic() + 120
    while len(sizes) < 1 + chunks:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
        sizes |= {path.stat().st_size} if path.exists() else set()


@pytest.fixture
def long_video(video):
    """Longer than any of these tests waits."""
    return video(20_000)


def test_after_a_kill_rows_messages_and_video_are_readable_but_for_the_last_seconds(long_video, model, tmp_path):
    out = tmp_path / "out"
    process = start(long_video, "--out", out, *model)
    wait_for_chunks(out, process, 3)
    process.kill()
    process.communicate()
    assert sorted(os.listdir(out)) == [".hpe_lock", "hpe_unfinished"]
    left = out / "hpe_unfinished"
    text = (left / "poses.csv").read_text()
    assert text.endswith("\n") and all(line.count(",") == 25 for line in text.splitlines())
    written = int(rows_of(left)[-1]["frame"]) + 1
    bag = Bag(left / "poses")
    assert bag.counts["/head_poses"] == sum(1 for _ in bag.messages({"/head_poses"}))
    capture, pictures = cv2.VideoCapture(str(left / "overlay.mp4")), 0
    while capture.read()[0]:
        pictures += 1
    for found in (bag.counts["/head_poses"], pictures):  # killed in the fourth second
        assert 0.3 * written < found <= written
    again = run_outside("run", long_video.with_name("short.avi"), "--out", out, *model)
    assert again.returncode == 2  # it does not exist, and what is left is still there
    assert (left / "poses.csv").read_text() == text


def test_the_run_after_a_kill_says_what_is_left_and_goes_on(video, long_video, model, tmp_path, capsys):
    out = tmp_path / "out"
    process = start(long_video, "--out", out, *model)
    wait_for_chunks(out, process, 1)
    assert f"is in use by process {process.pid} on host" in run_outside("run", long_video, "--out", out, *model).stderr
    process.kill()
    process.communicate()
    assert main(["run", str(video(2, "short.avi")), "--out", str(out), *model]) == 0
    assert "hpe_unfinished: results of a run that did not finish" in capsys.readouterr().err.replace("\n", " ")
    assert summary_of(out)["frames"] == 2 and (out / "hpe_unfinished" / "poses.csv").exists()


def test_an_interruption_before_the_end_leaves_earlier_results_and_keeps_the_new_ones_readable(
    video, long_video, model, tmp_path
):
    out = tmp_path / "out"
    assert main(["run", str(video(2, "short.avi")), "--out", str(out), *model]) == 0
    process = start(long_video, "--out", out, "--overwrite", *model)
    wait_for_chunks(out, process, 1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "the earlier results stay" in stderr
    assert summary_of(out)["frames"] == 2 and len(rows_of(out)) >= 2
    left = out / "hpe_unfinished"
    assert summary_of(left)["interrupted"] and counts_in(left / "poses")["/head_poses"] == summary_of(left)["frames"]
    capture = cv2.VideoCapture(str(left / "overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == summary_of(left)["frames"]


def test_results_that_are_the_source_are_never_replaced(video, model, tmp_path, fails):
    out = tmp_path / "out"
    assert main(["run", str(video(2)), "--out", str(out), *model]) == 0
    before = (out / "overlay.mp4").read_bytes()
    assert "overlay.mp4 is read and would be replaced" in fails(
        "run", out / "overlay.mp4", "--out", out, "--overwrite", *model
    )
    mine = tmp_path / "mine" / "overlay.mp4"
    mine.parent.mkdir()
    mine.write_bytes(before)
    assert "not written by hpe" in fails("run", mine, "--out", mine.parent, "--overwrite", "--no-overlay", *model)
    assert (out / "overlay.mp4").read_bytes() == mine.read_bytes() == before


def test_pictures_of_an_earlier_run_as_the_source_stay(model, tmp_path, fails):
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "photos"), "--out", str(out), *model]) == 0
    again = ["run", out / "overlay", "--out", out, "--overwrite", *model]
    assert "a.png is read and would be replaced" in fails(*again)
    inside = tmp_path / "photos" / "poses"  # an output folder inside the source
    assert main(["run", str(tmp_path / "photos"), "--out", str(inside), *model]) == 0
    assert main(["run", str(tmp_path / "photos"), "--out", str(inside), "--overwrite", *model]) == 0
    assert (tmp_path / "photos" / "a.png").exists() and (out / "overlay" / "a.png").exists()


def test_help_names_the_commands_and_version_the_version(capsys):
    for arguments, text in (
        (["--help"], "hpe run video.mp4"),
        (["run", "--help"], "overlay.mp4"),
        (["--version"], "hpe "),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0 and text in capsys.readouterr().out


def test_help_loads_no_heavy_library():
    code = (
        "import sys, hpe_core.cli.main\ntry: hpe_core.cli.main.main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('cv2', 'numpy', 'rosbags', 'rich', 'onnxruntime', 'av', 'scipy') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.rstrip().endswith("[]")
