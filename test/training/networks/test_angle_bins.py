"""Bins of Euler angles: what equal, sure and mirrored answers decode to, and what they cost, by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry import so3  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from hpe_core.geometry.frames import mirrored  # noqa: E402
from training.networks import _euler, hopenet, hybrid, lightweight, whenet  # noqa: E402

torch.set_num_threads(1)


def rotations(angles):
    """(N, 3, 3) of rows yaw, pitch, roll in degrees."""
    return torch.as_tensor(aflw2000.to_matrix(EulerDeg(*np.array(angles, float).T)), dtype=torch.float32)


def labels_of(angles):
    n = len(angles)
    return {"R_local": rotations(angles), "weight": torch.ones(n), "rot_std_deg": torch.zeros(n)}


def sure(bins, count):
    """Logits (..., count) of one bin each."""
    return 50.0 * torch.nn.functional.one_hot(torch.as_tensor(bins), count).float()


def whenet_logits(yaw_logits, pitch_roll=0.0):
    return {"yaw": yaw_logits, "pitch_roll": torch.full((len(yaw_logits), 2, 66), pitch_roll)}


# angles and rotations


def test_angles_of_an_upright_head_are_those_of_aflw2000():
    angles = np.random.default_rng(0).uniform(-89, 89, (50, 3))
    R = rotations(angles)
    np.testing.assert_allclose(_euler.from_matrix(R), aflw2000.from_matrix(R.numpy()).stacked(), atol=1e-3)
    np.testing.assert_allclose(_euler.from_matrix(R), angles, atol=0.02)


@pytest.mark.parametrize("yaw", [95.0, 135.0, 179.0, -120.0])
def test_a_head_turned_away_keeps_its_yaw_and_small_pitch_and_roll(yaw):
    np.testing.assert_allclose(_euler.from_matrix(rotations([[yaw, 10.0, -5.0]]))[0], [yaw, 10.0, -5.0], atol=1e-2)


def test_the_six_numbers_of_angles_are_two_columns_of_their_rotation():
    angles = np.random.default_rng(1).uniform(-180, 180, (50, 3))
    columns = rotations(angles).numpy()[..., :2].transpose(0, 2, 1).reshape(-1, 6)
    np.testing.assert_allclose(_euler.sixd(torch.as_tensor(angles)), columns, atol=1e-6)


def test_bins_by_hand():
    assert _euler.bin_of(torch.tensor([-99.0, -96.0, 0.0, 98.9, 99.0, 150.0]), 66).tolist() == [0, 1, 33, 65, 65, 65]
    assert _euler.bin_angles(66)[[0, 65]].tolist() == [-97.5, 97.5]
    assert _euler.bin_angles(66, decode="published")[[0, 65]].tolist() == [-99.0, 96.0]
    assert _euler.bin_angles(120, 180.0)[[0, 119]].tolist() == [-178.5, 178.5]


@pytest.mark.parametrize("count", [66, 198, 18, 6, 2])
def test_a_mirrored_head_falls_in_the_mirrored_bin(count):
    angles = np.random.default_rng(2).uniform(-80, 80, (40, 3))
    R = rotations(angles)
    there, back = (_euler.from_matrix(torch.as_tensor(np.array(r))).float() for r in (R, mirrored(R.numpy())))
    torch.testing.assert_close(back, there * torch.tensor([-1.0, 1.0, -1.0]), atol=1e-2, rtol=0)
    assert _euler.bin_of(-there, count).tolist() == (count - 1 - _euler.bin_of(there, count)).tolist()


def test_mirrored_logits_decode_to_the_negative_angle_by_centres_and_not_by_lower_edges():
    logits = torch.randn(8, 3, 66, generator=torch.Generator().manual_seed(0))
    for decode, sum_of_both in (("centre", 0.0), ("published", -3.0)):
        config = hopenet.Config(decode=decode)
        both = _euler.mean_angles(logits, config) + _euler.mean_angles(logits.flip(-1), config)
        torch.testing.assert_close(both, torch.full((8, 3), sum_of_both), atol=1e-3, rtol=0)


def test_an_unknown_decode_lists_the_known():
    with pytest.raises(HpeError, match="decode is 'mean', allowed: centre, published"):
        hopenet.Config(decode="mean")


# hopenet


@pytest.mark.parametrize(("decode", "angle"), [("centre", 0.0), ("published", -1.5)])
def test_equal_logits_of_hopenet(decode, angle):
    config = hopenet.Config(decode=decode)
    logits = torch.zeros(1, 3, 66)
    torch.testing.assert_close(_euler.mean_angles(logits, config), torch.full((1, 3), angle), atol=1e-4, rtol=0)
    terms = hopenet.loss_terms(logits, labels_of([[30.0, -20.0, 10.0]]), config)
    assert terms["cross_entropy"].item() == pytest.approx(3 * np.log(66))  # 4.1897 per angle
    expected = (30 - angle) ** 2 + (-20 - angle) ** 2 + (10 - angle) ** 2
    assert terms["square"].item() == pytest.approx(expected, rel=1e-3)


def test_alpha_scales_the_square():
    one, two = (
        hopenet.loss_terms(torch.zeros(1, 3, 66), labels_of([[30.0, 0.0, 0.0]]), hopenet.Config(alpha=alpha))
        for alpha in (1.0, 2.0)
    )
    assert two["square"].item() == pytest.approx(2 * one["square"].item())
    assert two["cross_entropy"].item() == one["cross_entropy"].item()


def test_a_sure_and_right_answer_costs_what_the_bin_is_wide():
    terms = hopenet.loss_terms(sure([[43, 26, 36]], 66), labels_of([[31.5, -19.5, 10.5]]), hopenet.Config())
    assert terms["cross_entropy"].item() == pytest.approx(0.0, abs=1e-3)
    assert terms["square"].item() == pytest.approx(0.0, abs=1e-2)


@pytest.mark.parametrize("network", [hopenet, hybrid, lightweight], ids=lambda network: network.SPEC["name"])
def test_a_head_beyond_99_degrees_is_not_learnt_from(network):
    logits = torch.randn(2, 3, sum(hybrid.BINS) if network is hybrid else 66)
    labels = labels_of([[20.0, 0.0, 0.0], [120.0, 0.0, 0.0]])
    both = network.loss_terms(logits, labels, network.Config())
    first = network.loss_terms(logits[:1], {key: value[:1] for key, value in labels.items()}, network.Config())
    for name in network.WEIGHTS:
        torch.testing.assert_close(both[name], first[name])


# hybrid


@pytest.mark.parametrize(("decode", "angle"), [("centre", 0.0), ("published", -0.5)])
def test_equal_logits_of_hybrid(decode, angle):
    config = hybrid.Config(decode=decode)
    logits = torch.zeros(1, 3, 290)
    terms = hybrid.loss_terms(logits, labels_of([[30.0, -20.0, 10.0]]), config)
    assert terms["cross_entropy"].item() / 3 == pytest.approx(69.1222, abs=1e-3)
    decoded = _euler.mean_angles(logits[..., :198], config)
    torch.testing.assert_close(decoded, torch.full((1, 3), angle), atol=1e-4, rtol=0)


def test_each_angle_of_hybrid_has_a_two_bin_term_of_its_own():
    """Roll's logits alone, wrong in the two bins: the published loss would not notice."""
    logits = torch.zeros(1, 3, 290)
    logits[0, 2, -2] = 20.0  # says that roll is negative
    labels = labels_of([[0.5, 0.5, 10.0]])
    wrong = hybrid.loss_terms(logits, labels, hybrid.Config())["cross_entropy"]
    equal = hybrid.loss_terms(torch.zeros(1, 3, 290), labels, hybrid.Config())["cross_entropy"]
    assert (wrong - equal).item() == pytest.approx(20.0 - np.log(2), abs=1e-2)


