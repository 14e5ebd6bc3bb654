import cv2
import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import box_from_pose
from hpe_core.io.frame import Frame
from hpe_core.output.overlay import draw
from hpe_core.output.overlay_files import OverlayImages, OverlayVideo
from hpe_core.types import Face, HeadPose

CAMERA = CameraModel.from_hfov(640, 480, 60.0)


def face(t=(0.0, 0.0, 0.8), face_id="face_a"):
    R = np.eye(3)
    return Face(HeadPose(R, t), 0.9, box_from_pose(CAMERA, R, np.array(t, float)), face_id)


def frame(stamp_ns, source="a.png"):
    return Frame(None, stamp_ns, "lens", 0, source)


def test_picture_without_a_face_is_the_image_and_a_copy():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    picture = draw(image, CAMERA, ())
    assert np.array_equal(picture, image) and picture is not image


def test_drawing_leaves_the_input_alone_and_marks_the_box():
    image = np.zeros((480, 640, 3), np.uint8)
    picture = draw(image, CAMERA, (face(),))
    assert not image.any()
    x0, y0, x1, y1 = np.round(face().box_px).astype(int)
    for x, y in ((x0, (y0 + y1) // 2), (x1, (y0 + y1) // 2), ((x0 + x1) // 2, y1)):
        assert picture[y, x].any()


def test_left_axis_is_green_and_points_to_the_images_right_for_a_frontal_face():
    picture = draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face(),))
    end = CAMERA.project([0.06, 0.0, 0.8]).round().astype(int)  # subject's left of the sellion, within the axis
    blue, green, red = picture[end[1], end[0]].astype(int)
    assert green > 150 and green > red + 50 and green > blue + 50


def test_large_images_are_reduced_and_faces_stay_in_place():
    big = CAMERA.resized(2560, 1920)
    pose = face().pose
    box = box_from_pose(big, pose.R_camera_head, pose.t_camera_head_m)
    picture = draw(np.zeros((1920, 2560, 3), np.uint8), big, (Face(pose, 0.9, box, "face_a"),))
    assert picture.shape == (960, 1280, 3)
    x = np.nonzero(picture.any(-1))[1]
    assert abs((x.min() + x.max()) / 2 - 640) < 100


@pytest.mark.parametrize("t", [(5.0, 0.0, 0.3), (0.0, 0.0, 0.02), (0.0, -2.0, 0.5), (0.0, 0.0, 40.0)])
def test_faces_at_and_beyond_the_edge_are_drawn_without_trouble(t):
    assert draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face(t, None),)).shape == (480, 640, 3)


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1, 1), (3, 200)])
def test_video_is_h264_for_browsers_with_the_stamps_as_times(tmp_path, size):
    av = pytest.importorskip("av")
    width, height = size
    path = tmp_path / "overlay.mp4"
    video = OverlayVideo(path)
    for i in range(12):
        video.write(np.full((height, width, 3), 20 * i, np.uint8), frame(7_000_000_000 + i * 50_000_000))
    video.close()
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        times = [picture.time for picture in container.decode(video=0)]
    assert times == pytest.approx([0.05 * i for i in range(12)], abs=1e-4)


def test_video_survives_equal_backward_and_far_stamps_and_a_new_size(tmp_path):
    av = pytest.importorskip("av")
    video = OverlayVideo(tmp_path / "overlay.mp4")
    for i, stamp in enumerate([0, 0, 10**9, 5, 10**18]):
        video.write(np.zeros((48, 64 + 16 * (i % 2), 3), np.uint8), frame(stamp))
    video.close()
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        times = [picture.time for picture in container.decode(video=0)]
    assert len(times) == 5 and np.all(np.diff(times) > 0) and times[-1] < 4.0


def test_images_keep_their_names_and_unusual_kinds_become_png(tmp_path):
    writer = OverlayImages(tmp_path / "overlay")
    for name in ("a.jpg", "b.PNG", "c.webp"):
        writer.write(np.full((4, 4, 3), 200, np.uint8), frame(0, name))
    assert sorted(p.name for p in (tmp_path / "overlay").iterdir()) == ["a.jpg", "b.PNG", "c.webp.png"]
    assert cv2.imread(str(tmp_path / "overlay" / "c.webp.png")).tolist() == np.full((4, 4, 3), 200).tolist()
