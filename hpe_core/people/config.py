"""Settings of people."""

from dataclasses import dataclass

from hpe_core.config import Checked, option


@dataclass(frozen=True)
class PeopleConfig(Checked):
    """When heads of several cameras are one person. All times are differences of message stamps."""

    gap_s: float = option(
        3.0, "a person whom no camera sees keeps the id for so long, seconds", 0.0, 60.0, at_run_time=True
    )
    max_age_s: float = option(
        0.5,
        "a head counts for so long after the last message of its camera, seconds; more than the cameras' period",
        0.01,
        10.0,
        at_run_time=True,
    )
    regroup_s: float = option(
        0.5,
        "faces that keep fitting one person join, and faces that do not fit theirs leave, after so long, seconds",
        0.0,
        60.0,
        at_run_time=True,
    )
    extrinsics_std_m: float = option(
        0.01, "uncertainty (1 sigma) of each camera's place in the fixed frame, metres", 0.0, 1.0, at_run_time=True
    )
    extrinsics_std_deg: float = option(
        0.5, "uncertainty (1 sigma) of each camera's orientation, degrees", 0.0, 45.0, at_run_time=True
    )
    id_seed: int = option(
        0, "person ids come in the same order with the same seed; 0: other ones at every start", 0, 1 << 31
    )
