"""What a network's file says of itself, beside what `onnx` reads in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core import catalogue
from hpe_core.backends.tensorrt import network_file
from hpe_core.errors import HpeError
from hpe_core.network_card import CROP, WHOLE_IMAGE

SHIPPED = pytest.mark.parametrize("name", catalogue.networks())


@SHIPPED
def test_card_and_input_are_those_that_onnx_reads(name):
    pytest.importorskip("onnx")
    from hpe_core.backends.tensorrt import onnx_graph

    path = catalogue.path_of(name)
    model, card = onnx_graph.read(path), network_file.read(path).card
    assert list(card.input_shape) == onnx_graph.input_shape(model)
    assert card.raw == onnx_graph.raw_card_of(model, path)
    assert card.quantised == onnx_graph.is_quantised(model)


def test_a_whole_image_network_takes_one_image_and_a_crop_network_any_number(write_net, write_crop_net):
    whole, crops = network_file.read(write_net()), network_file.read(write_crop_net())
    assert (whole.name, whole.card.kind, whole.card.free_batch) == ("net", WHOLE_IMAGE, False)
    assert (crops.name, crops.card.kind, crops.card.free_batch) == ("crop_net", CROP, True)


def test_a_word_in_the_card_makes_no_network_quantised(write_onnx, model_card):
    path = write_onnx([[0.0] * 14], model_card(note="QuantizeLinear"))
    assert not network_file.read(path).card.quantised


def test_a_file_without_a_card_is_named(write_onnx):
    with pytest.raises(HpeError, match=r"fixed\.onnx carries no 'hpe_model_card' metadata"):
        network_file.read(write_onnx([[0.0] * 14]))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_network_are_an_error_that_names_the_file(data):
    with pytest.raises(HpeError, match=r"some\.onnx"):
        network_file.card_in(data, "some.onnx")


def test_a_network_that_is_cut_off_is_an_error_wherever_it_ends(write_net):
    data = write_net().read_bytes()
    whole = network_file.card_in(data, "net.onnx")
    for end in range(0, len(data), 97):
        try:
            assert network_file.card_in(data[:end], "net.onnx") == whole
        except HpeError as error:
            assert "net.onnx" in str(error)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=8), st.binary(max_size=8)), max_size=6), st.data())
def test_changed_bytes_give_another_card_or_an_error(values, data):
    whole = _message(values)
    assert network_file.card_in(whole, "some.onnx").columns == {"sixd": (0, 6)}
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        network_file.card_in(changed, "some.onnx")
    except HpeError as error:
        assert "some.onnx" in str(error)


def _message(values):
    """An ONNX file with a card that holds some values, as bytes written by hand."""

    def field(number, data):
        return bytes([number << 3 | 2]) + _length(len(data)) + data

    def _length(size):
        return bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])

    card = {"name": "n", "estimator": "n", "spec": {"columns": {"sixd": [0, 6]}}, "values": [repr(v) for v in values]}
    shape = b"".join(field(1, bytes([1 << 3, size])) for size in (1, 32, 32, 3))
    graph = field(7, field(11, field(2, field(1, field(2, shape)))))
    return graph + field(14, field(1, b"hpe_model_card") + field(2, json.dumps(card).encode()))
