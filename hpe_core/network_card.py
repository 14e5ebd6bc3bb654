"""What kind of network is this? The card in a model file and the shapes of its input and output, checked once."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from hpe_core.errors import HpeError

CARD_KEY = "hpe_model_card"  # of the metadata of an ONNX file
WHOLE_IMAGE, CROP = "whole image", "crop"
PRECISIONS = ("fp32", "int8")
MOST_COLUMNS, MOST_PIXELS = 10_000, 4096
FREE_SIDES = ("height", "width")  # what a whole-image network names its sides where it leaves them free
STEP_PX = 32  # such sides are multiples of it: the stride of the coarsest map
CROP_M = (0.05, 2.0)  # a face and what is around it, metres
FACTOR = (1e-3, 1e3)  # of a calibration
CALIBRATION_RANGES = {"correlation": (0.0, 0.999), "rotation_std_deg": (0.1, 180.0)}  # the others are factors


@dataclass(frozen=True)
class Calibration:
    """Factors on the standard deviations that a network predicts, and the correlation of its rotation errors with those
    of the whole-image network. rotation_std_deg: per axis, of a network that predicts none. own_centre_std: what it
    says itself of the centres of faces, against what crop6dof says there; limits that confirm a face grow with it.
    """

    rotation_std: float = 1.0
    centre_std: float = 1.0
    size_std: float = 1.0
    correlation: float = 0.0
    rotation_std_deg: float | None = None
    own_centre_std: float = 1.0


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """One network. kind: WHOLE_IMAGE or CROP; estimator: module of hpe_core.networks that decodes its rows; quantised:
    INT8.

    columns: name -> (first, end) of a row; row: how many columns a row has; crop_m: metres that a crop shows, None for
    whole images; input_shape: (1, H, W, 3), or with a name in the place of the 1 where any number of images goes, and
    the sides that were chosen where the file leaves them free (free_sides); raw: the card as it stands in the file.
    """

    name: str
    kind: str
    estimator: str
    columns: Mapping[str, tuple[int, int]]
    row: int
    crop_m: float | None
    calibration: Calibration
    quantised: bool
    input_shape: tuple[int | str, int, int, int]
    free_sides: bool
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def shown_m(self) -> float:
        """crop_m of a network for crops."""
        if self.crop_m is None:
            raise HpeError(f"{self.name} takes {self.kind}s, not crops")
        return self.crop_m

    @property
    def free_batch(self) -> bool:
        """Whether one call takes any number of images."""
        return isinstance(self.input_shape[0], str)


def kind_of(card: dict[str, Any]) -> str:
    """WHOLE_IMAGE or CROP, of the JSON object of a card: those of crops say how much they show."""
    spec = card.get("spec")
    return CROP if isinstance(spec, dict) and "crop_m" in spec else WHOLE_IMAGE


def parsed(text: str, where: str) -> Any:
    """The JSON value in a text from outside. `where` names it in the HpeError."""
    try:
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise HpeError(f"{where} holds text that is not Unicode") from error
    except RecursionError as error:
        raise HpeError(f"{where} is nested too deeply") from error
    except ValueError as error:
        raise HpeError(f"{where} is not JSON: {error}") from error
    return values


def sides_of(width: int) -> tuple[int, int]:
    """(height, width) px of a canvas so wide: 4:3, as most cameras see, in whole steps of STEP_PX."""
    return -(-3 * width // (4 * STEP_PX)) * STEP_PX, width


def card_of(values: Any, input_shape: Any, where: str, width: int = 0) -> NetworkCard:
    """The NetworkCard of a card (the JSON value in the file of a model) and the shape of the network's input.

    width: of the canvas, where FREE_SIDES stand in the shape; 0 takes the sides in the card's config.
    Raises HpeError with `where` it stands, what is wrong, and what is allowed.
    """
    try:
        return _checked(values, input_shape, width)
    except HpeError as error:
        raise HpeError(f"{where}: {error}") from error


def _checked(values, input_shape, width):
    card = _group(values, "the card")
    name, estimator = _text(card, "name"), _text(card, "estimator")
    spec = _group(card.get("spec"), "spec")
    columns = _columns(_group(spec.get("columns"), "spec.columns"))
    kind = kind_of(card)
    crop_m = _number(spec["crop_m"], "spec.crop_m", *CROP_M) if kind == CROP else None
    calibration = _calibration(_group(card.get("calibration", {}), "calibration"))
    precision = card.get("precision", "fp32")
    if precision not in PRECISIONS:
        raise HpeError(f"precision must be one of {', '.join(PRECISIONS)}, got {_shown(precision)}")
    free_sides = isinstance(input_shape, list | tuple) and kind == WHOLE_IMAGE and tuple(input_shape[1:3]) == FREE_SIDES
    shape = _input_shape(_with_sides(input_shape, card, width) if free_sides else input_shape, kind)
    if width not in (0, shape[2]):
        raise HpeError(f"the input is {shape[2]} pixels wide and nothing else, got detector_size {width}")
    row = max(end for _, end in columns.values())
    return NetworkCard(
        name=name,
        kind=kind,
        estimator=estimator,
        columns=columns,
        row=row,
        crop_m=crop_m,
        calibration=calibration,
        quantised=precision == "int8",
        input_shape=shape,
        free_sides=free_sides,
        raw=values,
    )


def _columns(spans):
    """Mapping of name -> (first, end), none upon another."""
    found = {}
    for name, span in spans.items():
        if not isinstance(span, list | tuple) or len(span) != 2 or not all(type(value) is int for value in span):
            raise HpeError(f"column '{_shown(name)}' must be [first, end] in whole numbers, got {_shown(span)}")
        if not 0 <= span[0] < span[1] <= MOST_COLUMNS:
            raise HpeError(f"column '{_shown(name)}' must lie in [0, {MOST_COLUMNS}] with first < end, got {span}")
        found[name] = tuple(span)
    if not found:
        raise HpeError("spec.columns names no column")
    ordered = sorted(found.items(), key=lambda item: item[1])
    for (one, (_, end)), (other, (first, _)) in itertools.pairwise(ordered):
        if first < end:
            raise HpeError(f"columns '{_shown(one)}' and '{_shown(other)}' overlap")
    return MappingProxyType(found)


def _calibration(values):
    known = {f.name for f in fields(Calibration)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise HpeError(f"calibration has an unknown '{_shown(unknown[0])}', known: {', '.join(sorted(known))}")
    ranges = {name: CALIBRATION_RANGES.get(name, FACTOR) for name in values}
    return Calibration(**{name: _number(value, f"calibration.{name}", *ranges[name]) for name, value in values.items()})


def _with_sides(found, card, width):
    """The shape with the sides of a canvas so wide in the place of FREE_SIDES."""
    config = _group(card.get("config"), "config, which says the sides of a free input,")
    height, own = (int(_number(config.get(side), f"config.{side}", STEP_PX, MOST_PIXELS)) for side in FREE_SIDES)
    sides = (height, own) if width in (0, own) else sides_of(width)
    if any(side % STEP_PX for side in sides):
        raise HpeError(f"the sides of the input must be multiples of {STEP_PX}, got {sides[1]}x{sides[0]}")
    return [found[0], *sides, *found[3:]]


def _input_shape(found, kind):
    """The shape as a tuple, when it is that of images: uint8 BGR, one or any number."""
    shape: Any = tuple(found) if isinstance(found, list | tuple) else (found,)
    batch_fits = len(shape) == 4 and ((type(shape[0]) is int and shape[0] == 1) or isinstance(shape[0], str))
    sides_fit = batch_fits and all(type(side) is int and 2 <= side <= MOST_PIXELS for side in shape[1:3])
    if not sides_fit or type(shape[3]) is not int or shape[3] != 3:
        raise HpeError(
            f"the network's input must be images (1 or a name, height, width, 3) of 2 to {MOST_PIXELS} pixels a side, "
            f"got {_shown(list(shape))}"
        )
    if kind == CROP and (shape[0] == 1 or shape[1] != shape[2]):
        raise HpeError(f"crops must be square and of any number (a name, side, side, 3), got {_shown(list(shape))}")
    return shape


def _group(values, what):
    if not isinstance(values, dict):
        raise HpeError(f"{what} must be a JSON object, got {_shown(values)}")
    return values


def _text(card, key):
    value = card.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise HpeError(f"{key} must be a text, got {_shown(value)}")
    return value


def _number(value, what, low, high):
    if type(value) not in (int, float) or not low <= value <= high:  # neither is NaN
        raise HpeError(f"{what} must be a number in [{low:g}, {high:g}], got {_shown(value)}")
    return float(value)


def _shown(value):
    """The value in a message: short, and printable whatever it holds."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return text if text.isprintable() else ascii(text)[1:-1]
