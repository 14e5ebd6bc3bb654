"""Where the cameras of one device stand to each other: the fixed transforms of a bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpe_core.geometry import so3
from hpe_core.io.bags import Bag, typestore
from hpe_core.io.depth.registration import Transform

TF_STATIC, MOST_STEPS = "/tf_static", 100


class StaticTransforms:
    """All transforms of a Bag's /tf_static, the latest of each frame."""

    def __init__(self, bag: Bag):
        self._above: dict[str, tuple[str, Transform]] = {}  # child -> parent, (R_parent_child, t_parent_child_m)
        for _, msgtype, _, data in bag.messages({TF_STATIC}) if TF_STATIC in bag.topics else ():
            try:
                message: Any = typestore().deserialize_cdr(data, msgtype)
            except Exception:  # generated code lets struct, index, key and unicode errors through
                bag.losses[f"messages of {TF_STATIC} that are damaged"] += 1
                continue
            for item in message.transforms:
                t, q = item.transform.translation, item.transform.rotation
                quat, place = np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z])
                if np.all(np.isfinite([*quat, *place])) and np.linalg.norm(quat) > 1e-6:
                    parent, child = item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
                    self._above[child] = parent, (so3.matrix_from_quat(quat), place)

    def find(self, to: str, origin: str) -> Transform | None:
        """R_to_origin (3, 3) and t_to_origin_m (3,), None where the frames do not hang together."""
        seen_from, of_origin = self._chain(to.lstrip("/")), self._chain(origin.lstrip("/"))
        common = next((frame for frame in seen_from if frame in of_origin), None)
        if common is None:
            return None
        (R_to, t_to), (R_origin, t_origin) = seen_from[common], of_origin[common]
        return R_to.T @ R_origin, R_to.T @ (t_origin - t_to)

    def _chain(self, frame: str) -> dict[str, Transform]:
        """dict of the frame itself and those above it -> its pose in each."""
        R, t = np.eye(3), np.zeros(3)
        chain = {frame: (R, t)}
        while frame in self._above and len(chain) < MOST_STEPS:
            frame, (R_above, t_above) = self._above[frame]
            R, t = R_above @ R, R_above @ t + t_above
            if frame in chain:  # a ring
                break
            chain[frame] = (R, t)
        return chain
