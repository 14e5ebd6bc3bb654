"""dense: a face-centred crop -> pose, and identity, expression and gaze of a head model.

Seed: 3DDFA_V2 (Guo et al., ECCV 2020). The vertices are F = mean + identity . S + expression . E of
hpe_core/weights/head_model.npz, camera points R F + t. Two steps: the shipped crop6dof, which stays as it is, says the
pose; by it the crop is laid onto a map of the mean face (`_trunks.face_map`), where lids and lips lie at one place in
whatever pose. A second trunk of RepVGG blocks looks at that, says the shape, and by how much the pose was off, which
the map shows as a displaced face (a step of alignment as in Lucas and Kanade, IJCAI 1981, but learned).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hpe_core.catalogue import WEIGHTS
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.mesh.head_model import shipped
from training.losses.head6dof import matrix_from_sixd
from training.networks import crop6dof
from training.networks._blocks import RepConv, fuse, stages
from training.networks._trunks.face_map import face_map

IDENTITY, EXPRESSION, GAZE = 40, 53, 4
TURN, PLACE, SIZE = 3, 2, 1  # by which the pose is corrected
_POSE = 17  # columns, as in crop6dof
SPEC = {
    "name": "dense",
    "input": "uint8 BGR face-centred crops (N, side, side, 3), `crop_m` metres wide",
    "output": "float32 (N, 182): one row per crop, see `columns`",
    "crop_m": 0.28,
    "columns": {
        **{name: span for name, span in crop6dof.SPEC["columns"].items() if span[1] <= _POSE},  # as in crop6dof
        "visibility": [17, 85],  # logits of the 68 landmarks
        "identity": [85, 125],  # standard deviations
        "expression": [125, 178],  # 0..1 by the head model's names; left and right are the subject's
        "gaze": [178, 182],  # left yaw, pitch, right yaw, pitch in the head, rad; to the subject's left and up
    },
}
ROW = 182
FREE_BATCH = True  # any number of crops
BATCHES, LOSS, STEPS = "crops", "dense", 20000  # of training.train
# of the head's direction to the camera: from the second on poses are corrected, below the first, where the map shows no
# face, not at all
CORRECTED_COSINES = (-0.1, 0.3)
# crop6dof knows most of the photographs that it is trained on with; this is what it errs more elsewhere
POSE_NOISE = {"turn": 0.03, "place_m": 0.001, "log_size": 0.01}


@dataclass(frozen=True)
class Config(crop6dof.Config):
    """Widths and input side: of crop6dof, and of the trunk of shapes."""

    map_side: int = 96
    shape_stem: int = 16
    shape_widths: tuple = (32, 64, 96, 128)
    shape_blocks: tuple = (1, 2, 2, 1)
    shape_hidden: int = 256

    @property
    def learns_shape(self) -> bool:
        """The batches say identity, expression and gaze where they are known."""
        return True

    @property
    def least_px(self) -> int:
        """Of a crop's side that a view shows: below it an expression is hardly seen."""
        return 32

    @property
    def columns(self) -> dict[str, list[int]]:
        """Columns of an output row, as the loss reads them."""
        return SPEC["columns"]


