import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.metrics import geodesic_deg
from hpe_core.evaluation.streams.pose_csv import read_pose_csv
from hpe_core.evaluation.streams.readers import in_frame, parse_spec, read_series
from hpe_core.geometry import euler, frames, so3


def read(bag, text, frame="face"):
    return read_series(bag, parse_spec(text), frame)


KINDS = ("pose_stamped", "pose_with_covariance", "pose_array", "odometry", "detections", "transform")


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_type_gives_the_same_head(write_bag, synthetic, kind):
    stamps, R, t = synthetic.motion(0.5)
    make = {
        "pose_stamped": lambda s, R, t: synthetic.pose_stamped(s, R, t),
        "pose_with_covariance": lambda s, R, t: synthetic.pose_with_covariance(s, R, t, np.eye(6)),
        "pose_array": lambda s, R, t: synthetic.pose_array(s, [(R, t)]),
        "odometry": lambda s, R, t: synthetic.odometry(s, R, t),
        "detections": lambda s, R, t: synthetic.detections(s, [("face_a", R, t)]),
        "transform": lambda s, R, t: synthetic.transform(s, "camera", "face_a", frames.face_from_head(R), t),
    }[kind]
    bag = write_bag([("/pose", s + 5, make(s, *pose)) for s, *pose in zip(stamps, R, t, strict=True)])
    series = read(bag, "/pose")
    assert series.stamp_ns.tolist() == stamps.tolist()
    assert series.log_ns.tolist() == (stamps + 5).tolist()
    np.testing.assert_allclose(series.R, R, atol=1e-9)
    np.testing.assert_allclose(series.t_m, t)
    assert series.frame_id == "camera"
    known = {"pose_with_covariance", "detections"}
    assert (series.covariance is not None) == (kind in known)  # all zeros mean unknown


@pytest.mark.parametrize(
    ("plugin", "mode"),
    [
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
    ],
)
def test_storage_and_compression_make_no_difference(pose_bag, synthetic, plugin, mode):
    truth = synthetic.motion(0.5)
    series = read(pose_bag({"/pose": truth}, plugin=plugin, mode=mode), "/pose")
    np.testing.assert_allclose(series.R, truth[1], atol=1e-9)


@pytest.mark.parametrize("frame", ["face", "head", "gaze"])
def test_the_frame_of_the_head_is_named_not_guessed(write_bag, synthetic, frame):
    stamps, R, t = synthetic.motion(0.2)
    to_frame = {"face": frames.R_head_face, "head": np.eye(3), "gaze": frames.R_head_gaze}[frame]
    quats = so3.quat_from_matrix(R @ to_frame)
    bag = write_bag([("/p", s, synthetic.pose_stamped(s, None, t[i], quat=quats[i])) for i, s in enumerate(stamps)])
    np.testing.assert_allclose(read(bag, "/p", frame).R, R, atol=1e-9)


def test_tf_pattern_reads_all_faces_and_their_ids(write_bag, synthetic):
    stamps, R, t = synthetic.motion(0.5)
    face = frames.face_from_head(R)
    entries = []
    for i, s in enumerate(stamps):
        moved = [
            synthetic.transform(s, "camera", name, face[i], t[i] + [x, 0, 0])
            for name, x in (("face_a", 0.0), ("face_b", 1.0), ("other", 2.0))
        ]
        entries.append(("/tf", s, synthetic.tf(*moved)))
    series = read(write_bag(entries), "tf:camera/face_*")
    assert sorted(set(series.face_id)) == ["face_a", "face_b"]
    np.testing.assert_allclose(series.R[series.face_id == "face_b"], R, atol=1e-9)


def tf_chain(synthetic):
    """world -> camera (static), world -> body -> face: the same head as `motion` gives."""
    stamps, R, t = synthetic.motion(2)
    R_world_camera = so3.matrix_from_rotvec([0.3, -0.5, 1.0])
    t_world_camera = np.array([1.0, 2.0, 0.5])
    R_body = so3.matrix_from_rotvec([0.0, 0.0, 0.7])
    body = np.array([0.2, 0.1, 0.0])
    static = synthetic.tf(synthetic.transform(stamps[0], "world", "camera", R_world_camera, t_world_camera))
    entries = [("/tf_static", stamps[0], static)]
    for i, s in enumerate(stamps):
        R_world_face = R_world_camera @ frames.face_from_head(R[i])
        t_world_face = R_world_camera @ t[i] + t_world_camera
        parts = (
            synthetic.transform(s, "world", "body", R_body, body),
            synthetic.transform(s, "body", "face_truth", R_body.T @ R_world_face, R_body.T @ (t_world_face - body)),
        )
        entries.append(("/tf", s, synthetic.tf(*parts)))
        world_pose = synthetic.pose_stamped(
            s, None, t_world_face, frame_id="world", quat=so3.quat_from_matrix(R_world_face)
        )
        entries.append(("/world_pose", s, world_pose))
        entries.append(("/camera_pose", s, synthetic.pose_stamped(s, R[i], t[i])))
    return entries, R, t


