"""Tiny datasets in the true folder formats; labels that can be checked by hand."""

import csv
import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from hpe_core import registry
from hpe_core.cli.evaluation import convert as convert_command
from hpe_core.cli.evaluation import dataset as dataset_command
from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.evaluation.convert.convert import convert
from hpe_core.evaluation.images.answers import overlap
from hpe_core.evaluation.images.protocols import COMMANDS, PROTOCOLS, samples_of
from hpe_core.evaluation.images.sample import pose_in_camera
from hpe_core.evaluation.streams.readers import bag_camera, parse_spec, read_series
from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.geometry.lookat import local_from_global
from hpe_core.io.sources.bag import BagSource

FIXED_ROW = [0.9, 32.0, 24.0, 20.0, 1, 0, 0, 0, 1, 0, 0.1, 0.1, 0.1, 8.0]
# rgb.cal as BIWI ships it: intrinsics, distortion, rotation, translation (mm), image size
RGB_CAL = """\
60 0 31.5
0 60 23.5
0 0 1

0 0 0 0

0 0 1
0 1 0
-1 0 0

-25.0 5.0 -13.0

64 48
"""


def write_image(path, width=64, height=48, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))


def write_fit(path, yaw, pitch, roll, scale=1e-4, sellion=(32.0, 20.0), points="pt3d_68", size=(64, 48)):
    """A label of AFLW2000-3D (pt3d_68) or 300W-LP (pt2d) with its image beside it."""
    write_image(path.with_suffix(".jpg"), *size)
    pose = np.radians([pitch, yaw, roll]).tolist() + [30.0, 25.0, 0.0, scale]
    landmarks = np.tile(np.array(sellion)[:, None], (1, 68)) + np.array([[-9.0], [-3.0]]) * (np.arange(68) == 0)
    landmarks = landmarks + np.array([[9.0], [18.0]]) * (np.arange(68) == 8)
    if points == "pt3d_68":
        landmarks = np.vstack([landmarks, np.zeros(68)])
    savemat(str(path), {"Pose_Para": np.array([pose], np.float32), points: landmarks.astype(np.float32)})


def write_biwi(folder, sequences=("01",), frames=(3, 4, 7)):
    """Sequences in which the head looks straight into the depth camera, at x 100 mm, y 50 mm, z 900 mm."""
    for sequence in sequences:
        for number in frames:
            stem = folder / sequence / f"frame_{number:05d}"
            write_image(stem.with_name(stem.name + "_rgb.png"))
            stem.with_name(stem.name + "_pose.txt").write_text("1 0 0 \n0 1 0 \n0 0 1 \n\n100 50 900 \n")
        (folder / sequence / "rgb.cal").write_text(RGB_CAL)
    return folder


def angles_of(sample):
    return [float(v) for v in (sample.angles.yaw, sample.angles.pitch, sample.angles.roll)]


def test_every_dataset_file_has_the_one_function():
    for name in registry.available("hpe_core.evaluation.datasets"):
        assert callable(registry.load("hpe_core.evaluation.datasets", name).samples)


def test_every_dataset_file_says_how_its_folder_is_known():
    for name in registry.available("hpe_core.evaluation.datasets"):
        dataset = registry.load("hpe_core.evaluation.datasets", name).DATASET
        assert dataset.title and dataset.marks
        assert {protocol.dataset for protocol in dataset.protocols} <= {dataset.command}


def test_every_protocol_and_everything_that_becomes_bags_stands_in_the_help():
    assert {name for name in PROTOCOLS if name not in dataset_command.DESCRIPTION} == set()
    assert {name for name in COMMANDS if f"{name} FOLDER" not in convert_command.DESCRIPTION} == set()


def test_three_labels_of_aflw2000_by_hand(tmp_path):
    labels = [(30, 0, 0), (0, -20, 0), (-40, 10, 25)]
    for i, (yaw, pitch, roll) in enumerate(labels):
        write_fit(tmp_path / f"image{i:05d}.mat", yaw, pitch, roll)
    found = list(samples_of("aflw2000", tmp_path))
    np.testing.assert_allclose([angles_of(s) for s in found], labels, atol=1e-4)
    # yaw 30 turns the face (-z of the head) to the image's left, pitch -20 turns it down
    assert (found[0].R @ [0, 0, -1])[0] == pytest.approx(-0.5, abs=1e-6)
    assert (found[1].R @ [0, 0, -1])[1] == pytest.approx(np.sin(np.radians(20)), abs=1e-6)
    assert found[0].box_px.tolist() == [23.0, 17.0, 41.0, 38.0]
    assert found[0].size_px == pytest.approx(20.0)  # 1e-4 pixels per micrometre, 0.2 m


