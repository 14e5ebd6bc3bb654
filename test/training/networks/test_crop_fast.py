import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core import backends, catalogue  # noqa: E402
from hpe_core.catalogue import WEIGHTS  # noqa: E402
from training.networks import crop6dof, crop_fast  # noqa: E402
from training.networks._blocks import fuse  # noqa: E402
from training.train import fused_weights  # noqa: E402


def test_its_first_dense_layer_says_of_a_small_map_what_crop6dofs_says_of_it_enlarged():
    small, large = crop_fast.build(), fuse(crop6dof.build())
    large.load_state_dict(fused_weights(large, str(WEIGHTS / "crop6dof.onnx")))
    x = torch.rand(2, 128, 3, 3, generator=torch.Generator().manual_seed(0))
    enlarged = torch.nn.functional.interpolate(x, size=(4, 4), mode="bilinear")
    assert torch.allclose(small.hidden(x.flatten(1)), large.hidden(enlarged.flatten(1)), atol=1e-4)
    one = {name: value for name, value in small.state_dict().items() if name != "hidden.weight"}
    assert all(torch.equal(value, large.state_dict()[name]) for name, value in one.items())


def test_it_is_read_as_crop6dof_and_looks_at_fewer_pixels():
    assert crop_fast.SPEC == crop6dof.SPEC | {"name": "crop_fast"}
    for name in ("crop_fast", "crop_fast_int8"):
        card = backends.create("onnxruntime", catalogue.path_of(name), 1).card
        assert card.estimator == "crop6dof" and card.input_shape == ("batch", 96, 96, 3)
        assert card.columns == {key: tuple(span) for key, span in crop6dof.SPEC["columns"].items()}
        assert card.calibration.own_centre_std != 1.0 and np.isfinite(card.calibration.rotation_std)
