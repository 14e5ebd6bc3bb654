"""SSR-Net and FSA-Net: their published parameters and what can be computed by hand."""

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from training.networks import fsanet, ssrnet  # noqa: E402
from training.networks._trunks import ssr  # noqa: E402

torch.set_num_threads(1)

TOTALS = {
    ("1x1", "capsule"): 238_471,
    ("var", "capsule"): 238_406,
    ("w/o", "capsule"): 694_563,
    ("1x1", "netvlad"): 183_562,
    ("var", "netvlad"): 183_497,
    ("w/o", "netvlad"): 114_342,
    ("1x1", "metric"): 175_046,
    ("var", "metric"): 174_981,
    ("w/o", "metric"): 106_339,
}
BN_STATISTICS = 1_856


def trainable(net):
    return sum(p.numel() for p in net.parameters())


def total(net):
    """Trainable parameters and the running means and variances, which Keras counts too."""
    return trainable(net) + sum(b.numel() for name, b in net.named_buffers() if "running" in name)


def crops(n=2, side=64):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (n, side, side, 3)).astype(np.uint8))


def labels(*angles):
    """Labels of faces with these angles (yaw, pitch, roll), all certain."""
    R = [aflw2000.to_matrix(EulerDeg(*a)) for a in angles]
    return {
        "R_local": torch.tensor(np.array(R), dtype=torch.float32),
        "weight": torch.ones(len(R)),
        "rot_std_deg": torch.zeros(len(R)),
    }


def angle(p, delta=0.0, eta=0.0):
    """The first angle where every stage has the same p (3 bins), delta and eta."""
    p = torch.tensor(p).expand(1, 3, 3, 3)
    return ssr.angles(p, torch.full((1, 3, 3), delta), torch.full((1, 3, 3), eta))[0, 0].item()


def test_ssrnet_has_233619_parameters_231763_of_them_trainable():
    net = ssrnet.build(ssrnet.Config(trunk="own"))
    assert (total(net), trainable(net)) == (233_619, 231_763)


@pytest.mark.parametrize("score, aggregation", TOTALS)
def test_fsanet_has_the_parameters_of_its_weight_files(score, aggregation):
    net = fsanet.build(fsanet.Config("own", (score,), aggregation))
    assert total(net) == TOTALS[score, aggregation]
    assert trainable(net) == TOTALS[score, aggregation] - BN_STATISTICS


def test_empty_bins_and_equal_bins_are_an_angle_of_zero():
    assert angle([0.0, 0.0, 0.0]) == 0.0
    assert angle([1 / 3, 1 / 3, 1 / 3]) == pytest.approx(0.0, abs=1e-6)


def test_the_last_bin_of_every_stage_is_99_times_13_27ths_degrees():
    assert angle([0.0, 0.0, 1.0]) == pytest.approx(99 * (1 / 3 + 1 / 9 + 1 / 27))
    assert angle([0.0, 0.0, 1.0]) == pytest.approx(47.667, abs=1e-3)


def test_eta_moves_the_bins_and_delta_below_zero_widens_the_range():
    assert angle([0.0, 1.0, 0.0], eta=0.5) == pytest.approx(99 * 0.5 * (1 / 3 + 1 / 9 + 1 / 27))
    half = 3 * (1 - ssr.DELTA_REACH * 0.5)
    assert angle([0.0, 0.0, 1.0], delta=-0.5) == pytest.approx(99 * (1 / half + 1 / half**2 + 1 / half**3))


def test_a_saturated_delta_leaves_the_angle_and_its_slope_finite():
    delta = torch.full((1, 3, 3), -1.0, requires_grad=True)
    angles = ssr.angles(torch.full((1, 3, 3, 3), 0.5), delta, torch.full((1, 3, 3), 1.0))
    angles.sum().backward()
    assert torch.isfinite(angles).all() and torch.isfinite(delta.grad).all()


