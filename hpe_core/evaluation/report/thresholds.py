"""Bounds that results must keep, from a YAML file, for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError
from hpe_core.io.yaml_file import load_mapping

BOUNDS = ("min", "max")
MOST = 1e300
Threshold = tuple[str, str, str, float]  # pattern of estimates, metric, bound, limit


@dataclass(frozen=True, kw_only=True)
class Check:
    """One bound on one number of one estimate; value None: the number was not measured, which fails."""

    estimate: str
    metric: str
    bound: str
    limit: float
    value: float | None

    @property
    def passed(self) -> bool:
        """Whether the value keeps the bound."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.bound == "min" else self.value <= self.limit

    @property
    def text(self) -> str:
        """The check in words."""
        value = "not measured" if self.value is None else f"{self.value:.6g}"
        return f"{self.estimate}: {self.metric} = {value}, allowed {self.bound} {self.limit:g}"


def load_thresholds(path: str | Path) -> list[Threshold]:
    """Thresholds of a YAML file: `metric: {max: 5.0}`, or such mappings under the
    name (or a pattern such as *) of an estimate, under `estimates`."""
    values = load_mapping(path, "thresholds file")
    groups = values.pop("estimates", {})
    if not isinstance(groups, dict):
        raise HpeError(f"thresholds file {path}: estimates must be a mapping of names to metrics")
    found = []
    for pattern, metrics in [("*", values), *groups.items()]:
        if not isinstance(metrics, dict):
            raise HpeError(f"thresholds file {path}: {pattern} must be a mapping of metrics, got {metrics!r}")
        for metric, bounds in metrics.items():
            if not isinstance(bounds, dict) or not bounds or not set(bounds) <= set(BOUNDS):
                raise HpeError(f"thresholds file {path}: {metric} must have min or max, got {bounds!r}")
            for bound, limit in bounds.items():
                if isinstance(limit, bool) or not isinstance(limit, int | float) or not abs(limit) < MOST:
                    raise HpeError(f"thresholds file {path}: {metric} {bound} must be a number, got {limit!r}")
                found.append((str(pattern), str(metric), bound, float(limit)))
    if not found:  # a check of nothing would pass
        raise HpeError(f"thresholds file {path} holds no bound")
    return found


def check(thresholds: Sequence[Threshold], estimates: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """List of Check of thresholds against estimates (dict label -> summary). Raises HpeError on an unknown metric or
    on a name that no estimate has."""
    checks: list[Check] = []
    for pattern, metric, bound, limit in thresholds:
        labels = [label for label in estimates if fnmatchcase(label, pattern)]
        if not labels:
            raise HpeError(f"thresholds name the estimate '{pattern}', known: {', '.join(estimates)}")
        for label in labels:
            value = _number(estimates[label], metric)
            checks.append(Check(estimate=label, metric=metric, bound=bound, limit=limit, value=value))
    return checks


def _number(summary: Mapping[str, Any], metric: str) -> float | None:
    """The number at a dotted path; None when a part on the way was not measured."""
    value: Any = summary
    done: list[str] = []
    for key in metric.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or key not in value:
            known = ", ".join(sorted(value)) if isinstance(value, dict) else "nothing below it"
            raise HpeError(f"threshold on unknown metric '{metric}': '{'.'.join(done) or 'the estimate'}' has {known}")
        value = value[key]
        done.append(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise HpeError(f"threshold on '{metric}', which is no number")
    return value