# lightweight


def test_equal_logits_of_lightweight():
    terms = lightweight.loss_terms(torch.zeros(1, 3, 66), labels_of([[30.0, -20.0, 10.0]]), lightweight.Config())
    assert terms["cross_entropy"].item() / 3 == pytest.approx(4.6086, abs=1e-4)  # 1.1 ln 66


@pytest.mark.parametrize(("label", "fits"), [(-98.0, 0.8), (-95.0, 1.0), (0.0, 1.1), (98.0, 0.8)])
def test_soft_labels_that_do_not_fit_fall_away(label, fits):
    cost = _euler.soft_cross_entropy(torch.zeros(1, 66), _euler.bin_of(torch.tensor([label]), 66), lightweight.SOFT)
    assert cost.item() == pytest.approx(fits * np.log(66), rel=1e-5)


def test_the_soft_label_is_cheapest_where_it_lies():
    logits = torch.zeros(66)
    logits[40:45] = torch.log(torch.tensor([0.1, 0.2, 0.5, 0.2, 0.1]))
    logits[:40], logits[45:] = -30.0, -30.0
    costs = [_euler.soft_cross_entropy(logits, torch.tensor(b), lightweight.SOFT).item() for b in range(38, 48)]
    assert np.argmin(costs) == 42 - 38


