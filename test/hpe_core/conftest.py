"""Fixtures of the core's tests: a model that returns fixed rows, and repeatable hypothesis runs."""

import json

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, max_examples=40, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def write_onnx(tmp_path):
    """write_onnx(rows, card) -> path of an ONNX whose output is rows (N, 14) + gain * mean(image)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(rows, card=None, width=64, height=48, gain=0.0, name="fixed"):
        rows = np.asarray(rows, np.float32)[None]
        nodes = [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "gain"], ["offset"]),
            helper.make_node("Add", ["constant", "offset"], ["rows"]),
        ]
        constants = [numpy_helper.from_array(rows, "constant"), numpy_helper.from_array(np.float32(gain), "gain")]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3])
        output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, list(rows.shape))
        model = helper.make_model(
            helper.make_graph(nodes, "fixed", [image], [output], constants),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        if card is not None:
            entry = model.metadata_props.add()
            entry.key, entry.value = "hpe_model_card", json.dumps(card)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return write
