import csv
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from hpe_core.geometry import euler, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.io.message_types import extended_typestore
from hpe_core.output.pose_bag import PoseBag
from hpe_core.output.tables.pose_csv import CSV_COLUMNS, PoseCsv
from hpe_core.types import Face, FrameResult, HeadPose, primary_face

FRONTAL = np.eye(3)
STORE = extended_typestore()
CAMERA = CameraModel.from_hfov(640, 480, 60.0)


def face(face_id="face_a", depth=1.0, R=FRONTAL, covariance=None):
    covariance = np.diag([0.01, 0.01, 0.04, 0.0, 0.0, 0.0]) if covariance is None else covariance
    return Face(HeadPose(R, [0.1, -0.2, depth], covariance), 0.875, np.array([1.0, 2.0, 33.5, 44.25]), face_id)


def frame(stamp_ns=1_500_000_000, index=0, frame_id="lens"):
    return Frame(np.zeros((4, 4, 3), np.uint8), stamp_ns, frame_id, index, "clip.mp4")


@pytest.fixture
def bag(tmp_path):
    """bag([(Frame, faces)]) -> dict topic -> [(time ns, message)] as read back with rosbags."""

    def write_and_read(entries):
        writer = PoseBag(tmp_path / "poses")
        for f, faces in entries:
            writer.write(f, FrameResult(f.stamp_ns, tuple(faces)), CAMERA)
        writer.close()
        with Reader(tmp_path / "poses") as reader:
            read = {connection.topic: [] for connection in reader.connections}
            for connection, time_ns, data in reader.messages():
                read[connection.topic].append((time_ns, STORE.deserialize_cdr(data, connection.msgtype)))
        return read

    return write_and_read


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_columns_are_those_of_the_documentation():
    assert ",".join(CSV_COLUMNS) == (
        "source,frame,stamp_ns,face_id,score,yaw_deg,pitch_deg,roll_deg,sight_yaw_deg,"
        "sight_pitch_deg,sight_roll_deg,qx,qy,qz,qw,tx_m,ty_m,tz_m,x0,y0,x1,y1,"
        "rotation_std_deg,depth_std_m,face_visibility,error"
    )


def test_frontal_face_has_zero_angles_and_the_rep155_quaternion(tmp_path):
    writer = PoseCsv(tmp_path / "poses.csv")
    writer.write(frame(index=3), FrameResult(0, (face(),)), CAMERA)
    writer.close()
    (row,) = rows_of(tmp_path / "poses.csv")
    assert (row["source"], row["frame"], row["stamp_ns"], row["face_id"]) == ("clip.mp4", "3", "1500000000", "face_a")
    assert [float(row[k]) for k in ("yaw_deg", "pitch_deg", "roll_deg")] == [0.0, 0.0, 0.0]
    # x of the face frame looks into the camera (-z), y to the image's right (+x), z up (-y): by hand (.5, -.5, .5, -.5)
    q = np.array([float(row[k]) for k in ("qx", "qy", "qz", "qw")])
    assert so3.matrix_from_quat(q) == pytest.approx(np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]]), abs=1e-6)
    assert [float(row[k]) for k in ("tx_m", "ty_m", "tz_m")] == [0.1, -0.2, 1.0]
    assert [float(row[k]) for k in ("x0", "y0", "x1", "y1")] == [1.0, 2.0, 33.5, 44.25]
    assert float(row["score"]) == 0.875
    # the depth deviation is along the line of sight, here almost the optical axis
    assert float(row["depth_std_m"]) == pytest.approx(0.2, abs=0.01)


def test_every_number_has_its_decimals_and_a_row_is_in_the_file_before_it_is_closed(tmp_path):
    turned = face(depth=1 / 3, R=euler.axis_turn(1, np.radians(100 / 3)), covariance=np.eye(6) / 9)
    turned = replace(turned, face_visibility=1 / 3)
    writer = PoseCsv(tmp_path / "poses.csv")
    writer.write(frame(index=3), FrameResult(0, (turned,)), CAMERA)
    row = (tmp_path / "poses.csv").read_text().splitlines()[1]
    writer.close()
    numbers = row.removeprefix("clip.mp4,3,1500000000,face_a,").removesuffix(",").split(",")
    decimals = [len(number.partition(".")[2]) for number in numbers]
    assert decimals == [4] + 6 * [4] + 4 * [7] + 3 * [5] + 4 * [2] + [3, 5, 3]
    assert numbers[:2] == ["0.8750", "33.3333"]
    assert numbers[11:] == [
        "0.10000",
        "-0.20000",
        "0.33333",
        "1.00",
        "2.00",
        "33.50",
        "44.25",
        "19.099",
        "0.33333",
        "0.333",
    ]


