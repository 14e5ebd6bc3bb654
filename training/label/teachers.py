"""Teachers: two face detectors and four head pose networks whose consensus labels photographs.

Frames. Camera: x right, y down, z forward. Head: x to the subject's left, y down, z backwards; R = identity for a face
that looks into the camera. `R` is always R_local, the rotation of the head in the camera of the face crop.
Images are BGR uint8; pixel centres lie at integers.

Weights (sources and licences in the data README): YuNet, RFB-320, 3DDFA_V2 mb05, Lightweight b66, FSA-Net (two), OpNet.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.so3 import geodesic_angle, project_to_rotation
from training.label.opnet import OpNet

F_3DDFA = np.diag([1.0, -1.0, -1.0])  # 3DDFA's x right, y up, z to the viewer <-> camera frame


# --- rotations ---------------------------------------------------------------------------------------------------


def rotation_from_aflw2000(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Degrees, each (N,) -> R (N, 3, 3)."""
    return aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=pitch, roll=roll))


def geodesic_deg(R_a: np.ndarray, R_b: np.ndarray) -> np.ndarray:
    """Angle (...,) between rotations (..., 3, 3), degrees."""
    return np.degrees(geodesic_angle(R_a, R_b))


def rotation_mean(R: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted chordal mean. R (..., K, 3, 3), weight (..., K) -> (..., 3, 3)."""
    return project_to_rotation((weight[..., None, None] * R).sum(-3))


def robust_rotation_mean(R: np.ndarray, weight: np.ndarray, knee_deg: float = 3.0, iterations: int = 12) -> np.ndarray:
    """Huber mean by reweighting: members farther than `knee_deg` pull with constant force, as in a geodesic median.
    R (..., K, 3, 3), weight (..., K) -> (..., 3, 3)."""
    mean = rotation_mean(R, weight)
    for _ in range(iterations):
        distance = geodesic_deg(R, mean[..., None, :, :])
        mean = rotation_mean(R, weight * knee_deg / np.maximum(distance, knee_deg))
    return mean


# --- crops -------------------------------------------------------------------------------------------------------


def crop(image: np.ndarray, centre: np.ndarray, side: float, n: int) -> np.ndarray:
    """Square of `side` image pixels about `centre` (2,), resampled to (n, n, 3); outside the image it is black."""
    fine = n * max(1, int(np.ceil(side / n)))
    step = side / fine
    A = np.array([[step, 0, centre[0] + (0.5 - fine / 2) * step], [0, step, centre[1] + (0.5 - fine / 2) * step]])
    out = cv2.warpAffine(image, A, (fine, fine), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return out if fine == n else cv2.resize(out, (n, n), interpolation=cv2.INTER_AREA)


def crops(images: list[np.ndarray], centre: np.ndarray, side: np.ndarray, n: int) -> np.ndarray:
    """One crop from each image: centre (N, 2), side (N,) -> (N, n, n, 3) uint8."""
    return np.stack([crop(i, c, s, n) for i, c, s in zip(images, centre, side, strict=True)])


# --- networks ----------------------------------------------------------------------------------------------------


def conv_bn(cin: int, cout: int, kernel: int, stride: int, groups: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout), activation()
    )


def mobilenet_mb05() -> nn.Sequential:
    """3DDFA_V2 MobileNetV1, width 0.5: (N, 3, 120, 120) -> (N, 62) whitened parameters."""
    widths = [
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (256, 1),
        (256, 1),
        (256, 1),
        (256, 1),
        (512, 2),
        (512, 1),
    ]
    layers, cin = [conv_bn(3, 16, 3, 2, 1, nn.ReLU)], 16
    for cout, stride in widths:
        layers += [conv_bn(cin, cin, 3, stride, cin, nn.ReLU), conv_bn(cin, cout, 1, 1, 1, nn.ReLU)]
        cin = cout
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 62))


class LightweightB66(nn.Module):
    """Lightweight head pose network (TMM 2022): (N, 3, 224, 224) -> (N, 3) yaw, pitch, roll in degrees."""

    def __init__(self):
        super().__init__()
        widths, kernels, strides = [16, 32, 64, 96, 96, 128, 128, 128], [3, 3, 3, 5, 5, 5, 3], [2, 2, 1, 2, 1, 2, 1]
        layers = [conv_bn(3, 16, 3, 2, 1, nn.ReLU)]
        for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            cin, cout, act = widths[i], widths[i + 1], nn.ReLU if i < 3 else nn.Hardswish
            layers += [
                conv_bn(cin, 2 * cin, 1, 1, 4, act),
                conv_bn(2 * cin, 2 * cin, kernel, stride, 2 * cin, act),
                conv_bn(2 * cin, cout, 1, 1, 1, act),
            ]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Flatten())
        self.heads = nn.ModuleList([nn.Linear(128, 66) for _ in range(3)])  # yaw, pitch, roll
        self.register_buffer("bins", torch.arange(66) * 3.0 - 97.5, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = self.features(x)
        return torch.stack([(head(f).softmax(1) * self.bins).sum(1) for head in self.heads], 1)


def load_by_order(net: nn.Module, state: dict) -> nn.Module:
    """Copy a state dict whose entries come in the order of the net's own, whatever their names; shapes must agree."""
    own = net.state_dict()
    if len(own) != len(state):
        raise ValueError(f"{len(state)} tensors given, the network has {len(own)}")
    for name, value in zip(own, state.values(), strict=True):
        if own[name].shape != value.shape:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, want {tuple(own[name].shape)}")
    net.load_state_dict(dict(zip(own, state.values(), strict=True)))
    return net.eval()


def onnx_session(model: nn.Module | Path, input_size: int = 0, threads: int = 2) -> ort.InferenceSession:
    """ONNX Runtime is about five times faster than eager torch on these small networks."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if isinstance(model, nn.Module):
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (torch.zeros(2, 3, input_size, input_size),),
                buffer,
                dynamo=False,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
            )
        model = buffer.getvalue()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_in_batches(session: ort.InferenceSession, x: np.ndarray, batch: int) -> np.ndarray:
    """(N, 3, n, n) float32 -> (N, K) float64."""
    parts = [session.run(None, {"input": np.ascontiguousarray(x[i : i + batch])})[0] for i in range(0, len(x), batch)]
    return np.concatenate(parts).astype(float)


@dataclass(frozen=True)
class Camera:
    """Scaled-orthographic cameras of N faces: pixel = (scale * R @ X)[:2] + shift, X in BFM units with head axes."""

    R: np.ndarray  # (N, 3, 3)
    scale: np.ndarray  # (N,) pixels per BFM unit
    shift: np.ndarray  # (N, 2) pixels: the image of the BFM origin

    def project(self, X: np.ndarray) -> np.ndarray:
        """(K, 3) or (N, K, 3) BFM units -> (N, K, 2) pixels."""
        return self.scale[:, None, None] * (X @ self.R.swapaxes(1, 2))[..., :2] + self.shift[:, None]


def mean_camera(cameras: list[Camera]) -> Camera:
    """Average of several estimates for the same faces."""
    R = np.stack([c.R for c in cameras], 1)
    return Camera(
        rotation_mean(R, np.ones(R.shape[:2])),
        np.exp(np.mean([np.log(c.scale) for c in cameras], 0)),
        np.mean([c.shift for c in cameras], 0),
    )


def camera_from_3ddfa(P: np.ndarray, centre: np.ndarray, side: np.ndarray, mirror: bool) -> Camera:
    """3DDFA matrices (N, 3, 4) in pixels of a 120 px crop, x from 1 to the right, y from the bottom up -> cameras of
    the image that the crops (centre (N, 2), side (N,)) came from; `mirror`: the crops were mirrored."""
    scale = np.linalg.norm(P[:, :2, :3], axis=2).mean(1)
    depth_row = np.cross(P[:, 0, :3], P[:, 1, :3]) / scale[:, None]
    R = F_3DDFA @ project_to_rotation(np.stack([P[:, 0, :3], P[:, 1, :3], depth_row], 1)) @ F_3DDFA
    u, v = P[:, 0, 3] - 1, 120 - P[:, 1, 3]
    if mirror:
        R, u = mirrored(R), 119 - u
    zoom = side / 120
    return Camera(R, scale * zoom, centre + (np.stack([u, v], 1) - 59.5) * zoom[:, None])


class Teachers:
    """The pose networks, each loaded when it is first used, so that one may be absent. Every method: one crop
    (centre (N, 2), side (N,)) per image of a list of N; `opnet` finds its own."""

    def __init__(self, weights: Path, threads: int = 2):
        self._weights, self._threads = weights, threads

    @cached_property
    def net_mb05(self) -> ort.InferenceSession:
        state = torch.load(self._weights / "mb05_120x120.pth", map_location="cpu", weights_only=True)["state_dict"]
        net = load_by_order(mobilenet_mb05(), {k: v for k, v in state.items() if "fc_lm" not in k})
        return onnx_session(net, 120, self._threads)

    @cached_property
    def _whitening(self) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self._weights / "param_mean_std_62d_120x120.npz") as file:
            return file["mean"][:12], file["std"][:12]

    @property
    def mean(self) -> np.ndarray:
        """(12,) of mb05's camera parameters."""
        return self._whitening[0]

    @property
    def std(self) -> np.ndarray:
        """(12,) of mb05's camera parameters."""
        return self._whitening[1]

    @cached_property
    def net_b66(self) -> ort.InferenceSession:
        state = torch.load(self._weights / "model-b66.pkl", map_location="cpu", weights_only=True)
        return onnx_session(load_by_order(LightweightB66(), state), 224, self._threads)

    @cached_property
    def net_fsanet(self) -> list[ort.InferenceSession]:
        paths = [self._weights / f"fsanet-{kind}-iter-688590.onnx" for kind in ("1x1", "var")]
        return [onnx_session(path, threads=self._threads) for path in paths]

    @cached_property
    def opnet(self) -> OpNet:
        return OpNet(self._weights, self._threads)

    def mb05(self, images, centre, side, mirror: bool = False) -> Camera:
        """3DDFA_V2 (half width). The mirrored crop is undone, so that both calls estimate the same camera."""
        batch = crops(images, centre, side, 120)
        x = ((batch[:, :, ::-1] if mirror else batch).astype(np.float32) - 127.5) / 128
        parameters = run_in_batches(self.net_mb05, x.transpose(0, 3, 1, 2), 16)[:, :12]
        P = (parameters * self.std + self.mean).reshape(-1, 3, 4)
        return camera_from_3ddfa(P, centre, side, mirror)

    def b66(self, images, centre, side, mirror: bool = False) -> np.ndarray:
        """-> R (N, 3, 3)."""
        batch = crops(images, centre, side, 224)[..., ::-1]
        x = (batch[:, :, ::-1] if mirror else batch).astype(np.float32) / 255
        x = (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        R = rotation_from_aflw2000(*run_in_batches(self.net_b66, x.transpose(0, 3, 1, 2), 16).T)
        return mirrored(R) if mirror else R

    def fsanet(self, images, centre, side, mirror: bool = False) -> np.ndarray:
        """Mean of the two FSA-Nets -> R (N, 3, 3)."""
        batch = crops(images, centre, side, 64)
        x = ((batch[:, :, ::-1] if mirror else batch).astype(np.float32) - 127.5) / 128
        angles = np.mean([run_in_batches(net, x.transpose(0, 3, 1, 2), 1) for net in self.net_fsanet], 0)
        R = rotation_from_aflw2000(*angles.T)
        return mirrored(R) if mirror else R


# --- first and second crop ---------------------------------------------------------------------------------------


def box_to_first_crop(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detector boxes (N, 4) x, y, w, h -> square crops as 3DDFA_V2 starts with: centre (N, 2), side (N,)."""
    size = box[:, 2:].mean(1)
    centre = box[:, :2] + box[:, 2:] / 2 + np.stack([0 * size, 0.14 * size], 1) - 0.5
    return centre, 1.58 * size
