"""Frozen configuration, checked once. YAML and ROS parameters only override it; unknown keys are errors."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from hpe_core.catalogue import AUTO, AUTO_TEXT
from hpe_core.errors import HpeError
from hpe_core.face_id import SLOTS

DETECTOR_SIZES = (0, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 960, 1280)

Config = TypeVar("Config", bound=Any)


def option(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    at_run_time: bool = False,
    read_only: bool = False,
) -> Any:
    """A dataclass field with description and bounds, from which ROS parameters and docs are made.

    at_run_time: whether it may change while the model is loaded; read_only: never after the start of a node.
    """
    metadata = {"description": description, "low": low, "high": high, "choices": choices}
    metadata |= {"at_run_time": at_run_time, "read_only": read_only}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Checked:
    """Checks type, range and choices of every field that was made by `option`."""

    def __post_init__(self) -> None:
        for f in fields(self):
            if f.metadata:
                object.__setattr__(self, f.name, _checked_value(f, getattr(self, f.name)))


def _checked_value(f, value):
    expected = type(f.default)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1 << 53 else float("inf")
    if type(value) is not expected:
        raise HpeError(f"{f.name} must be {expected.__name__}, got {type(value).__name__} ({value!r})")
    low, high, choices = f.metadata["low"], f.metadata["high"], f.metadata["choices"]
    if low is not None and not low <= value <= high:
        raise HpeError(f"{f.name} must lie in [{low}, {high}], got {value}")
    if choices is not None and value not in choices:
        raise HpeError(f"{f.name} must be one of {', '.join(map(str, choices))}, got {value!r}")
    return value


@dataclass(frozen=True)
class EstimatorConfig(Checked):
    """The network and its thresholds."""

    model: str = option(
        AUTO,
        f"method or model as `hpe models` lists it; {AUTO_TEXT}; open, open_int8: trained on freely licensed data only",
    )
    backend: str = option("auto", "inference backend; auto takes the first that works")
    threads: int = option(1, "inference threads; one leaves the other cores to the robot, 0 takes all", 0, 256)
    image_rotation: int = option(
        0,
        "turn the image CLOCKWISE by so many degrees to find people upright in it, for cameras mounted turned; poses "
        "and boxes stay those of the image as delivered",
        choices=(0, 90, 180, 270),
    )
    detector_size: int = option(
        0,
        "width in pixels of what full-frame detection sees of an image, 3/4 as high: larger finds smaller faces and "
        "takes longer; 0: as the network has it, 320",
        choices=DETECTOR_SIZES,
    )
    score_threshold: float = option(
        0.45,
        "lowest score of a face in full-frame detection; a crop, where there is one, must confirm it",
        0.01,
        0.99,
        at_run_time=True,
    )
    max_faces: int = option(
        8, "most faces reported in one image; what exceeds them is counted", 1, SLOTS, at_run_time=True
    )
    detection_interval_s: float = option(
        0.2,
        "seconds between full-frame detections while faces are tracked by their crops; 0: always",
        0.0,
        10.0,
        at_run_time=True,
    )
    small_faces_interval_s: float = option(
        1.0,
        "seconds between full-frame detections at full size beside tracked faces (on a CPU); the others are quick "
        "looks at half size, which see faces from about a twentieth of the image's width on; 0: all are at full size",
        0.0,
        10.0,
        at_run_time=True,
    )


@dataclass(frozen=True)
class TrackerConfig(Checked):
    """Ids and filtering; all times are differences of message stamps."""

    new_face_score: float = option(
        0.8, "lowest score of a new face without a crop network", 0.01, 0.99, at_run_time=True
    )
    timeout_s: float = option(
        1.0,
        "a face not seen (where there are crops: not confirmed) for so long loses its id, seconds",
        0.05,
        60.0,
        at_run_time=True,
    )
    id_seed: int = option(
        0, "face ids come in the same order with the same seed; 0: other ones at every start", 0, 2**31 - 1
    )
    filter: bool = option(True, "filter poses over time", at_run_time=True)
    linear_acceleration_std: float = option(
        2.0, "filter: process noise, std of head acceleration, m/s^2", 0.01, 100.0, at_run_time=True
    )
    angular_acceleration_std: float = option(
        15.0, "filter: process noise, std of head angular acceleration, rad/s^2", 0.1, 1000.0, at_run_time=True
    )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything between an image and tracked poses."""

    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)


def repeatable(config: PipelineConfig) -> PipelineConfig:
    """The PipelineConfig with an id_seed, so that the same images give the same face ids again."""
    return config if config.tracker.id_seed else replace(config, tracker=replace(config.tracker, id_seed=1))


def overridden(config: Config, values: dict[str, Any]) -> Config:
    """`config` with the nested dict `values` put over it. Raises HpeError on unknown keys, wrong types, bad ranges."""
    known = {f.name for f in fields(config)}
    for name in values:
        if name not in known:
            raise HpeError(f"unknown setting '{name}', known: {', '.join(sorted(known))}")
    changes = {}
    for name, value in values.items():
        current = getattr(config, name)
        if is_dataclass(current):
            if not isinstance(value, dict):
                raise HpeError(f"{name} must be a group of settings, got {value!r}")
            value = overridden(current, value)
        changes[name] = value
    return replace(config, **changes)
