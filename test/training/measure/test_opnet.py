"""OpNet as a baseline: what its crops see, and when its loop looks at the whole image. Real networks where they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.latency import sample_frames, with_faces
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from training.measure import opnet
from training.measure.opnet import OpNet, Tracker, brightened, grey_crop, square_of

WEIGHTS = Path(__file__).parents[4] / "shared" / "data" / "weights"
with_weights = pytest.mark.skipif(
    not (WEIGHTS / opnet.POSE).is_file(), reason=f"no {opnet.POSE} in {WEIGHTS}: OpNet was NOT run"
)


@pytest.fixture(scope="module")
def net():
    return OpNet(WEIGHTS)


@pytest.fixture(scope="module")
def frames():
    return [with_faces(frame, 1) for frame in sample_frames(6)]


def test_a_bright_crop_is_minus_to_plus_a_half_and_a_dark_one_is_lifted():
    bright = np.full((10, 10), 255, np.uint8)
    bright[:3] = 0
    assert sorted(set(brightened(bright).ravel().tolist())) == [-0.5, 0.5]
    dark = np.full((10, 10), 60, np.uint8)
    assert brightened(dark)[0, 0] == pytest.approx(60 * 0.45 / 60 - 0.5)
    assert brightened(np.zeros((10, 10), np.uint8))[0, 0] == -0.5


def test_a_crop_beyond_the_border_repeats_it():
    grey = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    crop = grey_crop(grey, np.array([0.0, 40.0]), 40.0)
    assert crop.shape == (129, 129) and set(crop[:, :60].ravel().tolist()) == {0} and crop[0, -1] > 15


def test_a_square_is_as_large_as_the_larger_side():
    centre, side = square_of(np.array([10.0, 20.0, 40.0, 80.0]))
    assert centre.tolist() == [25, 50] and side == 60


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(HpeError, match=opnet.POSE):
        OpNet(tmp_path)


@with_weights
def test_a_mirrored_crop_says_the_same_of_the_image(net, frames):
    grey = cv2.cvtColor(frames[0], cv2.COLOR_BGR2GRAY)
    _, box = net.located(grey)
    centre, side = square_of(box)
    a, b = net.head(grey, centre, side), net.head(grey, centre, side, mirror=True)
    assert np.degrees(so3.geodesic_angle(a.R, b.R)) < 6
    assert np.abs(a.box - b.box).max() < 0.1 * side and np.abs(a.centre_px - b.centre_px).max() < 0.1 * side
    assert a.box[0] < a.centre_px[0] < a.box[2] and a.radius_px > 0


@with_weights
def test_the_localizer_looks_only_while_the_head_is_not_followed(net, frames):
    tracker, looked = Tracker(net), []
    for frame in [*frames[:3], np.zeros_like(frames[0])]:
        assert tracker.head(frame) is not None
        looked.append(tracker.localized)
    assert looked == [True, False, False, False]  # the loop has no other word for a head that has gone
    tracker.forget()
    assert tracker.head(np.zeros_like(frames[0])) is None and tracker.localized
    every = Tracker(net, localizer_every_frame=True)
    assert [every.head(frame) is not None and every.localized for frame in frames] == [True] * len(frames)


@with_weights
def test_averaging_crops_stays_near_a_single_one(net, frames):
    (box,) = net.boxes(frames[0])
    crop = [frames[0]], *(np.array([value]) for value in square_of(box))
    (single,), (mean,) = net.single(*crop), net.averaged(*crop)
    assert 0 < np.degrees(so3.geodesic_angle(single, mean)) < 5
    assert net.boxes(np.zeros_like(frames[0])).shape == (0, 4)