def test_face_turned_to_the_images_left_has_positive_yaw(tmp_path):
    R = euler.axis_turn(1, np.radians(30.0))
    writer = PoseCsv(tmp_path / "poses.csv")
    writer.write(frame(), FrameResult(0, (face(R=R),)), CAMERA)
    writer.close()
    assert float(rows_of(tmp_path / "poses.csv")[0]["yaw_deg"]) == 30.0
    assert (R @ [0, 0, -1])[0] < 0  # the nose direction points to smaller x


def test_frame_without_face_is_one_row_with_empty_face_id_and_unknown_is_empty(tmp_path):
    writer = PoseCsv(tmp_path / "poses.csv")
    writer.write(frame(index=0), FrameResult(0, ()), CAMERA)
    unknown = Face(HeadPose(FRONTAL, [0, 0, 1.0]), 0.9, np.zeros(4), "face_b")
    writer.write(frame(index=1), FrameResult(0, (face(), unknown)), CAMERA)
    writer.close()
    rows = rows_of(tmp_path / "poses.csv")
    assert [(row["frame"], row["face_id"]) for row in rows] == [("0", ""), ("1", "face_a"), ("1", "face_b")]
    assert set(rows[0].values()) == {"clip.mp4", "0", "1500000000", ""}
    assert rows[2]["rotation_std_deg"] == rows[2]["depth_std_m"] == rows[2]["face_visibility"] == ""


def test_nearest_face_is_the_primary():
    near, far = face("face_b", 0.8), face("face_a", 1.5)
    assert primary_face((far, near)) is near and primary_face(()) is None


def test_bag_holds_pose_poses_and_tf_with_the_images_stamp_and_frame(bag):
    read = bag([(frame(1_500_000_007), [face("face_a", 2.0), face("face_c", 1.0)])])
    ((time_ns, pose),) = read["/head_pose"]
    assert time_ns == 1_500_000_007
    assert (pose.header.stamp.sec, pose.header.stamp.nanosec, pose.header.frame_id) == (1, 500_000_007, "lens")
    assert pose.pose.pose.position.z == 1.0
    assert pose.pose.covariance.reshape(6, 6)[2, 2] == pytest.approx(0.04)
    poses = read["/head_poses"][0][1]
    assert [p.position.z for p in poses.poses] == [2.0, 1.0] and poses.header == pose.header
    tf = read["/tf"][0][1].transforms
    assert [t.child_frame_id for t in tf] == ["face_a", "gaze_a", "face_c", "gaze_c"]
    assert {t.header.frame_id for t in tf} == {"lens"}
    q = tf[1].transform.rotation
    gaze = so3.matrix_from_quat([q.x, q.y, q.z, q.w])
    assert gaze[:, 2] == pytest.approx([0, 0, -1])  # a frontal face gazes into the camera


def test_frame_without_face_publishes_empty_lists_and_nothing_else(bag):
    read = bag([(frame(), [])])
    assert [len(message.poses) for _, message in read.pop("/head_poses")] == [0]
    assert [len(message.detections) for _, message in read.pop("/heads")] == [0]
    assert [message.width for _, message in read.pop("/landmarks")] == [0]
    (annotations,) = [message for _, message in read.pop("/annotations")]
    assert annotations.points == annotations.circles == annotations.texts == []
    assert read == {"/head_pose": [], "/head_angles": [], "/tf": []}


def test_covariance_is_row_major(bag):
    covariance = np.eye(6)
    covariance[0, 4] = covariance[4, 0] = 0.25
    read = bag([(frame(), [face(covariance=covariance)])])
    assert read["/head_pose"][0][1].pose.covariance[4] == 0.25


def test_unknown_covariance_is_marked_not_zero(bag):
    read = bag([(frame(), [Face(HeadPose(FRONTAL, [0, 0, 1.0]), 0.9, np.zeros(4), "face_a")])])
    assert read["/head_pose"][0][1].pose.covariance[0] == -1.0


@pytest.mark.parametrize("stamps", [[5, 5, 5], [9, 4, 7], [0, 0, 1], [-3_000_000_000, 1, 2]])
def test_stamps_that_repeat_or_go_back_do_not_break_the_bag(bag, stamps):
    read = bag([(frame(stamp), [face()]) for stamp in stamps])
    written = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for _, m in read["/head_pose"]]
    assert sorted(written) == sorted(stamps)


def test_bag_of_no_frames_can_be_opened(bag):
    topics = bag([])
    assert {"/head_pose", "/head_poses", "/heads", "/tf"} <= set(topics) and not any(topics.values())
