"""What `hpe run --blur-faces` writes and records, on a photo of the sample bag; --draw, --columns, --format."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from hpe_core import catalogue
from hpe_core.cli.main import main
from hpe_core.io.message_types import extended_typestore
from hpe_core.io.sources import open_source
from hpe_core.output.choices import MESHES, PARTS

BAG = Path(__file__).parents[3] / "assets" / "sample_bag"
pytestmark = pytest.mark.skipif("crop6dof_int8" not in catalogue.networks(), reason="no shipped weights here")
STORE = extended_typestore()


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """An image of the sample bag as a PNG, and the image (480, 640, 3)."""
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    with open_source(str(BAG)) as source:
        image = next(iter(source)).image_bgr
    cv2.imwrite(str(path), image)
    return path, image


def run(photo, out, *options):
    assert main(["run", str(photo), "--backend", "onnxruntime", "--out", str(out), *options]) == 0
    return out


def sharpness(image, box):
    x0, y0, x1, y1 = box
    return cv2.Laplacian(cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY), cv2.CV_64F).std()


def box_of(out):
    header, row = (line.split(",") for line in (out / "poses.csv").read_text().splitlines()[:2])
    return [round(float(row[header.index(name)])) for name in ("x0", "y0", "x1", "y1")]


def images_in(bag):
    with Reader(bag) as reader:
        wanted = [c for c in reader.connections if c.topic == "/camera/image/compressed"]
        found = [STORE.deserialize_cdr(data, c.msgtype) for c, _, data in reader.messages(wanted)]
    return [cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR) for message in found]


def test_no_picture_of_the_run_shows_a_face_with_blur_faces(photo, tmp_path):
    path, image = photo
    options = ["--blur-faces", "--bag-image", "--draw", "legend"]
    chunk = None
    try:
        from rerun import chunk

        options += ["--save", str(tmp_path / "out.rrd")]
    except ImportError:
        pass
    out = run(path, tmp_path / "out", *options)
    box = box_of(out)
    pictures = [cv2.imread(str(out / "overlay" / "photo.png")), *images_in(out / "poses")]
    if chunk is not None:
        rows = [row for part in chunk.RrdReader(str(tmp_path / "out.rrd")).stream() for row in _rows(part)]
        blobs = [row["EncodedImage:blob"][0] for row in rows if row.get("EncodedImage:blob")]
        pictures += [cv2.imdecode(np.frombuffer(bytes(blob), np.uint8), cv2.IMREAD_COLOR) for blob in blobs]
    assert len(pictures) == (2 if chunk is None else 3)
    assert sharpness(image, box) > 5
    for picture in pictures:
        assert picture.shape == image.shape and sharpness(picture, box) < 1.5


def _rows(part):
    return part.to_record_batch().to_pylist() if part.entity_path == "/camera/image" else []


def test_without_it_the_face_stays(photo, tmp_path):
    path, image = photo
    out = run(path, tmp_path / "out", "--bag-image", "--draw", "legend")
    assert np.array_equal(cv2.imread(str(out / "overlay" / "photo.png"))[:300], image[:300])


def test_the_parts_of_the_picture_are_chosen(photo, tmp_path):
    path, image = photo
    pictures = {}
    plain = ",".join(part for part in PARTS if part not in MESHES)
    for parts in ("box", "cuboid", plain):
        out = run(path, tmp_path / parts.replace(",", "_"), "--draw", parts)
        pictures[parts] = (cv2.imread(str(out / "overlay" / "photo.png")) != image).any(-1).sum()
    assert 0 < pictures["box"] < pictures["cuboid"] < pictures[plain]


def test_meshes_are_drawn_of_a_dense_model_and_refused_of_another_one(photo, tmp_path, dense_net, capsys):
    path, image = photo
    model, changed = f"head6dof+{dense_net(None, {'jawOpen': 0.7})}", {}
    for part in MESHES:
        out = run(path, tmp_path / part, "--draw", f"{part},landmarks,axes", "--model", model)
        changed[part] = cv2.imread(str(out / "overlay" / "photo.png"))
        assert (changed[part] != image).any(-1).mean() > 0.01
        capsys.readouterr()
        assert main(["run", str(path), "--out", str(tmp_path / "none"), "--draw", part]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--draw {part} needs a model that tells the shape of faces, such as dense; fusion_int8 does not" in line
        assert not (tmp_path / "none").exists()
    assert not any(np.array_equal(changed[a], changed[b]) for a, b in itertools.combinations(MESHES, 2))


def test_the_table_is_parquet_on_request(photo, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: --format parquet (pip install pyarrow)")
    out = run(photo[0], tmp_path / "out", "--no-overlay", "--format", "parquet", "--columns", "landmarks,covariance")
    table = parquet.read_table(out / "poses.parquet")
    assert not (out / "poses.csv").exists() and table.num_rows == 1
    assert {"sight_yaw_deg", "cov_rx_rx", "landmark_67_visible"} <= set(table.column_names)
    assert table["tz_m"][0].as_py() > 0


@pytest.mark.parametrize("option", ["--draw", "--columns"])
@pytest.mark.parametrize("value", ["", ",", "boxes", "box,landmark", "landmarks;covariance", "=1+1", "x" * 300])
def test_names_that_are_none_are_refused_in_one_line(option, value, photo, tmp_path, capsys):
    assert main(["run", str(photo[0]), "--out", str(tmp_path / "out"), f"{option}={value}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and f"argument {option}: must be some of " in lines[0]
    assert not (tmp_path / "out").exists()
