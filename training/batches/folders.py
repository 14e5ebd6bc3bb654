"""Batches of a crop network from folders of published data sets (training.data.folders), by a recipe.

Published crops: one view of a face, with the label as the data set states it (training.data.published). Look-at crops:
two random views of a face, those of the project (training.data.crops).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from training.batches.crops import VIEWS
from training.data.crops import random_view
from training.data.folders import Labelled, stored_label
from training.data.published import view_of
from training.recipes import LOOKAT, Recipe


class Folders(torch.utils.data.Dataset):
    """Sample `index` of a seeded sequence: every face once in an epoch, in an order of its own. Each is a list of views
    as training.batches.crops.Views gives them.

    config: of the network, with `side` and `crop_m`.
    """

    def __init__(self, faces: Sequence[Labelled], recipe: Recipe, config: Any, seed: int, length: int):
        self.faces, self.recipe, self.config, self.seed, self.length = faces, recipe, config, seed, length
        self._epoch, self._order = -1, np.zeros(0, int)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[tuple[np.ndarray, dict[str, Any]]]:
        cv2.setNumThreads(1)
        face = self.faces[self._face(index)]
        rng = np.random.default_rng([self.seed, index])
        if self.recipe.crop == LOOKAT:
            crop, label = face.stored_crop(), stored_label(face)
            return [random_view(rng, crop, label, self.config.side, self.config.crop_m) for _ in range(VIEWS)]
        return [view_of(face, self.recipe.train, self.recipe.augment, rng, self.config.side, self.config.crop_m)]

    def _face(self, index: int) -> int:
        epoch, place = divmod(index, len(self.faces))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self.seed, 1 << 32, epoch]).permutation(len(self.faces))
        return int(self._order[place])
