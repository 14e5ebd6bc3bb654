from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.backends.tensorrt import parity
from hpe_core.errors import HpeError
from hpe_core.network_card import card_of

COLUMNS = {"score": [0, 1], "centre_px": [1, 3], "size_px": [3, 4], "sixd": [4, 10]}


def rows_with(count=40, turn_deg=0.0, shift_px=0.0, score=0.9):
    """Rows whose rotations are turned by turn_deg about x and centres moved by shift_px."""
    R = Rotation.random(count, rng=np.random.default_rng(3)).as_matrix()
    R = Rotation.from_euler("x", turn_deg, degrees=True).as_matrix() @ R
    sixd = np.concatenate([R[..., 0], R[..., 1]], -1)
    centres = np.tile([100.0 + shift_px, 50.0], (count, 1))
    return np.column_stack([np.full(count, score), centres, np.full(count, 60.0), sixd])


def test_the_same_rows_differ_by_nothing():
    found = parity.compare(rows_with(), rows_with(), COLUMNS)
    assert found.rows == 40
    assert max(found.rotation_deg_max, found.centre_px_median, found.score_median) < 1e-5


@pytest.mark.parametrize("turn_deg", [0.05, 0.2, 30.0])
def test_a_turn_is_measured_in_degrees(turn_deg):
    found = parity.compare(rows_with(), rows_with(turn_deg=turn_deg), COLUMNS)
    assert found.rotation_deg_median == pytest.approx(turn_deg, rel=1e-4)


@pytest.mark.parametrize(
    "turn_deg, precision, allowed",
    [
        (0.09, "fp16", True),
        (0.11, "fp16", False),
        (0.11, "fp32", False),
        (0.29, "int8", True),
        (0.31, "int8", False),
    ],
)
def test_half_precision_may_turn_by_a_tenth_and_int8_by_three_tenths_of_a_degree(turn_deg, precision, allowed):
    found = parity.compare(rows_with(), rows_with(turn_deg=turn_deg), COLUMNS).as_dict()
    refusal = parity.refusal(found, precision)
    assert (refusal is None) == allowed
    if not allowed:
        assert f"rotation differs by {turn_deg:g} deg in the median, allowed" in refusal


def test_a_moved_face_or_another_score_is_refused_too():
    moved = parity.compare(rows_with(), rows_with(shift_px=2.0), COLUMNS).as_dict()
    assert parity.refusal(moved, "int8") == "face centre differs by 2 px in the median, allowed 1"
    scored = parity.compare(rows_with(), rows_with(score=0.8), COLUMNS).as_dict()
    assert parity.refusal(scored, "fp16") == "score differs by 0.1 in the median, allowed 0.01"


def test_nothing_is_close_to_not_a_number():
    found = parity.compare(rows_with(), rows_with(), COLUMNS).as_dict()
    assert parity.refusal(found | {"rotation_deg_median": float("nan")}, "fp16")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    rows = rows_with()
    rows[3, 5] = value
    with pytest.raises(HpeError, match="1 values that are not finite"):
        parity.compare(rows_with(), rows, COLUMNS)


def test_other_shapes_are_told():
    with pytest.raises(HpeError, match=r"rows of shape \(39, 10\), the reference \(40, 10\)"):
        parity.compare(rows_with(), rows_with(39), COLUMNS)


def test_frames_without_a_face_prove_nothing():
    with pytest.raises(HpeError, match="finds no face"):
        parity.compare(rows_with(score=0.1), rows_with(score=0.1), COLUMNS)


def test_only_rows_that_the_reference_calls_faces_count():
    reference = np.concatenate([rows_with(10), rows_with(30, score=0.05)])
    other = np.concatenate([rows_with(10), rows_with(30, turn_deg=90, score=0.05)])
    assert parity.compare(reference, other, COLUMNS).rows == 10
    assert parity.refusal(parity.compare(reference, other, COLUMNS).as_dict(), "fp16") is None


def test_frames_are_what_the_network_takes():
    frames = parity.frames(256, 320)
    assert len(frames) == 8
    assert all(frame.shape == (1, 256, 320, 3) and frame.dtype == np.uint8 and frame.std() > 10 for frame in frames)


def test_crops_are_what_a_crop_network_takes_in_groups_of_several_sizes(model_card):
    crop = model_card(estimator="crop_net", spec={"columns": {"sixd": [0, 6]}, "crop_m": 0.28})
    groups = parity.inputs(card_of(crop, ("batch", 96, 96, 3), ""))
    assert [len(group) for group in groups] == [1, 3, 12]
    assert all(crop.shape == (96, 96, 3) and crop.std() > 10 for crop in np.concatenate(groups))
    assert len(parity.inputs(card_of(model_card(), (1, 256, 320, 3), ""))) == 8


def test_without_scores_every_row_counts_and_landmarks_are_compared_in_millimetres():
    columns = {"sixd": [0, 6], "landmarks_m": [6, 12]}
    sixd = rows_with(5)[:, 4:10]
    reference = np.column_stack([sixd, np.zeros((5, 6))])
    other = reference + np.repeat([0.0, 0.003, 0.0, 0.004], [6, 1, 4, 1])  # one point by 3 mm, the other by 4 mm
    found = parity.compare(reference, other, columns)
    assert (found.rows, found.centre_px_median, found.score_median) == (5, None, None)
    assert found.landmark_mm_median == pytest.approx(3.5)
    assert parity.refusal(found.as_dict(), "int8") == "landmarks differs by 3.5 mm in the median, allowed 2"
    same = parity.compare(reference, reference, columns).as_dict()
    assert parity.refusal(same, "fp16") is None
    assert parity.refusal(same | {"landmark_mm_median": float("nan")}, "fp16")


def test_a_verdict_from_before_landmarks_were_compared_still_reads():
    found = parity.compare(rows_with(), rows_with(), COLUMNS).as_dict()
    del found["landmark_mm_median"]
    assert parity.refusal(found, "fp16") is None


def test_missing_frames_are_an_incomplete_installation(monkeypatch, tmp_path):
    monkeypatch.setattr(parity, "FRAMES", Path(tmp_path))
    for asked in (lambda: parity.frames(256, 320), lambda: parity.crops(128, 128)):
        with pytest.raises(HpeError, match="the installation is incomplete"):
            asked()


def test_a_network_with_other_weights_does_not_pass_for_the_same(write_net):
    pytest.importorskip("onnxruntime")
    from hpe_core import backends

    one = backends.create("onnxruntime", write_net(seed=0), threads=1)
    same = parity.measure(one.run, one.run, one.card)
    assert parity.refusal(same.as_dict(), "fp16") is None
    other = backends.create("onnxruntime", write_net(seed=1), threads=1)
    found = parity.measure(one.run, other.run, one.card)
    assert parity.refusal(found.as_dict(), "int8") is not None


def test_a_crop_network_is_compared_too(write_crop_net):
    pytest.importorskip("onnxruntime")
    from hpe_core import backends

    one = backends.create("onnxruntime", write_crop_net(seed=0), threads=1)
    other = backends.create("onnxruntime", write_crop_net(seed=1), threads=1)
    assert one.input_shape == ("batch", 32, 32, 3)
    same = parity.measure(one.run, one.run, one.card)
    assert same.rows == 16 and parity.refusal(same.as_dict(), "fp16") is None
    assert parity.refusal(parity.measure(one.run, other.run, one.card).as_dict(), "int8")
