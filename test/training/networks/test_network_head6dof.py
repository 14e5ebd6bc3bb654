import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.networks import head6dof  # noqa: E402
from training.networks._blocks import RepConv  # noqa: E402

torch.set_num_threads(1)  # the networks are tiny

SMALL = head6dof.Config(width=96, height=64, stem=4, widths=(8, 8, 12, 16), blocks=(0, 1, 1, 1))


@pytest.fixture
def trained():
    """A small network whose batch norms have been somewhere, in evaluation mode."""
    torch.manual_seed(24)
    net = head6dof.build(SMALL)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0.0, 0.2)
    for output in net.outputs:
        output.weight.data.normal_(0.0, 0.7)
    return net.eval()


def image(batch=1, config=SMALL):
    rng = np.random.default_rng(25)
    return torch.from_numpy(rng.integers(0, 256, (batch, config.height, config.width, 3)).astype(np.uint8))


def test_the_deployed_network_is_the_trained_one(trained):
    expected = head6dof.decode(trained(image()), SMALL)
    deployed = head6dof.Deployed(copy.deepcopy(trained)).eval()
    assert not any(isinstance(m, (RepConv, torch.nn.BatchNorm2d)) for m in deployed.modules())
    rows = deployed(image())
    assert expected[..., 0].std() > 0.01  # not all the same
    torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels, stride", [((5, 5), 1), ((5, 7), 1), ((5, 5), 2)])
def test_a_fused_block_is_the_block(channels, stride):
    torch.manual_seed(26)
    block = RepConv(*channels, stride)
    with torch.no_grad():
        for _ in range(20):
            block(torch.randn(4, 5, 9, 9) * 2 + 1)
    block.eval()
    x = torch.randn(2, 5, 9, 9)
    torch.testing.assert_close(block.fused()(x), block(x), atol=1e-5, rtol=1e-5)


def test_columns_cover_the_fourteen_numbers_of_a_row_without_gaps():
    spans = sorted(head6dof.SPEC["columns"].values())
    assert [start for start, _ in spans] == [0] + [end for _, end in spans[:-1]]
    assert spans[-1][1] == 14


def test_default_input_has_one_row_per_cell_of_three_levels():
    config = head6dof.Config()
    cells = [(config.height // s) * (config.width // s) for s in config.strides]
    assert cells == [1280, 320, 80]
    raw = [torch.zeros(1, 13, config.height // s, config.width // s) for s in config.strides]
    assert head6dof.decode(raw, config).shape == (1, 1680, 14)


def test_maps_have_the_size_of_their_strides(trained):
    assert [tuple(m.shape) for m in trained(image(2))] == [(2, 13, 8, 12), (2, 13, 4, 6), (2, 13, 2, 3)]


def test_cell_centres_equal_a_plain_loop():
    loop = [((x + 0.5) * 8 - 0.5, (y + 0.5) * 8 - 0.5) for y in range(3) for x in range(4)]
    np.testing.assert_allclose(head6dof.cell_centres(3, 4, 8).numpy(), loop)


def test_the_first_cell_of_stride_eight_is_in_the_middle_of_its_eight_pixels():
    assert head6dof.cell_centres(2, 2, 8)[0].tolist() == [3.5, 3.5]  # of the pixels 0 .. 7


def test_decode_equals_a_plain_loop():
    rng = np.random.default_rng(27)
    raw = [rng.normal(size=(2, 13, SMALL.height // s, SMALL.width // s)) * 2 for s in SMALL.strides]
    rows = head6dof.decode([torch.from_numpy(m) for m in raw], SMALL).numpy()
    k = 0
    for m, stride, base in zip(raw, SMALL.strides, SMALL.level_size_px, strict=True):
        for y in range(m.shape[2]):
            for x in range(m.shape[3]):
                v = m[1, :, y, x]
                expected = [
                    1 / (1 + np.exp(-v[0])),
                    (x + 0.5) * stride - 0.5 + stride * v[1],
                    (y + 0.5) * stride - 0.5 + stride * v[2],
                    base * np.exp(np.clip(v[3], -3, 3)),
                    *v[4:10],
                    *np.exp(np.clip(v[10:], -6, 1)),
                    stride,
                ]
                np.testing.assert_allclose(rows[1, k], expected, rtol=1e-6)
                k += 1
    assert k == rows.shape[1]


def test_a_fresh_network_sees_hardly_any_face_and_no_degenerate_rotation():
    rows = head6dof.decode(head6dof.build(SMALL).eval()(image()), SMALL)[0].detach()
    assert rows[:, 0].max() < 0.1
    assert torch.linalg.matrix_norm(rows[:, 4:10].reshape(-1, 2, 3), ord=-2).min() > 0.1


def test_images_of_a_batch_do_not_mix(trained):
    both = image(2)
    together = trained(both)
    for i in range(2):
        for alone, joint in zip(trained(both[i : i + 1]), together, strict=True):
            torch.testing.assert_close(alone[0], joint[i], atol=1e-5, rtol=1e-5)


def test_the_configuration_is_plain_data():
    from dataclasses import asdict

    assert head6dof.Config(**asdict(SMALL)) == SMALL
