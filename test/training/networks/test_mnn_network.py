"""MNN: heat maps read and taught in metres of the crop."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.networks import mnn  # noqa: E402

torch.set_num_threads(1)


def labels_at(place_m):
    """Labels of one face with all landmarks at one place (2,), seen."""
    points = torch.tensor([*place_m, 0.0]).expand(1, 68, 3)
    return {"landmarks_m": points, "visible": torch.ones(1, 68), "weight": torch.ones(1)}


def test_cell_centres_are_those_of_the_crops_pixels():
    centres = mnn.cell_centres_m(32)
    first_pixels_m = (1.5 - 63.5) * 0.28 / 128  # of the pixels 0 .. 3 of 128
    np.testing.assert_allclose(centres[0], [first_pixels_m, first_pixels_m], atol=1e-7)
    np.testing.assert_allclose(centres[1] - centres[0], [0.28 / 32, 0.0], atol=1e-7)  # along a row first
    np.testing.assert_allclose(centres.mean(0), 0.0, atol=1e-7)


def test_a_flat_heat_map_costs_the_logarithm_of_its_cells():
    assert mnn.heat_map_error(torch.zeros(1, 68, 1024), labels_at([0.02, -0.03])).item() == pytest.approx(
        math.log(1024)
    )


def test_the_best_heat_map_has_its_mean_at_the_landmark():
    place = [0.0213, -0.0341]
    heat = torch.zeros(1, 68, 64, requires_grad=True)
    optimiser = torch.optim.Adam([heat], lr=0.3)
    for _ in range(200):
        optimiser.zero_grad()
        mnn.heat_map_error(heat, labels_at(place)).backward()
        optimiser.step()
    mean = torch.softmax(heat, -1) @ mnn.cell_centres_m(8)
    np.testing.assert_allclose(mean[0, 0].detach(), place, atol=5e-4)


def test_landmarks_outside_the_map_and_unknown_ones_teach_it_nothing():
    heat = torch.randn(1, 68, 1024)
    unknown = labels_at([float("nan"), 0.0])
    assert mnn.heat_map_error(heat, labels_at([0.2, 0.0])).item() == 0.0
    assert mnn.heat_map_error(heat, unknown).item() == 0.0


@pytest.mark.parametrize("trunk", ["own", "shared"])
def test_maps_are_a_quarter_of_the_crop_and_landmarks_lie_inside_it(trunk):
    torch.manual_seed(7)
    net = mnn.build(mnn.Config(trunk)).eval()
    with torch.no_grad():
        output = net(torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8))
    assert output["heat"].shape == (2, 68, 32 * 32)
    across = output["landmarks_m"].reshape(2, 68, 3)[..., :2]
    assert across.abs().max() < 0.14


def test_its_own_trunk_takes_256_pixels_too():
    config = mnn.Config("own", own_side=256)
    with torch.device("meta"):
        output = mnn.build(config)(torch.zeros(1, *config.input_hwc, dtype=torch.uint8))
    assert output["heat"].shape == (1, 68, 64 * 64)


def test_visibility_is_read_where_the_heat_map_has_the_landmark():
    torch.manual_seed(8)
    net = mnn.build().eval()
    crops = torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        net.heat.weight.zero_()  # flat maps: the mean over all cells
        seen = net.seen(net.decoder(net.trunk.maps(mnn.shared.scaled(crops)))).mean((2, 3))
        torch.testing.assert_close(net(crops)["visibility"], seen, atol=1e-4, rtol=1e-4)
