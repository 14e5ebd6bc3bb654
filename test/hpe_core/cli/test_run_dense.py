"""`hpe run` with a dense model: expressions over time, in the bag, and meshes of photos."""

import csv
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from hpe_core import catalogue
from hpe_core.cli.main import main
from hpe_core.io.message_types import extended_typestore
from hpe_core.io.sources import open_source

BAG = Path(__file__).parents[3] / "assets" / "sample_bag"
pytestmark = pytest.mark.skipif("crop6dof" not in catalogue.networks(), reason="no shipped weights here")
STORE = extended_typestore()


@pytest.fixture(scope="module")
def model(dense_net):
    return f"head6dof+{dense_net(None, {'jawOpen': 0.75, 'eyeBlink_L': 0.5, 'eyeBlink_R': 0.5})}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three images of the sample bag as files."""
    import cv2

    folder = tmp_path_factory.mktemp("photos")
    with open_source(str(BAG)) as source:
        for index, (frame, _) in enumerate(zip(source, range(3), strict=False)):
            cv2.imwrite(str(folder / f"{index}.png"), frame.image_bgr)
    return folder


@pytest.fixture(scope="module")
def video(photos, tmp_path_factory):
    """Ten frames of one of them as a video."""
    import cv2

    path = tmp_path_factory.mktemp("video") / "talk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (640, 480))
    for _ in range(10):
        writer.write(cv2.imread(str(photos / "0.png")))
    writer.release()
    return path


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_expressions_of_a_stream_are_a_row_per_face_and_a_message_per_frame(model, video, tmp_path):
    assert main(["run", str(video), "--model", model, "--no-overlay", "--out", str(tmp_path / "out")]) == 0
    rows, poses = rows_of(tmp_path / "out" / "expressions.csv"), rows_of(tmp_path / "out" / "poses.csv")
    assert len(rows) == len(poses) == 10
    keys = ("source", "frame", "stamp_ns", "face_id")
    assert [[row[key] for key in keys] for row in rows] == [[pose[key] for key in keys] for pose in poses]
    assert {row["jawOpen"] for row in rows} == {"0.7500"} and len(rows[0]) == 4 + 53
    with Reader(tmp_path / "out" / "poses") as reader:
        messages = [
            STORE.deserialize_cdr(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/expressions"
        ]
    assert len(messages) == 10
    weights = dict(zip(messages[0].name, messages[0].position, strict=True))
    assert weights[f"{rows[0]['face_id']}/jawOpen"] == pytest.approx(0.75, abs=1e-6)


def test_another_model_writes_none(video, tmp_path):
    assert main(["run", str(video), "--no-overlay", "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "expressions.csv").exists()
    with Reader(tmp_path / "out" / "poses") as reader:
        assert "/expressions" not in {connection.topic for connection in reader.connections}


@pytest.mark.parametrize("kind", ["obj", "glb"])
def test_meshes_of_photos_are_files_named_by_photo_and_face(model, photos, tmp_path, kind):
    arguments = ["run", str(photos), "--model", model, "--no-overlay", "--export", kind, "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "meshes").iterdir()) == [
        f"{index}.png_1.{kind}" for index in range(3)
    ]


def test_what_cannot_be_exported_is_told_before_anything_is_written(model, photos, video, tmp_path, capsys):
    for arguments, message in (
        (
            [str(photos)],
            "--export obj needs a model that tells the shape of faces, such as dense; fusion_int8 does not",
        ),
        ([str(video), "--model", model], "--export obj writes the faces of photos, got a video: give it single frames"),
    ):
        assert main(["run", *arguments, "--export", "obj", "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