def test_a_fit_is_placed_where_it_appears_in_an_assumed_camera(tmp_path):
    write_fit(tmp_path / "image00000.mat", -40, 10, 25, sellion=(12.0, 30.0))
    (sample,) = samples_of("aflw2000", tmp_path)
    camera = CameraModel.from_hfov(64, 48, 60.0)
    R, t_m = pose_in_camera(sample, camera)
    centre = R @ FACE_CENTRE_M + t_m
    np.testing.assert_allclose(local_from_global(R, centre)[0], sample.R, atol=1e-9)
    assert REFERENCE_LENGTH_M * pixels_per_metre(camera, centre) == pytest.approx(20.0, rel=1e-3)
    assert np.linalg.norm(camera.project(t_m) - [12.0, 30.0]) < 1.0  # perspective against orthographic: under a pixel


def test_labels_of_300wlp_and_the_file_list_within_99_degrees(tmp_path):
    write_fit(tmp_path / "AFW" / "AFW_1_0.mat", 10, 0, 0, points="pt2d")
    write_fit(tmp_path / "AFW_Flip" / "AFW_1_0.mat", -10, 0, 0, points="pt2d")
    write_fit(tmp_path / "LFPW" / "LFPW_7_3.mat", 0, 0, 120, points="pt2d")
    found = list(samples_of("300wlp", tmp_path))
    assert [s.name for s in found] == ["AFW/AFW_1_0", "AFW_Flip/AFW_1_0", "LFPW/LFPW_7_3"]
    np.testing.assert_allclose([angles_of(s)[0] for s in found[:2]], [10, -10], atol=1e-4)
    listed = tmp_path / "files.txt"
    assert main(["convert", "300wlp", str(tmp_path), "--list", str(listed)]) == 0
    assert listed.read_text().split() == ["AFW/AFW_1_0", "AFW_Flip/AFW_1_0"]


def test_biwi_goes_from_the_depth_camera_to_the_colour_camera(tmp_path):
    found = list(samples_of("biwi", write_biwi(tmp_path)))
    assert [s.name for s in found] == ["01/frame_00003", "01/frame_00004", "01/frame_00007"]
    assert found[2].stamp_ns - found[0].stamp_ns == pytest.approx(4e9 / 30, abs=1)
    # R of rgb.cal sends depth z to colour x and depth x to colour -z; then T is added
    np.testing.assert_allclose(found[0].t_m, [0.9 - 0.025, 0.05 + 0.005, -0.1 - 0.013])
    np.testing.assert_allclose(found[0].R, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-9)
    camera = found[0].camera
    assert (camera.width, camera.height, camera.K[0, 0]) == (64, 48, 60.0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("frame_00003_pose.txt", "1 0 0\n0 1 0\n", r"must hold 12 finite numbers, got 6"),
        ("frame_00003_pose.txt", "1 0 0 0 1 0 0 0 5 1 1 1", "not a rotation"),
        ("frame_00003_pose.txt", "1 0 zero", "cannot be read as numbers"),
        ("rgb.cal", "60 0 31.5", "must hold 27"),
    ],
)
def test_a_damaged_biwi_file_is_named(tmp_path, name, text, message):
    folder = write_biwi(tmp_path)
    (folder / "01" / name).write_text(text)
    with pytest.raises(HpeError, match=message):
        list(samples_of("biwi", folder))


def test_folders_of_another_kind_are_refused(tmp_path):
    for kind, message in (("aflw2000", "no .mat files"), ("300wlp", "none of the folders"), ("biwi", "no sequences")):
        with pytest.raises(HpeError, match=message):
            list(samples_of(kind, tmp_path))
    (tmp_path / "image00001.mat").write_bytes(b"not matlab")
    write_image(tmp_path / "image00001.jpg")
    with pytest.raises(HpeError, match="not a label file"):
        list(samples_of("aflw2000", tmp_path))