def test_labels_beyond_99_degrees_do_not_count():
    predicted = torch.tensor([[13.0, -4.0, 2.0], [0.0, 0.0, 0.0]])
    loss = ssr.mean_absolute_deg(predicted, labels((10.0, -4.0, 2.0), (150.0, 0.0, 0.0)))
    assert loss.item() == pytest.approx(1.0, abs=1e-4)  # 3 degrees of one angle in three


def test_zero_vectors_make_zero_capsules():
    capsules = fsanet.Capsules(21)
    assert torch.equal(capsules(torch.zeros(2, 21, 64)), torch.zeros(2, 3, 16))


def test_capsules_equal_a_plain_loop():
    torch.manual_seed(2)
    capsules, u = fsanet.Capsules(5), torch.randn(1, 5, 64)
    W, b = capsules.weight.detach().numpy(), np.zeros((3, 5))
    votes = np.array([[u[0, n].numpy() @ W[j, n] for n in range(5)] for j in range(3)])
    for routing in range(2):
        c = np.exp(b) / np.exp(b).sum(0)
        assert routing or np.allclose(c, 1 / 3)
        s = np.einsum("jn,jnd->jd", c, votes)
        n = (s**2).sum(-1, keepdims=True)
        v = n / (1 + n) * s / np.sqrt(n + 1e-7)
        b = b + np.einsum("jnd,jd->jn", votes, v)
    np.testing.assert_allclose(capsules(u)[0].detach().numpy(), v, atol=1e-5)


@pytest.mark.parametrize("score", ["1x1", "var"])
def test_equal_vectors_come_through_the_structure_mapping_unchanged(score):
    torch.manual_seed(3)
    vector = torch.rand(64)
    maps = [vector[None, :, None, None].expand(2, 64, 8, 8)] * 3
    torch.testing.assert_close(fsanet.Structure(score)(maps), vector.expand(2, 21, 64))


def test_the_variance_score_is_the_population_variance_over_channels():
    x = torch.randn(2, 64, 8, 8)
    score = fsanet.Structure("var").attention(x)
    np.testing.assert_allclose(score.numpy(), x.numpy().var(1).reshape(2, 64), rtol=1e-5)


def test_two_variants_answer_with_the_mean_of_their_angles():
    torch.manual_seed(4)
    net = fsanet.build(fsanet.Config("own")).eval()
    single = [fsanet.build(fsanet.Config("own", (score,))).eval() for score in ("1x1", "var")]
    for i, one in enumerate(single):
        one.trunk[0].load_state_dict(net.trunk[i].state_dict())
        one.variants[0].load_state_dict(net.variants[i].state_dict())
    with torch.no_grad():
        mean = sum(one(crops())[:, 0] for one in single) / 2
        sixd = fsanet.Deployed(net)(crops())
    R = aflw2000.to_matrix(EulerDeg(*mean.numpy().astype(float).T))
    np.testing.assert_allclose(sixd.numpy(), np.concatenate([R[..., 0], R[..., 1]], -1), atol=1e-5)


@pytest.mark.parametrize("module, trunk", product([ssrnet, fsanet], ["own", "shared"]))
def test_crops_of_a_batch_do_not_mix(module, trunk):
    torch.manual_seed(5)
    config = module.Config(trunk)
    net = module.Deployed(module.build(config).eval()).eval()
    both = crops(2, config.side)
    with torch.no_grad():
        together = net(both)
        torch.testing.assert_close(net(both[1:])[0], together[1], atol=1e-4, rtol=1e-4)
    assert together.shape == (2, 6)


def test_an_unknown_variant_or_aggregation_is_refused_in_one_line():
    with pytest.raises(HpeError, match=r"variant is '2x2', allowed: 1x1, var, w/o"):
        fsanet.Config("own", ("2x2",))
    with pytest.raises(HpeError, match=r"aggregation is 'mean', allowed: capsule, netvlad, metric"):
        fsanet.Config("own", aggregation="mean")