# whenet


def test_equal_logits_of_whenet_point_nowhere():
    logits = whenet_logits(torch.zeros(1, 120))
    angles, _ = whenet.decode(logits, whenet.Config(decode="published"))
    torch.testing.assert_close(angles, torch.full((1, 3), -1.5), atol=1e-3, rtol=0)
    _, length = whenet.decode(logits, whenet.Config())
    assert length.item() < 1e-3


@pytest.mark.parametrize(("decode", "yaw"), [("centre", 180.0), ("published", -1.5)])
def test_a_head_that_shows_its_back_in_the_first_and_last_bin(decode, yaw):
    logits = torch.full((1, 120), -50.0)
    logits[0, [0, 119]] = 0.0
    angles, length = whenet.decode(whenet_logits(logits), whenet.Config(decode=decode))
    assert abs(angles[0, 0].item()) == pytest.approx(abs(yaw), abs=1e-3)
    assert length.item() > 0.99


def test_the_square_of_whenet_goes_the_short_way_round():
    labels = labels_of([[179.5, 1.5, 1.5]])
    logits = {"yaw": sure([0], 120), "pitch_roll": sure([[33, 33]], 66)}  # yaw -178.5
    terms = whenet.loss_terms(logits, labels, whenet.Config())
    assert terms["square"].item() == pytest.approx(4.0, abs=0.05)


def test_whenet_learns_every_yaw_and_no_pitch_beyond_99():
    logits = whenet_logits(torch.zeros(3, 120))
    labels = labels_of([[170.0, 0.0, 0.0], [20.0, 0.0, 120.0], [-100.0, 0.0, 0.0]])
    terms = whenet.loss_terms(logits, labels, whenet.Config())
    assert terms["cross_entropy"].item() == pytest.approx(np.log(120) + 2 * np.log(66), rel=1e-5)
    none = whenet.loss_terms(logits, labels | {"weight": torch.tensor([0.0, 1.0, 0.0])}, whenet.Config())
    assert none["cross_entropy"].item() == 0.0


def test_a_yaw_that_points_nowhere_is_no_rotation():
    net = whenet.build()
    torch.nn.init.zeros_(net.yaw.weight)
    torch.nn.init.zeros_(net.yaw.bias)
    rows = whenet.Deployed(net.eval())(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))
    assert rows.tolist() == [[0.0] * 6]
    with pytest.raises(HpeError, match="degenerate"):
        so3.matrix_from_sixd(rows.detach().numpy())