def test_biwi_becomes_one_bag_per_sequence_with_truth_and_camera(tmp_path):
    counts, _, _ = convert("biwi", write_biwi(tmp_path / "biwi", ("01", "24")), tmp_path / "bags")
    assert counts == {"01": 3, "24": 3}
    bag = tmp_path / "bags" / "24"
    truth = read_series(bag, parse_spec("/truth/head_pose"))
    np.testing.assert_allclose(truth.t_m[0], [0.875, 0.055, -0.113])
    np.testing.assert_allclose(truth.R[0], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-9)
    assert bag_camera(bag).K[0, 0] == 60.0
    with BagSource(bag) as source:
        frames = list(source)
    assert [frame.image_bgr.shape for frame in frames] == 3 * [(48, 64, 3)]
    assert frames[0].camera.K[0, 0] == 60.0 and [f.stamp_ns for f in frames] == truth.stamp_ns.tolist()


def test_aflw2000_becomes_a_bag_of_unrelated_images_of_any_size(tmp_path):
    write_fit(tmp_path / "aflw" / "image00002.mat", 30, 0, 0)
    write_fit(tmp_path / "aflw" / "image00004.mat", 0, 0, 0, size=(80, 60))
    assert main(["convert", "aflw2000", str(tmp_path / "aflw"), "--out", str(tmp_path / "bags")]) == 0
    with BagSource(tmp_path / "bags" / "aflw2000") as source:
        frames = list(source)
    assert [(f.camera.width, f.image_bgr.shape[1]) for f in frames] == [(64, 64), (80, 80)]
    assert frames[1].stamp_ns - frames[0].stamp_ns >= 10**10


def test_images_and_videos_become_bags_without_truth(tmp_path):
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.jpg", value=40 * i)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    counts, losses, _ = convert("images", str(tmp_path / "photos"), tmp_path / "a", hfov_deg=60.0)
    assert counts == {"photos": 3} and sum(losses.values()) == 1
    with BagSource(tmp_path / "a" / "photos") as source:
        assert [int(f.image_bgr.mean()) // 40 for f in source] == [0, 1, 2]
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for i in range(4):
        writer.write(np.full((48, 64, 3), 50 * i, np.uint8))
    writer.release()
    assert main(["convert", "video", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "b")]) == 0
    with BagSource(tmp_path / "b" / "clip") as source:
        frames = list(source)
    assert len(frames) == 4 and frames[0].camera is None  # nobody gave a calibration
    assert frames[1].stamp_ns - frames[0].stamp_ns == 40_000_000


def test_a_folder_with_other_things_in_it_is_never_emptied(tmp_path):
    write_image(tmp_path / "photos" / "0.jpg")
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(HpeError):
            convert("images", str(tmp_path / "photos"), out, overwrite=overwrite)
    assert (out / "thesis.tex").exists()


@pytest.mark.parametrize("kind", ["images", "video", "aflw2000", "biwi"])
def test_a_mistyped_source_leaves_the_earlier_bags(tmp_path, capsys, kind):
    write_image(tmp_path / "photos" / "0.jpg")
    convert("images", str(tmp_path / "photos"), tmp_path / "bags")
    before = (tmp_path / "bags" / "photos" / "photos.mcap").read_bytes()
    (tmp_path / "phot").mkdir()
    for source in ("phoots", "phot"):  # one that is not there, one that has no images
        assert main(["convert", kind, str(tmp_path / source), "--out", str(tmp_path / "bags"), "--overwrite"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert (tmp_path / "bags" / "photos" / "photos.mcap").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "bags").iterdir()) == [".hpe_manifest.json", "photos"]


def test_a_conversion_that_fails_in_the_middle_leaves_the_earlier_bags(tmp_path):
    write_fit(tmp_path / "aflw" / "image00002.mat", 30, 0, 0)
    convert("aflw2000", tmp_path / "aflw", tmp_path / "bags")
    before = (tmp_path / "bags" / "aflw2000" / "aflw2000.mcap").read_bytes()
    write_fit(tmp_path / "aflw" / "image00001.mat", 0, 0, 0)
    write_fit(tmp_path / "aflw" / "image00003.mat", 0, 0, 0)
    (tmp_path / "aflw" / "image00003.jpg").write_bytes(b"no image")
    with pytest.raises(HpeError, match=r"image00003\.jpg"):
        convert("aflw2000", tmp_path / "aflw", tmp_path / "bags", overwrite=True)
    assert (tmp_path / "bags" / "aflw2000" / "aflw2000.mcap").read_bytes() == before


