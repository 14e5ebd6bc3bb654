"""Recipes, folders of published data sets and their loose crops, checked by hand; two steps of training on them."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from scipy.io import savemat  # noqa: E402

from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry.camera import CameraModel  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000, axis_turn  # noqa: E402
from hpe_core.geometry.frames import mirrored  # noqa: E402
from hpe_core.geometry.head import FACE_CENTRE_M  # noqa: E402
from hpe_core.geometry.landmarks68 import FLIP_68, REFERENCE_LANDMARKS_M  # noqa: E402
from hpe_core.geometry.lookat import local_from_global  # noqa: E402
from training import fit, recipes, train_crop  # noqa: E402
from training.batches.folders import Folders  # noqa: E402
from training.data.folders import faces_of  # noqa: E402
from training.data.published import loose_box, middle_crop, view_of  # noqa: E402
from training.deploy.export import export  # noqa: E402
from training.measure.methods import published  # noqa: E402

torch.set_num_threads(1)
RECIPES = sorted((Path(__file__).resolve().parents[2] / "config" / "training").glob("*.yaml"))
SIDE, CROP_M, SEEN = 128, 0.28, 36  # SEEN: the landmark where a bright spot is
PX_PER_M, SELLION_PX = 600.0, (150.0, 120.0)
BOX_PX = np.array([100.0, 100.0, 200.0, 300.0])
RGB_CAL = "500 0 159.5\n0 500 119.5\n0 0 1\n\n0 0 0 0\n\n{R}\n\n-25.0 5.0 -13.0\n\n320 240\n"


def spot(width, height, xy):
    yy, xx = np.mgrid[:height, :width]
    return np.repeat((255 * np.exp(-((xx - xy[0]) ** 2 + (yy - xy[1]) ** 2) / 18.0))[..., None], 3, -1).astype(np.uint8)


def spot_of(image):
    weight = image.astype(float).sum(-1)
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(xx * weight).sum(), (yy * weight).sum()]) / weight.sum()


def write_300wlp(folder, angles, subset="AFW"):
    """One image for each (yaw, pitch, roll) deg: dark, with a bright spot at landmark SEEN."""
    for number, (yaw, pitch, roll) in enumerate(angles):
        path = folder / subset / f"{subset}_{number}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        R = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=pitch, roll=roll))
        points = (REFERENCE_LANDMARKS_M @ R.T)[:, :2] * PX_PER_M + SELLION_PX
        cv2.imwrite(str(path.with_suffix(".jpg")), spot(300, 300, points[SEEN]))
        pose = np.radians([pitch, yaw, roll]).tolist() + [0.0, 0.0, 0.0, PX_PER_M * 1e-6]
        savemat(str(path), {"Pose_Para": np.array([pose]), "pt2d": points.T})
    return folder


def write_biwi(folder, sequences, turn_deg=10.0):
    """One frame a sequence, the head straight before the depth camera; rgb.cal turns by turn_deg about y."""
    R = axis_turn(1, np.radians(turn_deg))
    for sequence in sequences:
        stem = folder / sequence / "frame_00003"
        stem.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(f"{stem}_rgb.png", spot(320, 240, (160.0, 120.0)))
        stem.with_name("frame_00003_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\n-120 10 900\n")
        (stem.parent / "rgb.cal").write_text(RGB_CAL.format(R="\n".join(" ".join(map(str, row)) for row in R)))
    return folder


def recipe(**values):
    return recipes.Recipe(**({"model": "lightweight"} | values))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_one_of_a_method_that_is_here_and_of_its_loss(path):
    found = recipes.load(path)
    network = train_crop.network_of(found.model)
    assert train_crop.config_of(network, trunk=found.trunk, **found.config).trunk == found.trunk == "own"
    args = train_crop.arguments(["--recipe", str(path), "--data", "x", "--out", "y"])
    assert fit.weights_of(network.WEIGHTS, args).keys() == network.WEIGHTS.keys()
    assert f"--recipe config/training/{path.name}" in path.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: hopenet\nlearning_rate: 1\n", r"unknown setting 'learning_rate', known: .*\blr\b"),
        ("model: hopenet\naugment: {blurr: 1}\n", "unknown setting 'blurr'"),
        ("model: hopenet\nlr: fast\n", "lr must be float"),
        ("model: hopenet\ncrop: tight\n", "crop must be one of published, lookat"),
        ("model: hopenet\nprotocol: biwi-7\n", "unknown protocol 'biwi-7', known: .*biwi-70-30"),
        ("model: hopenet\nmilestones: '60 30'\n", "milestones must be rising"),
        ("model: hopenet\nloss: {square: -1}\n", "a weight of at least 0 for 'square'"),
        ("model: hopenet\nloss: 3\n", "loss must"),
        ("model: hopenet\ntrain: {k_low: 2.0, k_high: 1.0}\n", "k_low must not be above k_high"),
        ("lr: 1.0e-3\n", "model must be the name of a method"),
    ],
)
def test_a_broken_recipe_is_one_line_that_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(HpeError, match=message) as caught:
        recipes.load(tmp_path / "r.yaml")
    assert str(caught.value).startswith(f"recipe {tmp_path / 'r.yaml'}") and "\n" not in str(caught.value)


def test_hopenets_sides_move_one_after_the_other():
    loose = recipes.Loose(left=0.6, top=2.0, right=0.6, bottom=0.6)
    box = loose_box(BOX_PX, loose, 0.2, 450, 450)
    np.testing.assert_allclose(box, [88.0, 20.0, 200 + 0.12 * 112, 300 + 0.12 * 280])
    np.testing.assert_allclose(
        (box[2:] - box[:2]) / [100, 200], [1.12**2, 1.4 * 1.12]
    )  # (1 + .6k)^2, (1 + 2k)(1 + .6k)


def test_fsanets_sides_move_together_and_end_at_the_image():
    loose = recipes.Loose(left=0.6, top=0.6, right=0.6, bottom=0.6, in_turn=False, clamp=True)
    np.testing.assert_allclose(loose_box(BOX_PX, loose, 1.0, 450, 450), [40.0, 0.0, 260.0, 420.0])
    np.testing.assert_allclose(loose_box(BOX_PX, loose, 1.0, 220, 450), [40.0, 0.0, 219.0, 420.0])


def test_a_square_of_the_longer_side_keeps_its_middle():
    box = loose_box(BOX_PX, recipes.Loose(square="longer", scale=1.2), 1.0, 450, 450)
    np.testing.assert_allclose(box, [30.0, 80.0, 270.0, 320.0])


def test_a_stretched_crop_ends_where_the_box_ends_and_a_covering_one_keeps_the_shape():
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:300, 100:200] = 255
    stretched = middle_crop(image, BOX_PX, recipes.Loose(), 64)
    assert stretched[2:-2, 2:-2].min() > 250
    wider = middle_crop(image, BOX_PX, recipes.Loose(fit="cover", shown=0.5), 64)  # 0.5 of the width of 100
    assert wider.min() > 250
    twice = middle_crop(image, BOX_PX, recipes.Loose(left=1.0, right=0.5), 64)  # 100 px more on both sides
    assert np.flatnonzero(twice[32, :, 0] > 127).tolist() == list(range(21, 43))  # the middle third


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("loose", "augment"),
    [
        ({"left": 0.3, "top": 0.5, "right": 0.3, "bottom": 0.3}, {"zoom": 1.0, "zoom_each_axis": True}),
        ({"square": "longer", "scale": 1.6}, {"turn": 1.0, "turn_deg": 30.0, "shift": 0.03}),
        ({"left": 0.5, "top": 0.5, "right": 0.5, "bottom": 0.5, "fit": "cover", "shown": 0.93}, {"area": 0.9}),
    ],
)
def test_a_landmark_moves_with_its_pixels_in_a_published_crop(tmp_path, seed, loose, augment):
    (face,) = faces_of([write_300wlp(tmp_path, [(25, -10, 5)])], recipe())
    rng = np.random.default_rng(seed)
    view, label = view_of(face, recipes.Loose(**loose), recipes.Augment(**augment), rng, SIDE, CROP_M)
    index = FLIP_68[SEEN] if label["mirrored"] else SEEN
    seen = label["landmarks_m"][index, :2] * SIDE / CROP_M + (SIDE - 1) / 2
    assert np.all((seen > 12) & (seen < SIDE - 13))  # else the spot would be cut off
    np.testing.assert_allclose(spot_of(view), seen, atol=0.5)
    assert label["visible"][index] == 1
    R = label["undo"] @ label["R_local"]
    np.testing.assert_allclose(mirrored(R) if label["mirrored"] else R, face.R, atol=1e-9)


def test_the_label_of_a_published_crop_is_the_one_of_the_data_set(tmp_path):
    (face,) = faces_of([write_300wlp(tmp_path, [(25, -10, 5)])], recipe())
    _, label = view_of(face, recipes.Loose(), recipes.Augment(flip=0.0), np.random.default_rng(0), SIDE, CROP_M)
    found = aflw2000.from_matrix(label["R_local"])
    np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [25, -10, 5], atol=1e-4)
    _, label = view_of(face, recipes.Loose(), recipes.Augment(flip=1.0), np.random.default_rng(0), SIDE, CROP_M)
    found = aflw2000.from_matrix(label["R_local"])
    np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [-25, -10, -5], atol=1e-4)


def test_a_look_at_crop_of_a_fit_shows_the_landmark_where_the_label_says(tmp_path):
    faces = faces_of([write_300wlp(tmp_path, [(25, -10, 5)])], recipe())
    stored = faces[0].stored_crop()
    expected = faces[0].landmarks_m()[SEEN, :2] * 192 / 0.42 + 191 / 2
    np.testing.assert_allclose(spot_of(stored), expected, atol=0.2)
    data = Folders(faces, recipe(crop="lookat"), train_crop.network_of("lightweight").Config(), 0, 3)
    assert [len(data[i]) for i in range(3)] == [2, 2, 2] and data[0][0][0].shape == (128, 128, 3)


def test_biwi_has_the_depth_cameras_label_published_and_the_line_of_sights_for_look_at(tmp_path):
    (face,) = faces_of([write_biwi(tmp_path, ["01"])], recipe())
    np.testing.assert_allclose(face.R, np.eye(3), atol=1e-9)
    R_rgb = axis_turn(1, np.radians(10.0))
    centre = R_rgb @ [-0.12, 0.01, 0.9] + [-0.025, 0.005, -0.013] + R_rgb @ FACE_CENTRE_M
    np.testing.assert_allclose(face.R_local, local_from_global(R_rgb, centre)[0], atol=1e-9)
    camera = CameraModel(320, 240, np.array([[500, 0, 159.5], [0, 500, 119.5], [0, 0, 1.0]]))
    np.testing.assert_allclose(face.centre_px, camera.project(centre), atol=1e-9)
    shown = face.stored_crop()
    assert shown.shape == (192, 192, 3)


def test_the_test_sequences_of_a_protocol_and_labels_beyond_the_limit_are_left_out_and_counted(tmp_path, capsys):
    write_biwi(tmp_path / "biwi", ["01", "16", "17", "24"])
    kept = faces_of([tmp_path / "biwi"], recipe(protocol="biwi-70-30"))
    assert [face.sample.sequence for face in kept] == ["01", "16"]
    assert "2 in test sequences" in capsys.readouterr().out
    write_300wlp(tmp_path / "lp", [(25, 0, 0), (0, 0, 99), (0, 0, 120)])
    assert len(faces_of([tmp_path / "lp"], recipe())) == 1
    assert "2 beyond 99 degrees" in capsys.readouterr().out


def test_a_file_list_takes_what_it_names_and_says_what_is_missing(tmp_path):
    folder = write_300wlp(tmp_path / "lp", [(25, 0, 0), (10, 0, 0), (0, 0, 0)])
    (tmp_path / "some.txt").write_text("AFW/AFW_2\nAFW/AFW_0.jpg\n\n")
    kept = faces_of([folder], recipe(), [tmp_path / "some.txt"])
    assert [face.sample.name for face in kept] == ["AFW/AFW_0", "AFW/AFW_2"]
    (tmp_path / "some.txt").write_text("AFW/AFW_2\nAFW/AFW_7\nLFPW/x\n")
    with pytest.raises(HpeError, match=r"^2 files of .*some.txt are in no folder, such as AFW/AFW_7$"):
        faces_of([folder], recipe(), [tmp_path / "some.txt"])
    with pytest.raises(HpeError, match=r"nothing\.txt cannot be read"):
        faces_of([folder], recipe(), [tmp_path / "nothing.txt"])


def test_an_epoch_shows_every_face_once_in_another_order_each_time(tmp_path):
    faces = faces_of([write_300wlp(tmp_path, [(yaw, 0, 0) for yaw in range(-60, 60, 8)])], recipe())
    config = train_crop.network_of("lightweight").Config()
    data = Folders(faces, recipe(augment=recipes.Augment(flip=0.0)), config, 3, 30)
    yaws = [round(float(aflw2000.from_matrix(data[i][0][1]["R_local"]).yaw)) for i in range(30)]
    assert sorted(yaws[:15]) == sorted(yaws[15:]) == list(range(-60, 60, 8))
    assert yaws[:15] != yaws[15:] != sorted(yaws[15:])


def test_the_rate_of_a_recipe_falls_at_its_epochs(tmp_path):
    args = train_crop.arguments(["--recipe", str(RECIPES[0].parent / "fsanet.yaml"), "--data", "x", "--out", "y"])
    recipes.with_epochs(args, 161)  # 11 steps an epoch
    assert (args.steps, args.milestones) == (990, [330, 660])
    assert [fit.rate_of(step, args) for step in (0, 329, 330, 659, 660)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4, 1e-5]
    )


def test_options_beside_a_recipe_win(tmp_path):
    path = str(RECIPES[0].parent / "hopenet.yaml")
    args = train_crop.arguments(["--recipe", path, "--lr", "0.5", "--trunk", "shared", "--data", "x", "--out", "y"])
    assert (args.model, args.lr, args.trunk, args.batch, args.settings) == (
        "hopenet",
        0.5,
        "shared",
        16,
        {"alpha": 1.0},
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "hopenett", "--data", "DATA"], "unknown model 'hopenett', known: .*hopenet"),
        (["--data", "DATA"], "say --model or --recipe"),
        (["--model", "lightweight"], "--crops FILES or --data FOLDERS"),
        (["--model", "lightweight", "--data", "DATA", "--crops", "c.npz"], "not both"),
        (["--model", "lightweight", "--data", "DATA", "--crop", "published"], "needs a --recipe"),
        (["--model", "lightweight", "--data", "EMPTY"], "holds no labelled images"),
        (["--recipe", "RECIPE", "--crops", "c.npz"], "--crops are look-at crops"),
        (["--recipe", "RECIPE", "--model", "crop6dof", "--data", "DATA"], "crop6dof has no setting 'trunk'"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    named = {"DATA": write_300wlp(tmp_path / "lp", [(0, 0, 0)]), "EMPTY": tmp_path / "empty"}
    named["RECIPE"] = RECIPES[0].parent / "lightweight.yaml"
    with pytest.raises(HpeError, match=message) as caught:
        train_crop.train(
            train_crop.arguments([*(str(named.get(o, o)) for o in options), "--out", str(tmp_path / "out")])
        )
    assert "\n" not in str(caught.value)


@pytest.mark.train_smoke
def test_a_recipe_trains_resumes_to_the_same_weights_and_is_tested_on_its_crops(tmp_path, capsys):
    folder = write_300wlp(tmp_path / "lp", [(yaw, 5, 3) for yaw in range(-40, 50, 20)])
    options = ["--recipe", str(RECIPES[0].parent / "lightweight.yaml"), "--data", str(folder), "--batch", "2"]
    options += ["--workers", "0", "--threads", "1"]
    for out, steps, more in (("a", 3, []), ("b", 2, []), ("b", 3, ["--resume", str(tmp_path / "b" / "last.pt")])):
        train_crop.train(train_crop.arguments([*options, "--steps", str(steps), "--out", str(tmp_path / out), *more]))
    first, second = (torch.load(tmp_path / run / "last.pt", weights_only=True) for run in "ab")
    assert first["config"]["trunk"] == "own" and first["step"] == second["step"] == 3
    for name, value in first["net"].items():
        torch.testing.assert_close(value, second["net"][name], rtol=0, atol=0)
    card = {"name": "lightweight", "estimator": "crop6dof", "data": [], "metrics": {}}
    export([tmp_path / "a" / "last.pt"], card, tmp_path / "lightweight.onnx")
    (tmp_path / "aflw").mkdir()
    for file in (folder / "AFW").iterdir():
        file.rename(tmp_path / "aflw" / file.name)
    capsys.readouterr()
    asked = [str(tmp_path / "lightweight.onnx"), "--recipe", options[1], "--protocol", "aflw2000"]
    assert published.main([*asked, "--data", str(tmp_path / "aflw")]) == 0
    found = capsys.readouterr().out
    assert re.search(r"^Euler MAE +\d", found, re.M) and re.search(r"^faces +5, no answer for 0$", found, re.M)
    assert published.main([*asked, "--data", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