class Dense(nn.Module):
    """crop6dof, fused and fixed, then a second trunk over the map of the face, to a 3x3 map with two dense layers."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.pose = fuse(crop6dof.build(config)).requires_grad_(False)
        points, normals = face_map(shipped(), config.map_side)
        self.register_buffer("points", torch.from_numpy(points - np.float32(FACE_CENTRE_M)).flatten(0, 1))
        self.register_buffer("normals", torch.from_numpy(normals).flatten(0, 1))
        self.stem = RepConv(4, config.shape_stem, 2)
        self.stages = stages(config.shape_stem, config.shape_widths, config.shape_blocks)
        cells = (config.map_side // 2 ** (len(config.shape_widths) + 1)) ** 2
        self.hidden = nn.Linear(cells * config.shape_widths[-1] + 9, config.shape_hidden)
        self.output = nn.Linear(config.shape_hidden, IDENTITY + EXPRESSION + GAZE + TURN + PLACE + SIZE)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():
            self.output.bias[IDENTITY : IDENTITY + EXPRESSION] = -2.5  # most are near 0

    def forward(self, crops):
        """(N, side, side, 3) uint8 -> rows (N, 182) in SPEC's columns."""
        pose = self.pose
        x = crops.permute(0, 3, 1, 2).float() / 127.5 - 1.0  # N 3 S S
        with torch.no_grad():
            row = pose.output(torch.relu(pose.hidden(pose.stages(pose.stem(x)).flatten(1)))).float()
        sixd, factor, centre, size, stds, _, visibility = row.split([6, 6, 2, 1, 2, 3 * crop6dof.LANDMARKS, 68], 1)
        R, centre_m = matrix_from_sixd(sixd), centre * crop6dof.SCALE_M
        if self.training:
            R, centre_m, size = _disturbed(R, centre_m, size)
        seen = self.stages(self.stem(self.laid_out(x, R, centre_m, size))).flatten(1)
        said = self.output(torch.relu(self.hidden(torch.cat([seen, R.flatten(1).to(seen)], 1)))).float()
        shape, off = said.split([IDENTITY + EXPRESSION + GAZE, TURN + PLACE + SIZE], 1)
        identity, expression, gaze = shape.split([IDENTITY, EXPRESSION, GAZE], 1)
        first, last = CORRECTED_COSINES
        turn, place, log_size = (off * ((R[:, 2, 2:] - first) / (last - first)).clamp(0, 1)).split(
            [TURN, PLACE, SIZE], 1
        )
        centre_m = centre_m + torch.exp(size) * (R[:, :2, :2] @ place[..., None])[..., 0] * crop6dof.SCALE_M
        head = torch.cat([turned(R, turn), factor, centre_m, size + log_size, stds], 1)
        return torch.cat([head, visibility, identity, torch.sigmoid(expression), gaze], 1)

    def laid_out(self, x, R, centre_m, log_size):
        """Crops (N, 3, side, side) -> (N, 4, map_side, map_side): laid onto the map, and how far its cells face the
        camera, by the pose R (N, 3, 3), centre_m (N, 2), log_size (N, 1); from far away, for a crop tells no distance.
        """
        with torch.autocast(x.device.type, enabled=False):
            side = 2 * [self.config.map_side]
            points_m = torch.exp(log_size)[:, None] * (self.points.float() @ R[:, :2].transpose(1, 2))
            grid = ((points_m + centre_m[:, None]) * (2.0 / self.config.crop_m)).reshape(-1, *side, 2)
            laid = F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)
            facing = -(self.normals.float() @ R[:, 2:].transpose(1, 2)).transpose(1, 2)  # 1: straight at the camera
            return torch.cat([laid, facing.reshape(-1, 1, *side)], 1)


def turned(R, turn):
    """First two columns (N, 6) of R (N, 3, 3) turned in the head by a small rotation vector (N, 3), to first order."""
    x, y, z = turn[:, 0, None], turn[:, 1, None], turn[:, 2, None]
    first, second, third = R.unbind(-1)
    return torch.cat([first + z * second - y * third, second - z * first + x * third], 1)


def _disturbed(R, centre_m, log_size):
    """A pose moved at random by POSE_NOISE."""
    sixd = turned(R, POSE_NOISE["turn"] * torch.randn(len(R), TURN))
    centre_m = centre_m + POSE_NOISE["place_m"] * torch.randn_like(centre_m)
    return matrix_from_sixd(sixd), centre_m, log_size + POSE_NOISE["log_size"] * torch.randn_like(log_size)


class Deployed(crop6dof.Deployed):
    """Network with fused convolutions, as exported."""


def build(config=None):
    """A network with the shipped pose and a random shape."""
    from training.train import fused_weights  # which finds networks by name

    net = Dense(config or Config())
    net.pose.load_state_dict(fused_weights(net.pose, str(WEIGHTS / "crop6dof.onnx")))
    return net