def test_protocols_say_which_images_count(tmp_path):
    for i, (yaw, pitch) in enumerate([(45, 0), (55, 0), (0, 45), (100, 0)]):
        # yaw beyond 90 is not a regular AFLW2000 angle: roll stands in for it
        write_fit(tmp_path / f"image{i:05d}.mat", 0 if yaw == 100 else yaw, pitch, 100 if yaw == 100 else 0)
    found = list(samples_of("aflw2000", tmp_path))
    counted = {name: [PROTOCOLS[name].reason_to_skip(s) is None for s in found] for name in ("aflw2000", "nlml-window")}
    assert counted == {"aflw2000": [True, True, True, False], "nlml-window": [True, False, False, False]}
    biwi = list(samples_of("biwi", write_biwi(tmp_path, ("01", "17"))))
    assert [PROTOCOLS["biwi-70-30"].reason_to_skip(s) is None for s in biwi] == 3 * [False] + 3 * [True]


def test_overlap_of_boxes_by_hand():
    assert overlap(np.array([0, 0, 2, 2.0]), np.array([1, 0, 3, 2.0])) == pytest.approx(2 / 6)
    assert overlap(np.array([0, 0, 1, 1.0]), np.array([2, 2, 3, 3.0])) == 0.0


@pytest.fixture
def frontal_model(write_onnx, model_card):
    """Sees one frontal face in the middle of a 64x48 image, always."""
    return write_onnx([FIXED_ROW], model_card())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_frontal_answer_to_turned_faces_errs_by_their_angles(frontal_model, tmp_path, jobs):
    folder = tmp_path / "aflw"
    for i, yaw in enumerate([0, 10, 20, 30]):
        write_fit(folder / f"image{i:05d}.mat", yaw, 0, 0, sellion=(31.5, 20.5))
    write_fit(folder / "image00004.mat", 0, 0, 0, sellion=(5.0, 5.0))  # the model answers elsewhere
    write_fit(folder / "image00005.mat", 0, 0, 120)
    out = tmp_path / "out"
    arguments = ["eval", "dataset", str(folder), "--protocol", "aflw2000", "--model", str(frontal_model)]
    assert main([*arguments, "--out", str(out), "--jobs", str(jobs)]) == 0
    found = json.loads((out / "results.json").read_text())
    counts = found["detection"]
    assert (counts["images"], counts["matched"], counts["missed"], counts["skipped"]) == (6, 4, 1, 1)
    assert found["rotation"]["euler_mae_deg"]["yaw"] == pytest.approx(15.0, abs=0.5)
    assert found["rotation"]["geodesic_deg"]["max"] == pytest.approx(30.0, abs=0.5)
    with open(out / "frames.csv", newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows["image00004"]["status"] == "missed" and rows["image00004"]["reason"] == "only other faces found"
    assert "outside" in rows["image00005"]["reason"]


def test_biwi_is_scored_in_millimetres_too(frontal_model, tmp_path):
    folder = write_biwi(tmp_path / "biwi", ("17",), frames=range(60))
    cal = RGB_CAL.replace("0 0 1\n0 1 0\n-1 0 0\n\n-25.0 5.0 -13.0", "1 0 0\n0 1 0\n0 0 1\n\n-100 -50 -300")
    (folder / "17" / "rgb.cal").write_text(cal)
    out = tmp_path / "out"
    arguments = ["eval", "dataset", str(folder), "--protocol", "biwi-70-30", "--model", str(frontal_model)]
    assert main([*arguments, "--out", str(out)]) == 0
    found = json.loads((out / "results.json").read_text())
    assert found["detection"]["matched"] == 60
    assert found["rotation"]["geodesic_deg"]["mean"] < 2.0
    assert 0.0 < found["translation"]["error_mm"]["mean"] < 200.0
    assert found["aligned"]["fitted_on"] == 12 and found["aligned"]["held_out"] == 48


def test_an_unknown_protocol_lists_the_known(tmp_path, capsys):
    assert main(["eval", "dataset", str(tmp_path), "--protocol", "mine"]) == 2
    error = capsys.readouterr().err
    assert "known: aflw2000, biwi" in error and error.count("\n") == 1


def test_angles_of_a_sample_use_the_published_convention():
    R = euler.aflw2000.to_matrix(euler.EulerDeg(12.0, -34.0, 56.0))
    found = euler.biwi.from_matrix(R)
    assert [float(found.yaw), float(found.pitch), float(found.roll)] == pytest.approx([12.0, -34.0, 56.0])
