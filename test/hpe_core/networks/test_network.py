"""A network is found by its card, and one line says what is wrong with it."""

import re

import numpy as np
import pytest

from hpe_core import backends, catalogue
from hpe_core.errors import HpeError
from hpe_core.network_card import CROP, card_of
from hpe_core.networks.crop import crop6dof
from hpe_core.networks.network import crop_network, whole_image_network
from hpe_core.networks.whole import head6dof
from hpe_core.pixels.canvas import SourceImage, letterbox_canvas

IMAGES, CROPS = (1, 48, 64, 3), ("batch", 32, 32, 3)


class Zeros:
    """A backend whose rows are zeros, on the CPU."""

    def __init__(self, estimator, columns, crop_m=None, **changes):
        spans, first = {}, 0
        for name, width in columns.items():
            spans[name], first = [first, first + width], first + width
        spec = {"columns": spans | changes} | ({} if crop_m is None else {"crop_m": crop_m})
        self.input_shape = IMAGES if crop_m is None else CROPS
        self.card = card_of({"name": "net", "estimator": estimator, "spec": spec}, self.input_shape, "net.onnx")
        self.value = 0.0

    def samples(self, image_shape):
        return False

    def run(self, array):
        return np.full((1, 5, self.card.row), self.value, np.float32)


def without(columns, name):
    return {key: width for key, width in columns.items() if key != name}


@pytest.mark.parametrize(
    "make, backend, message",
    [
        (
            whole_image_network,
            Zeros("head6dof", without(head6dof.COLUMNS, "sixd")),
            "lacks 'sixd', which head6dof needs",
        ),
        (
            whole_image_network,
            Zeros("head6dof", head6dof.COLUMNS, far=[20, 21], sixd=[30, 39]),
            "'sixd' of net must be 6 wide for head6dof, got 9",
        ),
        (crop_network, Zeros("crop6dof", without(crop6dof.COLUMNS, "sixd"), 0.28), "lacks 'sixd'"),
        (crop_network, Zeros("crop6dof", {"sixd": 6, "centre_m": 3}, 0.28), "'centre_m' of net must be 2 wide"),
        (crop_network, Zeros("crop6dof", {"sixd": 6}, 0.28), "its card needs calibration.rotation_std_deg"),
        (
            whole_image_network,
            Zeros("crop6dof", crop6dof.COLUMNS),
            "unknown estimator for whole images 'crop6dof', known: head6dof",
        ),
        (
            crop_network,
            Zeros("head6dof", head6dof.COLUMNS, 0.28),
            "unknown estimator for crops 'head6dof', known: crop6dof",
        ),
        (crop_network, Zeros("head6dof", head6dof.COLUMNS), "net takes whole images, not crops"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_network_whose_card_does_not_fit_its_decoder_is_one_line(make, backend, message):
    with pytest.raises(HpeError, match=re.escape(message)) as error:
        make(backend)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", catalogue.networks() + catalogue.zoo())
def test_every_shipped_network_has_its_decoder(name):
    backend = backends.create("onnxruntime", catalogue.path_of(name), 1)
    network = (crop_network if backend.card.kind == CROP else whole_image_network)(backend)
    assert network.card is backend.card


def test_an_output_that_is_not_finite_names_the_network():
    backend = Zeros("head6dof", head6dof.COLUMNS)
    network = whole_image_network(backend)
    canvas, _ = letterbox_canvas(SourceImage(np.zeros((48, 64, 3), np.uint8)), 64, 48)
    assert network.rows(canvas).shape == (1, 5, 13)
    backend.value = np.inf
    with pytest.raises(HpeError, match="the output of net is not finite"):
        network.rows(canvas)


def test_a_backend_that_samples_itself_is_asked_for_it_and_one_that_does_not_gets_pixels():
    class Samples(Zeros):
        def samples(self, image_shape):
            return image_shape[1] == 64

        def run_on(self, source, nodes, spread):
            return np.full((1, 5, self.card.row), source.array.mean() + nodes.shape[1], np.float32)

    network = whole_image_network(Samples("head6dof", head6dof.COLUMNS))
    for width, value in ((64, 9.0), (32, 0.0)):
        canvas, _ = letterbox_canvas(SourceImage(np.zeros((48, width, 3), np.uint8)), 64, 48)
        assert network.rows(canvas).max() == value