def test_tf_is_followed_through_several_frames_up_and_down(write_bag, synthetic):
    entries, R, t = tf_chain(synthetic)
    series = read(write_bag(entries), "tf:camera/face_truth")
    np.testing.assert_allclose(series.R, R, atol=1e-9)
    np.testing.assert_allclose(series.t_m, t, atol=1e-9)


def test_a_truth_in_another_frame_is_carried_over_by_tf(write_bag, synthetic):
    entries, R, t = tf_chain(synthetic)
    bag = write_bag(entries)
    moved = in_frame(read(bag, "/world_pose"), "camera", bag, "the truth")
    np.testing.assert_allclose(moved.R, R, atol=1e-9)
    np.testing.assert_allclose(moved.t_m, t, atol=1e-9)
    assert "turned from frame world to camera" in moved.notices[-1]


def test_frames_that_nothing_connects_are_an_error_that_names_both(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(0.2)
    entries = []
    for i, s in enumerate(stamps):
        entries.append(("/est", s, synthetic.pose_stamped(s, R[i], t[i], frame_id="left_eye")))
        entries.append(("/truth", s, synthetic.pose_stamped(s, R[i], t[i], frame_id="lab")))
    bag = write_bag(entries)
    with pytest.raises(HpeError, match=r"'lab'.*'left_eye'.*--ignore-frame-ids"):
        evaluated(bag)
    assert evaluated(bag, job={"ignore_frame_ids": True})["rotation"]["geodesic_deg"]["max"] < 1e-5


def test_a_missing_topic_lists_those_with_poses(pose_bag, synthetic):
    bag = pose_bag({"/a": synthetic.motion(0.2), "/b": synthetic.motion(0.2)})
    with pytest.raises(HpeError, match=r"no topic /c; topics with poses: /a, /b"):
        read(bag, "/c")
    with pytest.raises(HpeError, match="no TF frames"):
        read(bag, "tf:camera/face_a")


def test_specs_are_read_as_documented():
    assert parse_spec("/head_pose").label == "/head_pose"
    assert parse_spec("mine=/head_pose").label == "mine"
    other = parse_spec("/data/run1/poses:/head_pose")
    assert (other.label, other.kind, other.what, other.bag) == (
        "poses:/head_pose",
        "topic",
        "/head_pose",
        "/data/run1/poses",
    )
    tf = parse_spec("x=/data/poses:tf:camera/face_*")
    assert (tf.kind, tf.what, tf.bag) == ("tf", "camera/face_*", "/data/poses")
    assert parse_spec("run:models/best.onnx").label == "run:best.onnx"
    assert parse_spec("/somewhere/poses.csv").label == "poses.csv"
    with pytest.raises(HpeError):
        parse_spec("a=")


def write_csv(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_csv_of_hpe_run_is_read_with_its_empty_frames(tmp_path):
    quat = ",".join(f"{v:.7f}" for v in so3.quat_from_matrix(frames.face_from_head(np.eye(3))))
    path = write_csv(
        tmp_path / "poses.csv",
        "stamp_ns,face_id,qx,qy,qz,qw,tx_m,ty_m,tz_m",
        f"10,face_a,{quat},0,0,1",
        "20,,,,,,,,",
    )
    series = read_pose_csv(path)
    assert series.message_stamp_ns.tolist() == [10, 20] and series.stamp_ns.tolist() == [10]
    assert geodesic_deg(series.R, np.eye(3)[None]).max() < 1e-4


def test_csv_with_euler_angles_and_seconds_keeps_its_nanoseconds(tmp_path):
    path = write_csv(
        tmp_path / "truth.csv",
        "stamp_s,yaw_deg,pitch_deg,roll_deg,tx_m,ty_m,tz_m",
        "1700000000.123456789,30,0,0,0,0,1",
    )
    series = read_pose_csv(path)
    assert series.stamp_ns.tolist() == [1_700_000_000_123_456_789]
    expected = euler.aflw2000.to_matrix(euler.EulerDeg(30.0, 0.0, 0.0))
    np.testing.assert_allclose(series.R[0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("stamp_ns,qx", "1,2", "needs the columns"),
        ("stamp_ns,qx,qy,qz,qw,tx_m,ty_m,tz_m", "1,0,0,0,one,0,0,0", r"line 2: could not convert"),
        ("stamp_ns,qx,qy,qz,qw,tx_m,ty_m,tz_m", "1.5,0,0,0,1,0,0,0", "line 2: invalid literal"),
    ],
)
def test_a_bad_csv_is_one_line_that_says_where(tmp_path, header, row, message):
    with pytest.raises(HpeError, match=message):
        read_pose_csv(write_csv(tmp_path / "bad.csv", header, row))
