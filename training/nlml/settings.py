"""Settings of the NLML tools, read from config/nlml/*.yaml; unknown keys and wrong values are errors."""

from dataclasses import dataclass, field

import numpy as np

from hpe_core.config import Checked, option, overridden
from hpe_core.errors import HpeError
from hpe_core.nlml.angles import ORDERS

SOURCES = ("heads", "renders", "folder")


@dataclass(frozen=True)
class TensorSettings(Checked):
    """The tensor identities x yaw x pitch x roll x landmarks and where its landmarks come from."""

    source: str = option("heads", "exact heads, crop network on renders, or on a folder of images", choices=SOURCES)
    identities: int = option(240, "number of people (heads, renders)", 2, 100000)
    seed: int = option(1, "seed of people and cameras", 0, 2**31)
    yaw: str = option("-90:90:15", "grid of yaw, degrees, first:last:step")
    pitch: str = option("-60:60:15", "grid of pitch, degrees")
    roll: str = option("-60:60:15", "grid of roll, degrees")
    order: str = option("yaw_first", "order of the three turns", choices=tuple(ORDERS))
    near_m: float = option(0.4, "nearest distance of a camera, one per person", 0.15, 100.0)
    far_m: float = option(3.0, "farthest distance of a camera", 0.15, 1000.0)
    expressive: float = option(0.6, "share of people who are not neutral (heads)", 0.0, 1.0)
    cells: float = option(1.0, "share of cells that is measured, the rest is missing (renders)", 0.001, 1.0)
    detector: str = option("", "crop network (.onnx) that measures landmarks (renders, folder)")
    folder: str = option("", "folder of one folder per identity with images ..._(yaw_pitch_roll).jpg (folder)")


@dataclass(frozen=True)
class FitSettings(Checked):
    """Decomposition, basis and noise."""

    basis: str = option("so3", "functions of the rotation", choices=("so3", "fourier", "cosine"))
    degree: int = option(2, "degree of the harmonics on SO(3), or order of the Fourier series", 1, 3)
    identity_rank: int = option(24, "identity directions; 0 chooses by energy", 0, 200)
    identity_energy: float = option(0.985, "share of the identities' energy that is kept", 0.1, 1.0)
    pose_rank: int = option(0, "rank of yaw, pitch and roll each (curves); 0 chooses by energy", 0, 40)
    pose_energy: float = option(0.99999, "share of energy kept per pose mode (curves)", 0.1, 1.0)
    feature_energy: float = option(0.99998, "share of energy kept by the projected features", 0.1, 1.0)
    normalisation: str = option(
        "free", "size and place solved for, or nose and eyes as in the paper", choices=("free", "original")
    )
    mean_identity: bool = option(True, "subtract the mean identity before the identity mode is decomposed")
    refit: bool = option(True, "fit the core again once the curves are known (curves)")
    noise_xy_m: float = option(0.0020, "detector noise across the line of sight, metres (1 sigma)", 1e-6, 0.1)
    noise_z_m: float = option(0.0035, "detector noise along the line of sight", 1e-6, 0.1)
    hidden_noise: float = option(2.0, "factor on the noise of hidden landmarks", 1.0, 100.0)
    log_scale_std: float = option(0.1, "prior of ln(size of the head)", 1e-3, 2.0)
    memory_gb: float = option(0.05, "tensors are read in pieces of identities of this size", 0.001, 1000.0)
    rounds: int = option(30, "most rounds that fill missing cells", 1, 1000)


@dataclass(frozen=True)
class TrainSettings(Checked):
    """The feed-forward network."""

    hidden: int = option(256, "width of the encoder's first layer; it halves from there", 16, 2048)
    heads: int = option(64, "width of each angle's head", 8, 512)
    epochs: int = option(40, "epochs", 1, 100000)
    samples: int = option(100000, "random faces per epoch", 64, 10**8)
    batch: int = option(512, "faces per step", 8, 65536)
    lr: float = option(2e-3, "peak learning rate", 1e-6, 1.0)
    seed: int = option(0, "seed", 0, 2**31)


@dataclass(frozen=True)
class Settings:
    """One YAML file."""

    tensor: TensorSettings = field(default_factory=TensorSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


def load(path=None, **groups):
    """Settings from a YAML file (None: the defaults) with dicts per group over it. Raises HpeError."""
    settings = Settings()
    if path:
        from hpe_core.io.yaml_file import load_mapping

        try:
            settings = overridden(settings, load_mapping(path, "config file"))
        except HpeError as error:
            raise HpeError(f"config file {path}: {error}") from error
    return overridden(settings, {name: values for name, values in groups.items() if values})


def grid_deg(text, name):
    """Angles (n,) in degrees from "first:last:step", at least three, rising, within +-180; else raises HpeError."""
    try:
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise HpeError(f"{name} must be first:last:step in degrees, got '{text}'") from None
    if not (np.isfinite([first, last, step]).all() and step >= 0.1 and -180 <= first < last <= 180):
        raise HpeError(f"{name} must rise from first to last within +-180 with a step of at least 0.1, got '{text}'")
    count = int(np.floor((last - first) / step + 1e-6)) + 1
    if count < 3:
        raise HpeError(f"{name} needs at least three angles, got {count} from '{text}'")
    return first + step * np.arange(count)
