"""The trunks of the published methods have the parameters that their papers or weight files have."""

import pytest

torch = pytest.importorskip("torch")

from training.networks._blocks import fuse  # noqa: E402
from training.networks._trunks.efficientnet_b0 import EfficientNetB0  # noqa: E402
from training.networks._trunks.mobilenet_v1 import MobileNetV1  # noqa: E402
from training.networks._trunks.repvgg_b1g2 import RepVggB1g2, RepVggBlock  # noqa: E402
from training.networks._trunks.resnet50 import ResNet50  # noqa: E402
from training.networks._trunks.ssr import Stream, TwoStreams  # noqa: E402

torch.set_num_threads(1)

SIXD_HEAD = 2048 * 6 + 6


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def untrained(trunk):
    """A trunk without memory for its weights: enough to count them."""
    with torch.device("meta"):
        return trunk()


def test_resnet50_has_23508032_parameters():
    assert parameters(untrained(ResNet50)) == 23_508_032


def test_efficientnet_b0_has_4007548_parameters():
    assert parameters(untrained(EfficientNetB0)) == 4_007_548


def test_repvgg_with_a_head_of_six_numbers_has_43745670_parameters_and_39323398_when_fused():
    trunk = RepVggB1g2()
    assert parameters(trunk) + SIXD_HEAD == 43_745_670
    assert parameters(fuse(trunk)) + SIXD_HEAD == 39_323_398


def test_mobilenet_v1_has_3206912_parameters():
    assert parameters(untrained(MobileNetV1)) == 3_206_912


def test_the_separable_convolutions_of_one_stream_have_35819_parameters():
    stream = Stream(torch.nn.ReLU(), torch.nn.AvgPool2d(2))
    convolutions = [m for m in stream.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(parameters(m) for m in convolutions) == 35_819


@pytest.mark.parametrize(
    "trunk, channels, side, sides",
    [
        (ResNet50, 3, 64, (16, 8, 4, 2)),
        (EfficientNetB0, 3, 64, (16, 8, 4, 2)),
        (MobileNetV1, 1, 129, (65, 33, 17, 9, 5)),
    ],
)
def test_maps_have_the_widths_that_a_trunk_states(trunk, channels, side, sides):
    net = trunk().eval()
    with torch.no_grad():
        maps = net.maps(torch.zeros(1, channels, side, side))
    assert [tuple(m.shape[1:]) for m in maps] == [(w, s, s) for w, s in zip(net.widths, sides, strict=True)]


def test_both_streams_give_maps_of_16_8_and_8_cells():
    maps = TwoStreams().eval()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert [tuple(m.shape[1:]) for pair in maps for m in pair] == [
        shape for shape in ((32, 16, 16), (64, 8, 8), (128, 8, 8)) for _ in range(2)
    ]


@pytest.mark.parametrize("channels, stride, groups", [((4, 4), 1, 1), ((4, 4), 1, 2), ((4, 6), 1, 2), ((4, 6), 2, 1)])
def test_a_fused_block_of_three_branches_is_the_block(channels, stride, groups):
    torch.manual_seed(3)
    block = RepVggBlock(*channels, stride, groups)
    with torch.no_grad():
        for _ in range(20):
            block(torch.randn(4, 4, 9, 9) * 2 + 1)
    block.eval()
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(block.fused()(x), block(x), atol=1e-5, rtol=1e-5)
