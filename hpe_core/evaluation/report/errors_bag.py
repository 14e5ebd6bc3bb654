"""errors.mcap: errors over time as topics, to be laid over the original bag in Foxglove or PlotJuggler."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.evaluation.streams.bag_evaluation import BagResult
from hpe_core.evaluation.streams.rows import Rows
from hpe_core.io.bags import typestore

FLOAT, VECTOR = "std_msgs/msg/Float64", "geometry_msgs/msg/Vector3Stamped"
SCALARS = ("geodesic_deg", "translation_error_mm", "add_mm", "aligned_geodesic_deg")
EULER = ("roll_error_deg", "pitch_error_deg", "yaw_error_deg")
Entry = tuple[int, str, Sequence[float]]  # stamp_ns, topic, one number or three


def write_errors_bag(path: Path, results: Sequence[BagResult]) -> None:
    """Write one MCAP file with the errors of every BagResult; log time and header stamp are the frame's.

    Per estimate (and head, where there are several): <name>/geodesic_deg, translation_error_mm, add_mm,
    aligned_geodesic_deg (Float64), euler_error_deg (Vector3Stamped: x roll, y pitch, z yaw), missed (Float64 1/0).
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    entries: list[Entry] = []
    for result in results:
        start = [result.name] if len(results) > 1 else []
        for label, one in result.evaluated.items():
            if result.truth is not None:
                entries += _entries([*start, label], one.rows)
    entries.sort(key=lambda entry: (entry[0], entry[1]))
    store, connections = typestore(), {}
    with tempfile.TemporaryDirectory(prefix=".hpe_", dir=path.parent) as parent:
        writer = Writer(Path(parent) / path.stem, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            for stamp_ns, topic, values in entries:
                kind, message = _message(store.types, stamp_ns, values)
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], max(0, stamp_ns), store.serialize_cdr(message, kind))
        next(writer.path.glob("*.mcap")).rename(path)


def _entries(name: Sequence[str], rows: Rows) -> list[Entry]:
    """List of (stamp, topic, numbers) of one estimate, head by head."""
    out: list[Entry] = []
    heads = np.isin(rows["status"], ("matched", "missed"))
    for track in np.unique(rows["ground_truth_id"][heads]).tolist():
        mine = np.flatnonzero((rows["ground_truth_id"] == track) & heads)
        topic = "/evaluation/" + "/".join(_topic_part(part) for part in [*name, track] if part)
        columns = {column: rows[column][mine] for column in (*SCALARS, *EULER)}
        stamps, matched = rows["stamp_ns"][mine].tolist(), rows["status"][mine] == "matched"
        out += [(stamp, f"{topic}/missed", (float(not found),)) for stamp, found in zip(stamps, matched, strict=True)]
        for column in SCALARS:
            values = columns[column].tolist()
            out += [(s, f"{topic}/{column}", (v,)) for s, v in zip(stamps, values, strict=True) if v == v]
        turns = np.stack([columns[column] for column in EULER], -1)[matched].tolist()
        stamps = rows["stamp_ns"][mine][matched].tolist()
        out += [(s, f"{topic}/euler_error_deg", v) for s, v in zip(stamps, turns, strict=True)]
    return out


def _message(types: Any, stamp_ns: int, values: Sequence[float]) -> tuple[str, Any]:
    """Type name and message of one or three numbers."""
    if len(values) == 1:
        return FLOAT, types[FLOAT](values[0])
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    vector = types["geometry_msgs/msg/Vector3"](*values)
    return VECTOR, types[VECTOR](types["std_msgs/msg/Header"](stamp, ""), vector)


def _topic_part(text: str) -> str:
    """A valid name in a topic: letters, digits, underscores, not starting with a digit."""
    text = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "estimate"
    return f"_{text}" if text[0].isdigit() else text
