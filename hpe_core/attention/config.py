"""Settings of the decision."""

from dataclasses import dataclass

from hpe_core.config import Checked, option
from hpe_core.errors import HpeError


@dataclass(frozen=True)
class AttentionConfig(Checked):
    """When somebody looks at a target. All times are differences of message stamps.

    Raises HpeError when the exit angle is smaller than the enter angle.
    """

    enter_deg: float = option(
        15.0, "looking starts when the head points closer than this to the target", 0.5, 90.0, at_run_time=True
    )
    exit_deg: float = option(
        20.0, "looking goes on while the head points closer than this", 0.5, 90.0, at_run_time=True
    )
    min_probability: float = option(
        0.5, "probability that the angle is so small, needed to count as such", 0.05, 0.99, at_run_time=True
    )
    start_dwell_s: float = option(
        0.3, "so long without interruption until looking has started, seconds", 0.0, 60.0, at_run_time=True
    )
    stop_dwell_s: float = option(
        0.3, "so long without interruption until looking has stopped, seconds", 0.0, 60.0, at_run_time=True
    )
    stale_s: float = option(0.5, "unknown after so long without a usable pose, seconds", 0.01, 60.0, at_run_time=True)
    min_face_px: float = option(
        48.0, "a face whose box is narrower than this is too small to tell", 0.0, 1000.0, at_run_time=True
    )
    max_std_deg: float = option(
        12.0, "a direction less certain than this (1 sigma) is too uncertain", 0.1, 90.0, at_run_time=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exit_deg < self.enter_deg:
            raise HpeError(f"exit_deg must not be below enter_deg, got {self.exit_deg:g} and {self.enter_deg:g}")
