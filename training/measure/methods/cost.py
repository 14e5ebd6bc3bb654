"""What a network costs: parameters, megabytes, processor time as it is and as INT8, and whether an engine builds."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from hpe_core import backends
from hpe_core.backends.tensorrt import builder, make, network_file
from hpe_core.backends.tensorrt.onnx_graph import with_initializers
from hpe_core.errors import HpeError
from hpe_core.geometry.so3 import geodesic_angle, matrix_from_sixd
from hpe_core.inference import Backend
from training.deploy import int8

LARGE = 5_000_000  # parameters; such networks see fewer faces here and are not quantised
ROUNDS, ROUNDS_LARGE, WARM_UP = 60, 12, 3
RANGES_FROM = 32  # crops
BATCH = 16
CAPABILITY = "8.6"  # that engines are built for; no GPU is needed


@dataclass(frozen=True)
class Cost:
    """ms: processor time of one crop on one thread; int8_ms None: int8_note says why. int8_change_deg: median. engine:
    "yes", "no: ..." or "skipped: ..."."""

    parameters: int
    mb: float
    ms: float
    int8_ms: float | None
    int8_change_deg: float | None
    int8_note: str
    engine: str


def parameters_of(path: str | Path) -> int:
    """Weights of an exported network: fused, without the statistics of batch norms."""
    weights = with_initializers(onnx.load(path)).graph.initializer
    return sum(int(np.prod(tensor.dims)) for tensor in weights if tensor.data_type == TensorProto.FLOAT)


def cost_of(path: Path, crops: np.ndarray, folder: Path, parameters: int) -> Cost:
    """Cost of a network on crops (N, S, S, 3), those that it is measured on; its INT8 form is written into `folder`."""
    network = backends.create("onnxruntime", path, threads=1)
    quantised, note = _quantised(path, crops[:: max(1, len(crops) // RANGES_FROM)], folder, parameters)
    both = [network] + ([backends.create("onnxruntime", quantised, threads=1)] if quantised else [])
    times = processor_ms(both, crops[:1], ROUNDS_LARGE if parameters > LARGE else ROUNDS)
    change = None
    if quantised:
        before, after = (rotations(one, crops[: 2 * RANGES_FROM]) for one in both)
        change = float(np.degrees(np.nanmedian(geodesic_angle(before, after))))
    int8_ms = times[1] if quantised else None
    return Cost(parameters, path.stat().st_size / 1e6, times[0], int8_ms, change, note, engine(path))


def processor_ms(networks: Sequence[Backend], crop: np.ndarray, rounds: int) -> list[float]:
    """Median processor time in ms of each network on one input, taken in turn; other work on the machine counts not."""
    times = np.empty((rounds + WARM_UP, len(networks)))
    for row in times:
        for i, network in enumerate(networks):
            start = time.process_time()
            network.run(crop)
            row[i] = 1e3 * (time.process_time() - start)
    return np.median(times[WARM_UP:], 0).tolist()


def rotations(network: Backend, crops: np.ndarray) -> np.ndarray:
    """R_local (N, 3, 3) of crops (N, S, S, 3); NaN where a network refuses an answer by a row of zeros."""
    first, end = network.card.columns["sixd"]
    rows = [network.run(crops[i : i + BATCH])[:, first:end] for i in range(0, len(crops), BATCH)]
    sixd = np.concatenate(rows)
    R, known = np.full((len(sixd), 3, 3), np.nan), np.any(sixd != 0, axis=-1)
    R[known] = matrix_from_sixd(sixd[known])
    return R


def _quantised(path: Path, crops: np.ndarray, folder: Path, parameters: int) -> tuple[Path | None, str]:
    """The INT8 form of a network, the one beside it or a new one in `folder`; or None and why there is none."""
    beside = path.with_name(f"{path.stem}_int8.onnx")
    if beside.is_file():
        return beside, ""
    if parameters > LARGE:
        return None, f"above {LARGE // 1_000_000} M parameters: not quantised here"
    out = folder / beside.name
    try:
        int8.quantise(path, [crop[None] for crop in crops], out)
        backends.create("onnxruntime", out, threads=1).run(crops[:1])
    except Exception as error:  # the quantiser and the rounding let errors of numpy, onnx and protobuf through
        return None, f"{type(error).__name__}: {_short(error)}"
    return out, ""


def engine(path: Path) -> str:
    """Whether TensorRT for RTX builds an engine of a network, ahead for CAPABILITY."""
    if builder.installed() != make.RTX:
        return "skipped: tensorrt_rtx is not installed"
    trt = builder.load()
    network = network_file.read(path)
    try:
        make.build(trt, network, make.key_for(trt, network, capability=CAPABILITY), True, None)
    except HpeError as error:
        return f"no: {_short(error)}"
    return "yes"


def _short(error: Exception) -> str:
    """The beginning of an error's text, without folders, for a cell of a table."""
    return re.sub(r"\S*/", "", " ".join(str(error).split()))[:80]
