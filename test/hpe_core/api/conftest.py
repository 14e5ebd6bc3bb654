"""Pictures of the sample bag as people have them: arrays, photos, a video; and one HeadPose for all tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core import HeadPose, catalogue
from hpe_core.io.sources import open_source

BAG = Path(__file__).parents[3] / "assets" / "sample_bag"


@pytest.fixture(scope="session")
def est():
    if "crop6dof_int8" not in catalogue.networks():
        pytest.skip("the weights are not there")
    return HeadPose(backend="onnxruntime")


@pytest.fixture(scope="session")
def frames():
    """The first 60 images (480, 640, 3) BGR of the sample bag, with their stamps."""
    with open_source(str(BAG)) as source:
        return [(frame.image_bgr, frame.stamp_ns) for frame, _ in zip(source, range(60), strict=False)]


@pytest.fixture(scope="session")
def image(frames):
    """One of them: the head is turned to the image's left (yaw +23) and down (pitch -16)."""
    return frames[30][0]


@pytest.fixture(scope="session")
def three(frames):
    """An image (240, 960, 3) with three faces beside each other."""
    return np.hstack([cv2.resize(frames[i][0], (320, 240), interpolation=cv2.INTER_AREA) for i in (0, 20, 30)])


@pytest.fixture(scope="session")
def folder(tmp_path_factory, frames):
    """photo.png, photos/ with three images, talk.avi with twenty frames at 25 per second, camera.yaml."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "photo.png"), frames[30][0])
    cv2.imwrite(str(folder / "photo.jpg"), frames[30][0])
    (folder / "photos").mkdir()
    for number, index in enumerate((0, 20, 30)):
        cv2.imwrite(str(folder / "photos" / f"{number}.png"), frames[index][0])
    video = cv2.VideoWriter(str(folder / "talk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (640, 480))
    for picture, _ in frames[:20]:
        video.write(picture)
    video.release()
    (folder / "camera.yaml").write_text(
        "image_width: 640\nimage_height: 480\n"
        "camera_matrix: {rows: 3, cols: 3, data: [1108.5, 0, 319.5, 0, 1108.5, 239.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )
    return folder
