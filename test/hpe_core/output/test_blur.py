"""Heads in pictures that are to be published."""

import numpy as np
import pytest

from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, box_from_pose, head_cuboid
from hpe_core.output.blur import CELLS, HOLD_NS, HeadBlur, blurred, head_regions
from hpe_core.types import Face, FrameResult, HeadPose

CAMERA = CameraModel.from_hfov(640, 480, 60.0)
NOBODY = np.zeros((0, 4))
NOISE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def face(t=(0.0, 0.0, 0.8), R=None):
    R = np.eye(3) if R is None else R
    return Face(HeadPose(R, np.array(t, float)), 0.9, box_from_pose(CAMERA, R, t), "face_a")


def hidden(one):
    return blurred(NOISE, head_regions(CAMERA, [one], NOBODY))


def changed(image):
    return (image != NOISE).any(-1)


def test_noise_on_a_head_is_a_constant_to_within_a_few_grey_levels():
    one = face()
    x0, y0, x1, y1 = one.box_px.round().astype(int)
    before, after = NOISE[y0:y1, x0:x1].reshape(-1, 3), hidden(one)[y0:y1, x0:x1].reshape(-1, 3)
    assert before.std(0).min() > 70 and after.std(0).max() < 2.0
    assert np.abs(after - 127.5).max() < 6.0


def test_of_any_head_no_more_than_a_few_mean_colours_is_left():
    """Two images that agree in their cell means alone come out the same: the rest cannot be computed back."""
    (region,) = head_regions(CAMERA, [face()], NOBODY)
    low, high = np.floor(region.min(0)).astype(int), np.ceil(region.max(0)).astype(int) + 1
    cells = [np.linspace(low[axis], high[axis], CELLS + 1) for axis in (0, 1)]
    other = NOISE.copy()
    rng = np.random.default_rng(1)
    for ya, yb in zip(cells[1][:-1], cells[1][1:], strict=True):
        for xa, xb in zip(cells[0][:-1], cells[0][1:], strict=True):
            inner = other[int(np.ceil(ya)) : int(yb), int(np.ceil(xa)) : int(xb)]
            inner[...] = rng.permutation(inner.reshape(-1, 3)).reshape(inner.shape)
    assert (other != NOISE).any()
    difference = np.abs(blurred(NOISE, [region]).astype(int) - blurred(other, [region]))[changed(hidden(face()))]
    assert difference.max() <= 1


@pytest.mark.parametrize("yaw, pitch, roll", [(0, 0, 0), (80, 0, 0), (-90, 20, 30), (0, 60, 0), (170, 0, 0)])
def test_the_whole_head_is_hidden_however_it_is_turned(yaw, pitch, roll):
    R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=pitch, roll=roll))
    mask = changed(hidden(face((0.1, 0.0, 1.0), R)))
    back_m, scalp_m = np.array([0.0, 0.0, 0.17]), np.array([0.0, -0.1, 0.08])
    t = np.array([0.1, 0.0, 1.0])
    for point in [*head_cuboid(R, t), t + R @ back_m, t + R @ scalp_m]:
        x, y = CAMERA.project(point).round().astype(int)
        assert mask[y - 1 : y + 2, x - 1 : x + 2].any(), point


def test_the_image_itself_and_what_is_far_from_the_head_stay():
    image = NOISE.copy()
    mask = changed(blurred(image, head_regions(CAMERA, [face()], NOBODY)))
    assert np.array_equal(image, NOISE) and 0.02 < mask.mean() < 0.25
    assert not mask[:, :80].any() and not mask[:, -80:].any()


@pytest.mark.parametrize("t", [(0.45, 0.0, 0.7), (5.0, 0.0, 0.3), (0.0, 0.0, 0.02), (0.0, -2.0, 0.5), (0.0, 0.0, 40.0)])
def test_heads_at_and_beyond_the_edge_are_no_trouble(t):
    assert hidden(face(t)).shape == NOISE.shape


def test_half_a_head_at_the_edge_is_as_coarse_as_a_whole_one():
    image = NOISE.copy()
    image[:, ::8] = 0  # stripes
    half = face((0.46, 0.0, 0.8))
    part = blurred(image, head_regions(CAMERA, [half], NOBODY))[200:280, -60:].reshape(-1, 3)
    assert part.std(0).max() < 8.0


def test_a_candidate_that_is_not_published_is_hidden_too():
    box = np.array([[100.0, 200.0, 140.0, 240.0]])
    result = FrameResult(0, (), candidate_boxes_px=box)
    mask = changed(HeadBlur().hide(NOISE, CAMERA, result))
    ys, xs = np.nonzero(mask)
    assert (xs.min(), xs.max()) == pytest.approx((120 - 32, 120 + 32), abs=2)
    assert (ys.min(), ys.max()) == pytest.approx((220 - 32, 220 + 32), abs=2)


def test_a_face_that_is_lost_for_a_moment_stays_hidden_and_not_for_longer():
    blur, middle = HeadBlur(), CAMERA.project([0, *FACE_CENTRE_M[1:] + [0, 0.8]]).round().astype(int)
    hides = []
    for stamp, faces in ((0, (face(),)), (HOLD_NS, ()), (HOLD_NS + 1, ())):
        hides.append(bool(changed(blur.hide(NOISE, CAMERA, FrameResult(stamp, faces)))[middle[1], middle[0]]))
    assert hides == [True, True, False]
    blur.hide(NOISE, CAMERA, FrameResult(0, (face(),)))
    blur.reset()
    assert not changed(blur.hide(NOISE, CAMERA, FrameResult(1, ()))).any()


def test_a_face_that_moves_on_leaves_no_trail():
    blur = HeadBlur()
    blur.hide(NOISE, CAMERA, FrameResult(0, (face(),)))
    moved = FrameResult(1, (face((0.03, 0.0, 0.8)),))
    alone = HeadBlur().hide(NOISE, CAMERA, moved)
    assert np.array_equal(blur.hide(NOISE, CAMERA, moved), alone)
