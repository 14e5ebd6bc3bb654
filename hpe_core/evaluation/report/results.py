"""results.json, frames.csv and JUnit XML: the same bytes for the same input."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import hpe_core
from hpe_core.evaluation.report.thresholds import Check
from hpe_core.io.json_file import json_values
from hpe_core.io.text import csv_text

SCHEMA_VERSION = "1.0"
FORBIDDEN_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DIGITS = 9  # significant; hides the last bits, in which machines may differ


def with_schema(schema: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Content of results.json with what says how to read it."""
    head = {"schema": schema, "schema_version": SCHEMA_VERSION, "hpe_version": hpe_core.__version__}
    return head | dict(values)


def results_json(values: Mapping[str, Any]) -> str:
    """Text of results.json: sorted keys, rounded numbers, null for what is not finite."""
    return json.dumps(json_values(dict(values), digits=DIGITS), indent=1, sort_keys=True, allow_nan=False) + "\n"


FORMATS = {"distance_m": "%.4f", "face_size_px": "%.2f"}


def write_frames_csv(path: Path, rows_by_estimate: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """frames.csv: rows (dict column -> array) of every estimate, in stamp order; empty where there is no number."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        first = True
        for label, rows in rows_by_estimate.items():
            if first:
                file.write(",".join(["estimate", *rows]) + "\n")
                first = False
            columns = [_texts(name, values) for name, values in rows.items()]
            name = _quoted(label)
            file.writelines(f"{name},{','.join(row)}\n" for row in zip(*columns, strict=True))


def _texts(name: str, values: np.ndarray) -> list[str]:
    if values.dtype.kind == "i":
        return ["" if name == "frame" and v < 0 else str(v) for v in values.tolist()]
    if values.dtype.kind == "U":
        return [_quoted(v) for v in values.tolist()]
    form = FORMATS.get(name, "%.3f")
    return ["" if v != v else form % v for v in values.tolist()]


def _quoted(text: str) -> str:
    text = csv_text(text)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _xml(text: str) -> str:
    """The text with a mark in the place of each character that XML 1.0 forbids, as control characters."""
    return FORBIDDEN_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def write_junit(path: Path, checks: Sequence[Check], suite: str) -> None:
    """JUnit XML with one test case per Check, and one that says the evaluation itself came to its end."""
    failed = [check for check in checks if not check.passed]
    root = ElementTree.Element("testsuites")
    node = ElementTree.SubElement(
        root, "testsuite", name=suite, tests=str(len(checks) + 1), failures=str(len(failed)), errors="0", time="0"
    )
    ElementTree.SubElement(node, "testcase", classname=suite, name="evaluation", time="0")
    for check in checks:
        name = _xml(f"{check.metric} {check.bound} {check.limit:g}")
        classname = _xml(f"{suite}.{check.estimate}")
        case = ElementTree.SubElement(node, "testcase", classname=classname, name=name, time="0")
        if not check.passed:
            ElementTree.SubElement(case, "failure", message=_xml(check.text))
    ElementTree.indent(root)
    Path(path).write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
