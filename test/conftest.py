"""Fixtures of all tests: the least card of a network, and small networks in ONNX with the shape of the shipped ones."""

import json
import shutil

import numpy as np
import pytest

from hpe_core import catalogue

COLUMNS = {
    "score": [0, 1],
    "centre_px": [1, 3],
    "size_px": [3, 4],
    "sixd": [4, 10],
    "rotation_std_rad": [10, 11],
    "size_rel_std": [11, 12],
    "centre_rel_std": [12, 13],
    "stride": [13, 14],
}


def card(**changes):
    """The least description that a model may carry."""
    return {"name": "fixed", "estimator": "head6dof", "spec": {"columns": COLUMNS}} | changes


@pytest.fixture
def model_card():
    return card


@pytest.fixture
def write_net(tmp_path, model_card):
    """write_net(seed, scale) -> path: uint8 image, scaling, four convolutions with a skip, decoded rows with a stride.

    scale multiplies the first convolution's weights.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(seed=0, scale=1.0, width=64, height=48):
        rng = np.random.default_rng(seed)
        cells = (height // 4) * (width // 4)
        constants = {
            "a.w": scale * rng.normal(0, 0.3, (8, 3, 3, 3)),
            "b.w": rng.normal(0, 0.15, (8, 8, 3, 3)),
            "c.w": rng.normal(0, 0.15, (8, 8, 3, 3)),
            "out.w": rng.normal(0, 0.3, (13, 8, 1, 1)),
            "out.b": np.array([2.0, 0, 0, 0, 1, 0, 0, 0, 1, 0, -1, -1, -1]),
            "cells": rng.uniform(0, 60, (cells, 2)),
            "stride": np.full((1, cells, 1), 4.0),
            "127": 127.5,
            "4": 4.0,
            "base": 30.0,
            "one": 1.0,
        }
        numbers = {"to": [13, -1], "zoom": None, **{str(n): [n] for n in (0, 1, 3, 4, 10, 13)}, "axis": [2]}
        nodes = [
            helper.make_node("Transpose", ["image"], ["chw"], name="move", perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["chw"], ["real"], name="cast", to=TensorProto.FLOAT),
            helper.make_node("Div", ["real", "c127"], ["div"], name="div"),
            helper.make_node("Sub", ["div", "cone"], ["x"], name="sub"),
            helper.make_node("Conv", ["x", "a.w"], ["a"], name="a", pads=[1] * 4, strides=[4, 4]),
            helper.make_node("Relu", ["a"], ["ar"], name="a_relu"),
            helper.make_node("Conv", ["ar", "b.w"], ["b"], name="b", pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Relu", ["b"], ["br"], name="b_relu"),
            helper.make_node(
                "Resize",
                ["br", "", "zoom"],
                ["up"],
                name="up",
                coordinate_transformation_mode="asymmetric",
                mode="nearest",
                nearest_mode="floor",
            ),
            helper.make_node("Add", ["ar", "up"], ["sum"], name="add"),
            helper.make_node("Conv", ["sum", "c.w"], ["c"], name="c", pads=[1] * 4),
            helper.make_node("Relu", ["c"], ["cr"], name="c_relu"),
            helper.make_node("Conv", ["cr", "out.w", "out.b"], ["raw"], name="out"),
            helper.make_node("Shape", ["raw"], ["raw_shape"], name="shape"),
            helper.make_node("Slice", ["raw_shape", "n0", "n1", "n0"], ["raw_batch"], name="raw_batch"),
            helper.make_node("Concat", ["raw_batch", "nto"], ["raw_to"], name="raw_to", axis=0),
            helper.make_node("Reshape", ["raw", "raw_to"], ["flat"], name="flat"),
            helper.make_node("Transpose", ["flat"], ["rows13"], name="rows13", perm=[0, 2, 1]),
        ]
        for name, start, end in (("s", 0, 1), ("c", 1, 3), ("z", 3, 4), ("r", 4, 10), ("u", 10, 13)):
            nodes.append(
                helper.make_node("Slice", ["rows13", f"n{start}", f"n{end}", "naxis"], [f"p_{name}"], name=f"p_{name}")
            )
        nodes += [
            helper.make_node("Sigmoid", ["p_s"], ["score"], name="score"),
            helper.make_node("Mul", ["p_c", "c4"], ["offset"], name="offset"),
            helper.make_node("Add", ["cells", "offset"], ["centre"], name="centre"),
            helper.make_node("Exp", ["p_z"], ["size0"], name="size0"),
            helper.make_node("Mul", ["size0", "cbase"], ["size"], name="size"),
            helper.make_node("Exp", ["p_u"], ["stds"], name="stds"),
            helper.make_node(
                "Concat", ["score", "centre", "size", "p_r", "stds", "stride"], ["rows"], name="rows", axis=-1
            ),
        ]
        tensors = []
        for name, value in constants.items():
            name = name if "." in name or name in ("cells", "stride") else f"c{name}"
            tensors.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        for name, value in numbers.items():
            array = np.array([1, 1, 2, 2], np.float32) if value is None else np.array(value, np.int64)
            tensor = numpy_helper.from_array(array, "zoom" if value is None else f"n{name}")
            nodes.insert(0, helper.make_node("Constant", [], [tensor.name], name=f"k_{name}", value=tensor))
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3])
        output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [1, cells, 14])
        model = helper.make_model(
            helper.make_graph(nodes, "net", [image], [output], tensors),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        onnx.helper.set_model_props(model, {"hpe_model_card": json.dumps(model_card(name="net"))})
        path = tmp_path / "net.onnx"
        onnx.save(model, path)
        return path

    return write


CROP_COLUMNS = {"sixd": [0, 6], "landmarks_m": [6, 12]}


@pytest.fixture
def write_crop_net(tmp_path, model_card):
    """write_crop_net(seed) -> path: any number of uint8 crops, two convolutions, a hidden and a last dense layer."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(seed=0, side=32):
        rng, cells = np.random.default_rng(seed), (side // 8) ** 2
        constants = {
            "a.w": rng.normal(0, 0.3, (8, 3, 3, 3)),
            "b.w": rng.normal(0, 0.15, (8, 8, 3, 3)),
            "hidden.w": rng.normal(0, 0.1, (16, 8 * cells)),
            "hidden.b": rng.normal(0, 0.1, 16),
            "out.w": rng.normal(0, 0.1, (12, 16)),
            "out.b": np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
            "127": np.array(127.5),
            "tenth": np.array(0.1),
        }
        tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
        tensors.append(numpy_helper.from_array(np.array([6, 6]), "parts"))
        nodes = [
            helper.make_node("Transpose", ["image"], ["chw"], name="move", perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["chw"], ["real"], name="cast", to=TensorProto.FLOAT),
            helper.make_node("Div", ["real", "127"], ["x"], name="div"),
            helper.make_node("Conv", ["x", "a.w"], ["a"], name="a", pads=[1] * 4, strides=[4, 4]),
            helper.make_node("Relu", ["a"], ["ar"], name="a_relu"),
            helper.make_node("Conv", ["ar", "b.w"], ["b"], name="b", pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Relu", ["b"], ["br"], name="b_relu"),
            helper.make_node("Flatten", ["br"], ["flat"], name="flat"),
            helper.make_node("Gemm", ["flat", "hidden.w", "hidden.b"], ["h"], name="hidden", transB=1),
            helper.make_node("Relu", ["h"], ["hr"], name="h_relu"),
            helper.make_node("Gemm", ["hr", "out.w", "out.b"], ["raw"], name="out", transB=1),
            helper.make_node("Split", ["raw", "parts"], ["sixd", "points"], name="split", axis=1),
            helper.make_node("Mul", ["points", "tenth"], ["metres"], name="metres"),
            helper.make_node("Concat", ["sixd", "metres"], ["rows"], name="rows", axis=1),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])
        output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", 12])
        model = helper.make_model(
            helper.make_graph(nodes, "crop_net", [image], [output], tensors),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        card = model_card(name="crop_net", estimator="crop_net", spec={"columns": CROP_COLUMNS, "crop_m": 0.28})
        onnx.helper.set_model_props(model, {"hpe_model_card": json.dumps(card)})
        path = tmp_path / "crop_net.onnx"
        onnx.save(model, path)
        return path

    return write


@pytest.fixture
def write_fixed_crops():
    """write_fixed_crops(path, calibration, **values) -> path of an ONNX that says the same row about every crop.

    values: of the columns that it has, one after another; by default a head that faces the crop, and nothing more.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(path, calibration=None, **values):
        values = {"sixd": [1, 0, 0, 0, 1, 0]} | values
        ends = np.cumsum([np.size(value) for value in values.values()]).tolist()
        columns = {name: [first, end] for name, first, end in zip(values, [0, *ends], ends, strict=False)}
        row = np.concatenate([np.ravel(value) for value in values.values()]).astype(np.float32)
        tensors = {"row": row, "nothing": np.zeros((3, len(row)), np.float32)}
        nodes = [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real"], ["colour"], axes=[1, 2], keepdims=0),
            helper.make_node("MatMul", ["colour", "nothing"], ["zeros"]),
            helper.make_node("Add", ["zeros", "row"], ["rows"]),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 32, 32, 3])
        output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", len(row)])
        model = helper.make_model(
            helper.make_graph(
                nodes, "fixed", [image], [output], [numpy_helper.from_array(v, k) for k, v in tensors.items()]
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        made = {"name": path.stem, "estimator": "crop6dof", "spec": {"columns": columns, "crop_m": 0.28}}
        made["calibration"] = {"rotation_std_deg": 7.0} if calibration is None else calibration
        onnx.helper.set_model_props(model, {"hpe_model_card": json.dumps(made)})
        path.parent.mkdir(exist_ok=True)
        onnx.save(model, path)
        path.with_suffix(".json").write_text(json.dumps(made))
        return path

    return write


@pytest.fixture
def weights_with_whenet(tmp_path, monkeypatch, write_fixed_crops):
    """A copy of the shipped weights, taken for the shipped ones; the only method for comparison there is `whenet`, a
    network that says that every head faces the crop.
    """
    folder = tmp_path / "weights"
    shutil.copytree(catalogue.WEIGHTS, folder, ignore=shutil.ignore_patterns(catalogue.ZOO))
    monkeypatch.setattr(catalogue, "WEIGHTS", folder)
    write_fixed_crops(folder / catalogue.ZOO / "whenet.onnx")
    (folder / catalogue.SUMS).write_text(json.dumps(catalogue.actual_sums()))
    return folder


@pytest.fixture
def entry_point(tmp_path, monkeypatch):
    """A function (group, "name = module:function") that puts a package with this entry point first on the path; its
    folder is returned."""

    def install(group, line):
        folder = tmp_path / "installed"
        metadata = folder / "installed-1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{line}\n")
        monkeypatch.syspath_prepend(folder)
        return folder

    return install


@pytest.fixture(scope="session")
def dense_net(tmp_path_factory):
    """dense_net(identity, expressions, gaze_rad) -> path: a dense network with the pose of the shipped crop6dof that
    says the same identity (40,), named expressions and gaze (4,) of every face. A method is `head6dof+PATH`.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    from hpe_core import catalogue
    from hpe_core.mesh.head_model import shipped

    def write(identity=None, expressions=None, gaze_rad=None):
        names, base = shipped().expression_names, onnx.load(catalogue.path_of("crop6dof"))
        kept, of_shape = [*range(17), *range(221, 289)], np.zeros(40 + 53 + 4 * (gaze_rad is not None))
        of_shape[:40] = 0.0 if identity is None else identity
        for name, weight in (expressions or {}).items():
            of_shape[40 + names.index(name)] = weight
        of_shape[93:] = [] if gaze_rad is None else gaze_rad
        width = len(kept) + len(of_shape)
        taken = np.zeros((289, width), np.float32)
        taken[kept, range(len(kept))] = 1.0
        said = np.concatenate([np.zeros(len(kept)), of_shape]).astype(np.float32)
        graph = base.graph
        last = next(node for node in graph.node if "rows" in node.output)
        last.output[0] = "rows_of_crop6dof"
        graph.initializer.extend([numpy_helper.from_array(taken, "taken"), numpy_helper.from_array(said, "said")])
        graph.node.append(helper.make_node("MatMul", ["rows_of_crop6dof", "taken"], ["kept"]))
        graph.node.append(helper.make_node("Add", ["kept", "said"], ["rows"]))
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", width]))
        card = json.loads(next(entry.value for entry in base.metadata_props if entry.key == "hpe_model_card"))
        columns = {name: span for name, span in card["spec"]["columns"].items() if span[1] <= 17}
        columns |= {"visibility": [17, 85], "identity": [85, 125], "expression": [125, 178]}
        card["spec"]["columns"] = columns | ({} if gaze_rad is None else {"gaze": [178, 182]})
        card |= {"name": "dense", "estimator": "dense"}
        onnx.helper.set_model_props(base, {"hpe_model_card": json.dumps(card)})
        path = tmp_path_factory.mktemp("dense") / "dense.onnx"
        onnx.save(base, path)
        return path

    return write
