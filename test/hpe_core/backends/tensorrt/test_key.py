from dataclasses import asdict

import pytest

from hpe_core.backends.tensorrt.key import EngineKey
from hpe_core.errors import HpeError

OTHER = {
    "onnx_sha256": "f" * 64,
    "recipe": 2,
    "precision": "int8",
    "max_batch": 16,
    "input_size": "640x480",
    "library": "tensorrt_rtx 1.8.0.0",
    "plugins": "1.8.0.0",
    "cuda": "13.0",
    "compute_capability": "12.0",
    "gpu": "NVIDIA Thor",
}


def test_every_field_but_the_name_makes_another_engine(key, key_with):
    assert set(OTHER) == set(asdict(key)) - {"model"}
    digests = {key.digest} | {key_with(**{name: value}).digest for name, value in OTHER.items()}
    assert len(digests) == 1 + len(OTHER)
    assert key_with(model="renamed").digest == key.digest


def test_file_names_can_be_read_and_hold_nothing_but_letters(key, key_with):
    assert key.stem.startswith("net-320x256-fp16-b1-sm86-") and len(key.stem.rsplit("-", 1)[1]) == 32
    assert key_with(model="../my model.v2").stem.startswith("___my_model_v2-320x256-fp16")


def test_the_digest_is_the_same_in_every_process_and_release(key):
    assert key.digest == "635299d8eec3f7c667b2f71883b9faaa"  # if this changes, every robot rebuilds every engine


def test_a_key_comes_back_from_its_dict(key):
    assert EngineKey.from_dict(asdict(key)) == key


@pytest.mark.parametrize(
    "changes, named", [({"gpu": None}, "gpu"), ({"max_batch": "1"}, "max_batch"), ({"colour": "red"}, "colour")]
)
def test_a_wrong_field_is_named(key, changes, named):
    with pytest.raises(HpeError, match=named):
        EngineKey.from_dict(asdict(key) | changes)
