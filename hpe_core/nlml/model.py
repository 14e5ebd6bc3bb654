"""One NLML model: the folded tensor on a basis of rotations, in one .npz file with its card inside."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.network_card import parsed
from hpe_core.nlml import angles as euler
from hpe_core.nlml.bases import BASES, Basis
from hpe_core.npz_file import read_npz, stored_array

FORMAT = 1
STORED = {"weights": np.float16}  # metres, up to 0.3: off by less than 0.1 mm, a twentieth of the landmarks' noise
NORMALISATIONS = ("free", "original")
_NUMBERS = {
    "weights": (None, None, None),
    "features": (None, None),
    "noise_std": (None,),
    "limits_deg": (3, 2),
    "hidden_noise": (),
    "log_scale_std": (),
    "covariance_scale": (),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """x(z, R) = features @ sum_k basis_k(R) (weights_0k + sum_i z_i weights_ik), identity z ~ N(0, 1) per entry.

    basis: see bases.py; weights: (1 + identities, K, P); features: (3 M, P), orthonormal columns, rows in the order
    x, y, z of each of M landmarks; noise_std: (3 M,) of one seen landmark coordinate; hidden_noise: factor >= 1 on it
    where a landmark is hidden; normalisation: "free" (metres, scale and translation are solved for) or "original" (nose
    at 0, unit distance of the eyes); log_scale_std: prior of ln(size); limits_deg: (3, 2) range of yaw, pitch, roll in
    `order` that the training grid covers; covariance_scale: measured ratio of squared error to predicted variance.
    """

    basis: Basis
    weights: np.ndarray
    features: np.ndarray
    noise_std: np.ndarray
    limits_deg: np.ndarray
    order: str = "yaw_first"
    normalisation: str = "free"
    hidden_noise: float = 3.0
    log_scale_std: float = 0.1
    covariance_scale: float = 1.0
    card: dict = field(default_factory=dict)
    # (K, (1 + identities) 3 M) float32, of each identity the x of all landmarks, then y, z: one product per evaluation
    folded: np.ndarray = field(init=False, repr=False)
    mean_face: np.ndarray = field(init=False, repr=False)  # (M, 3) of the mean identity, frontal

    def __post_init__(self) -> None:
        for name, shape in _NUMBERS.items():
            value = np.array(stored_array({name: getattr(self, name)}, name, shape), float)
            if not np.all(np.isfinite(value)):
                raise HpeError(f"'{name}' of the NLML model is not finite")
            object.__setattr__(self, name, value if shape else float(value))
        euler.check_order(self.order)
        if self.normalisation not in NORMALISATIONS:
            raise HpeError(f"normalisation '{self.normalisation}' is unknown, known: {', '.join(NORMALISATIONS)}")
        rows, directions = self.features.shape
        if rows % 3 or rows < 12:
            raise HpeError(f"an NLML model needs at least 4 landmarks of 3 coordinates, got {rows} rows")
        if self.weights.shape[1:] != (self.basis.size, directions) or len(self.noise_std) != rows:
            raise HpeError(
                f"weights {self.weights.shape}, features {self.features.shape}, noise {self.noise_std.shape} and a "
                f"basis of {self.basis.size} functions do not fit together"
            )
        if np.any(self.noise_std <= 0) or self.hidden_noise < 1 or min(self.log_scale_std, self.covariance_scale) <= 0:
            raise HpeError("noise, log_scale_std and covariance_scale must be positive, hidden_noise at least 1")
        by_axis = self.features.reshape(-1, 3, directions).swapaxes(0, 1).reshape(rows, directions)
        folded = (self.weights.transpose(1, 0, 2) @ by_axis.T).reshape(self.basis.size, -1)
        object.__setattr__(self, "folded", folded.astype(np.float32))
        object.__setattr__(self, "mean_face", self.points(np.eye(3)[None])[0])

    @property
    def landmarks(self) -> int:
        """Number M of landmarks."""
        return len(self.noise_std) // 3

    @property
    def identities(self) -> int:
        """Number of identity directions."""
        return len(self.weights) - 1

    def points(self, R: np.ndarray, identity: np.ndarray | None = None) -> np.ndarray:
        """Landmarks (N, M, 3) of rotations (N, 3, 3) with identities (N, r), the mean identity by default."""
        phi = self.basis.evaluate(self.basis.from_rotation(np.asarray(R, float)))[:, 0]
        parts = np.einsum("nk,ikp->nip", phi, self.weights)
        identity = np.zeros((len(phi), self.identities)) if identity is None else np.asarray(identity, float)
        c = parts[:, 0] + np.einsum("ni,nip->np", identity, parts[:, 1:])
        return (c @ self.features.T).reshape(len(phi), -1, 3)

    def save(self, path: str | Path) -> None:
        """Write the model and, beside it, its card as JSON. Numbers are kept as float32, weights as float16."""
        arrays = {name: np.asarray(getattr(self, name), STORED.get(name, np.float32)) for name in _NUMBERS}
        arrays |= {f"basis_{name}": value for name, value in self.basis.arrays().items()}
        arrays |= {name: np.array(getattr(self, name)) for name in ("order", "normalisation")}
        arrays |= {"format": np.array(FORMAT), "basis": np.array(self.basis.kind)}
        arrays["card"] = np.array(json.dumps(self.card))
        path = Path(path)
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        path.with_suffix(".json").write_text(json.dumps(self.card, indent=1) + "\n")


def load(path: str | Path) -> Model:
    """The Model in a file that `Model.save` wrote. Raises HpeError, in one line, when it is none."""
    catalogue.verify(path, catalogue.sha256_of(catalogue.read(path)))
    arrays = read_npz(path)
    try:
        return _from_arrays(arrays)
    except HpeError as error:
        raise HpeError(f"{path} is not an NLML model: {error}") from error
    except (ValueError, TypeError) as error:
        raise HpeError(f"{path} is not an NLML model: {' '.join(str(error).split())}") from error


def _from_arrays(arrays: dict[str, np.ndarray]) -> Model:
    if int(stored_array(arrays, "format", ())) != FORMAT:
        raise HpeError(f"its format is {arrays['format']}, this version reads {FORMAT}")
    kind = str(stored_array(arrays, "basis", ()))
    if kind not in BASES:
        raise HpeError(f"basis '{kind}' is unknown, known: {', '.join(BASES)}")
    own = {name.removeprefix("basis_"): value for name, value in arrays.items() if name.startswith("basis_")}

    def numbers(name: str) -> np.ndarray:
        return np.array(stored_array(arrays, name, _NUMBERS[name]), float)

    return Model(
        basis=BASES[kind].from_arrays(own),
        weights=numbers("weights"),
        features=numbers("features"),
        noise_std=numbers("noise_std"),
        limits_deg=numbers("limits_deg"),
        hidden_noise=float(numbers("hidden_noise")),
        log_scale_std=float(numbers("log_scale_std")),
        covariance_scale=float(numbers("covariance_scale")),
        order=str(stored_array(arrays, "order", ())),
        normalisation=str(stored_array(arrays, "normalisation", ())),
        card=_card_of(arrays),
    )


def _card_of(arrays: dict[str, np.ndarray]) -> dict:
    card = parsed(str(stored_array(arrays, "card", ())), "its card")
    if not isinstance(card, dict):
        raise HpeError("its card must be a JSON object")
    return card


def shipped() -> Path:
    """Path of the model that comes with the package. Raises HpeError when there is none."""
    path = catalogue.WEIGHTS / "nlml.npz"
    if not path.is_file():
        raise HpeError(f"no NLML model comes with this installation ({path} is missing); name one")
    return path
