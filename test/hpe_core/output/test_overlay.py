import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import box_from_pose, head_cuboid
from hpe_core.io.frame import Frame
from hpe_core.output.bands import tip_region_95
from hpe_core.output.choices import PARTS, checked
from hpe_core.output.labels import place_beside
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
    picture = draw(image, CAMERA, (face(),), parts=("box",))
    assert not image.any()
    x0, y0, x1, y1 = np.round(face().box_px).astype(int)
    for x, y in ((x0, (y0 + y1) // 2), (x1, (y0 + y1) // 2), ((x0 + x1) // 2, y1)):
        assert picture[y, x].any()


def test_left_axis_is_green_and_points_to_the_images_right_for_a_frontal_face():
    picture = draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face(),), parts=("axes",))
    end = CAMERA.project([0.06, 0.0, 0.8]).round().astype(int)  # subject's left of the sellion, within the axis
    blue, green, red = picture[end[1], end[0]].astype(int)
    assert green > 150 and green > red + 50 and green > blue + 50


def test_large_images_are_reduced_and_faces_stay_in_place():
    big = CAMERA.resized(2560, 1920)
    pose = face().pose
    box = box_from_pose(big, pose.R_camera_head, pose.t_camera_head_m)
    picture = draw(np.zeros((1920, 2560, 3), np.uint8), big, (Face(pose, 0.9, box, "face_a"),), parts=("box", "axes"))
    assert picture.shape == (960, 1280, 3)
    x = np.nonzero(picture.any(-1))[1]
    assert abs((x.min() + x.max()) / 2 - 640) < 100


@pytest.mark.parametrize("t", [(5.0, 0.0, 0.3), (0.0, 0.0, 0.02), (0.0, -2.0, 0.5), (0.0, 0.0, 40.0)])
def test_faces_at_and_beyond_the_edge_are_drawn_without_trouble(t):
    assert draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face(t, None),), parts=PARTS).shape == (480, 640, 3)


def test_the_corners_of_a_frontal_heads_cuboid_are_those_of_the_reference_head():
    corners = head_cuboid(np.eye(3), np.array([0.0, 0.0, 1.0]))
    # ear to ear 144 mm, hairline to chin 186 mm, tip of the nose to ears 124 mm; the subject's right at the hairline
    assert corners[0] == pytest.approx([-0.072, -0.068, 0.976]) and corners[6] == pytest.approx([0.072, 0.118, 1.1])
    picture = draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face((0, 0, 1.0)),), parts=("cuboid",))
    for x, y in CAMERA.project(corners).round().astype(int):
        assert picture[y - 1 : y + 2, x - 1 : x + 2].any()
    ys, xs = np.nonzero(picture.any(-1))
    low, high = CAMERA.project(corners).min(0), CAMERA.project(corners).max(0)
    assert (xs.min(), ys.min()) == pytest.approx(tuple(low), abs=3)
    assert (xs.max(), ys.max()) == pytest.approx(tuple(high), abs=3)


def test_the_cone_around_an_axis_is_as_wide_as_the_covariance_says():
    std = np.radians(10.0)
    R = euler.axis_turn(1, np.radians(90.0))  # the face points to the image's left, at right angles to the view
    outline = tip_region_95(R, np.array([0.0, 0.0, -0.1]), std**2 * np.eye(3), 24)
    angles = np.degrees(np.arccos(outline @ [-1.0, 0, 0] / 0.1))
    assert angles == pytest.approx(np.full(24, np.degrees(np.arctan(2.448 * std))), abs=0.01)
    assert np.linalg.norm(outline, axis=1) == pytest.approx(np.full(24, 0.1))


def test_an_uncertain_face_has_a_cone_and_one_of_unknown_covariance_has_none():
    def red(covariance):
        one = Face(HeadPose(euler.axis_turn(1, 1.0), [0, 0, 0.8], covariance), 0.9, face().box_px)
        return (draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (one,), parts=("uncertainty",))[..., 2] > 50).sum()

    assert red(None) == 0
    assert red(0.3**2 * np.eye(6)) > 2 * red(0.1**2 * np.eye(6)) > 0


@given(
    size=st.tuples(st.integers(1, 700), st.integers(1, 500)),
    box=st.tuples(*4 * [st.floats(-900, 900)]),
    extent=st.tuples(st.integers(1, 300), st.integers(1, 120)),
)
def test_a_label_never_leaves_the_image(size, box, extent):
    head = np.array([*box[:2], box[0] + abs(box[2]), box[1] + abs(box[3])])
    place = place_beside(extent, head, np.zeros((0, 4)), np.zeros((0, 4)), size)
    if place is None:
        assert extent[0] > size[0] or extent[1] > size[1]
    else:
        assert place[:2].min() >= 0 and (place[2:] <= size).all() and tuple(place[2:] - place[:2]) == extent


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (40, 30), (90, 60)])
def test_in_an_image_without_room_there_is_no_label_and_no_trouble(size):
    camera = CameraModel.from_hfov(*size, 60.0)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert draw(image, camera, (face(), face((0.05, 0, 0.5), "face_b")), parts=PARTS).shape == image.shape


def test_labels_of_two_people_beside_each_other_do_not_overlap():
    heads = np.array([[200.0, 100, 300, 220], [310, 110, 410, 230], [120, 105, 195, 200]])
    taken = np.zeros((0, 4))
    for i, head in enumerate(heads):
        place = place_beside((130, 70), head, np.delete(heads, i, 0), taken, (640, 480))
        for other in (*np.delete(heads, i, 0), *taken):
            low, high = np.maximum(place[:2], other[:2]), np.minimum(place[2:], other[2:])
            assert (high - low).min() <= 0
        taken = np.concatenate([taken, place[None]])


def test_the_legend_is_there_once_and_only_with_a_face():
    image = np.zeros((480, 640, 3), np.uint8)
    assert not draw(image, CAMERA, (), parts=("legend", "axes")).any()
    one = draw(image, CAMERA, (face(),), parts=("legend", "axes"))
    two = draw(image, CAMERA, (face(), face((0.1, 0, 0.7))), parts=("legend", "axes"))
    corner = np.s_[400:, :120]
    assert one[corner].any() and np.array_equal(one[corner], two[corner])


def test_a_large_face_has_thicker_lines_than_a_small_one():
    def inked_per_length(depth):
        picture = draw(np.zeros((480, 640, 3), np.uint8), CAMERA, (face((0, 0, depth)),), parts=("box",))
        box = box_from_pose(CAMERA, np.eye(3), np.array([0, 0, depth]))
        return picture.any(-1).sum() / (2 * np.sum(box[2:] - box[:2]))

    assert inked_per_length(0.25) > 1.5 * inked_per_length(3.0)


def test_unknown_parts_are_refused():
    assert checked(["label", "box"], PARTS, "parts") == ("box", "label")
    for wrong in (["boxes"], "box", [""]):
        with pytest.raises(HpeError, match=r"parts must be a list of some of box, cuboid, .*, legend, got"):
            checked(wrong, PARTS, "parts")


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
