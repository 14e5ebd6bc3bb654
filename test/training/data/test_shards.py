import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg, aflw2000
from training.data import shards
from training.data.labels import FaceLabel, FaceLandmarks
from training.data.shards import ShardSet


def grey(value, height=40, width=60):
    return np.full((height, width, 3), value, np.uint8)


def test_faces_are_found_by_their_image_in_any_order(tmp_path, write_shard):
    faces = [
        {"image": 2, "centre_px": [1, 2], "size_px": 11},
        {"image": 0, "centre_px": [3, 4], "size_px": 22},
        {"image": 2, "centre_px": [5, 6], "size_px": 33},
    ]
    write_shard(tmp_path / "shard_0000.npz", [grey(10), grey(90), grey(170)], faces)
    shards = ShardSet([tmp_path])
    assert len(shards) == 3
    sizes = [shards.read(i)[1].size_px.tolist() for i in range(3)]
    assert sizes == [[22.0], [], [11.0, 33.0]]
    assert shards.read(2)[1].centre_px.tolist() == [[1, 2], [5, 6]]
    np.testing.assert_allclose([shards.read(i)[0].mean() for i in range(3)], [10, 90, 170], atol=2)


def test_images_of_many_shards_and_folders_are_counted_through(tmp_path, write_shard):
    for folder, name, value in (("a", "shard_0001", 50), ("a", "shard_0000", 20), ("b", "shard_0000", 80)):
        write_shard(tmp_path / folder / f"{name}.npz", [grey(value)], [{"image": 0, "centre_px": [value, 0]}])
    shards = ShardSet([tmp_path / "a", tmp_path / "b"])
    np.testing.assert_allclose([shards.read(i)[0].mean() for i in range(3)], [20, 50, 80], atol=2)
    assert [shards.read(i)[1].centre_px[0, 0] for i in range(3)] == [20, 50, 80]


def test_a_shard_without_faces_can_be_read(tmp_path, write_shard):
    write_shard(tmp_path / "shard_0000.npz", [grey(1), grey(2)], [])
    shards = ShardSet([tmp_path])
    assert len(shards.read(1)[1]) == 0
    np.testing.assert_array_equal(shards.yaw_deg(), [0, 0])


def test_masks_come_with_the_image_or_are_none(tmp_path, write_shard):
    mask = np.zeros((40, 60), np.uint8)
    mask[5:10, 20:30] = 255
    write_shard(tmp_path / "a" / "shard_0000.npz", [grey(1)], [], alphas=[mask])
    write_shard(tmp_path / "b" / "shard_0000.npz", [grey(1)], [])
    shards = ShardSet([tmp_path / "a", tmp_path / "b"])
    np.testing.assert_array_equal(shards.read(0)[2], mask)
    assert shards.read(1)[2] is None


def test_yaw_is_the_largest_of_the_known_faces(tmp_path, write_shard):
    def turned(yaw, **values):
        R = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=10.0, roll=5.0))
        return {"image": 0, "centre_px": [0, 0], "R_local": R} | values

    faces = [turned(-20.0), turned(10.0), turned(70.0, weight=0.0)]
    write_shard(tmp_path / "shard_0000.npz", [grey(1)], faces)
    np.testing.assert_allclose(ShardSet([tmp_path]).yaw_deg(), [20.0], atol=1e-4)


def test_a_folder_without_shards_is_refused_by_name(tmp_path):
    with pytest.raises(HpeError, match=r"no shard_\*\.npz in .*empty"):
        ShardSet([tmp_path / "empty"])


def test_labels_are_selected_and_joined_row_by_row():
    labels = FaceLabel(
        R_local=np.zeros((3, 3, 3)),
        centre_px=np.arange(6.0).reshape(3, 2),
        size_px=np.arange(3.0),
        rot_std_deg=np.zeros(3),
        weight=np.ones(3),
    )
    picked = labels.where(np.array([True, False, True]))
    assert len(picked) == 2 and picked.size_px.tolist() == [0, 2]
    joined = FaceLabel.concatenate([FaceLabel.empty(), picked, labels])
    assert joined.size_px.tolist() == [0, 2, 0, 1, 2]
    assert joined.R_local.shape == (5, 3, 3)


def test_a_label_comes_back_from_a_shard_with_its_landmarks_and_its_exact_pose(tmp_path):
    rng = np.random.default_rng(0)
    marks = FaceLandmarks(rng.normal(size=(68, 2)), rng.normal(size=68), np.ones(68))
    label = FaceLabel(
        R_local=aflw2000.to_matrix(EulerDeg(10.0, 20.0, 30.0)),
        centre_px=np.array([3.0, 4.0]),
        size_px=50.0,
        rot_std_deg=0.5,
        weight=1.0,
        landmarks=marks,
        K=np.diag([500.0, 500.0, 1.0]),
        R_camera_head=np.eye(3),
        t_camera_head_m=np.array([0.0, 0.0, 1.0]),
    )
    images = shards.packed([shards.encode(grey(90))]) | {"person": np.array(["p"]), "source": np.array(["s"])}
    shards.write(tmp_path / "shard_0000.npz", images, FaceLabel.stack([label, label]), [0, 0])
    back = FaceLabel.of_columns(shards.read(tmp_path / "shard_0000.npz"))
    for key, value in label.columns().items():
        np.testing.assert_allclose(back.columns()[key], [value, value], atol=1e-5)
    assert ShardSet([tmp_path]).landmarks(0)[1].dtype == np.uint8


def test_a_shard_without_faces_has_landmarks_of_none(tmp_path):
    writer = shards.ShardWriter(tmp_path)
    writer.add(shards.encode(grey(90)), "p", "s", [])
    writer.flush()
    points, visible = ShardSet([tmp_path]).landmarks(0)
    assert points.shape == (0, 68, 3) and visible.shape == (0, 68)
