"""Transforms of a bag: edges over time, and the pose of any frame in any other, interpolated."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.interpolation import interpolate
from hpe_core.evaluation.streams.messages import TF, Message
from hpe_core.geometry import so3
from hpe_core.io.bags import Bag, stamp_ns_of
from hpe_core.io.message_types import extended_typestore

Edge = tuple[str, str]  # parent, child
Motion = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # stamp_ns, log_ns (N,), R (N, 3, 3), t_m (N, 3)


class TfTree:
    """Every parent -> child edge of a Bag's TF topics.

    edges: dict (parent, child) -> (stamp_ns (N,), log_ns (N,), R (N, 3, 3), t_m (N, 3)), stamps strictly increasing;
    static: set of edges; losses: Counter of transforms that could not be used.
    """

    def __init__(self, bag: Bag) -> None:
        self.edges: dict[Edge, Motion] = {}
        self.static: set[Edge] = set()
        self.losses: Counter[str] = Counter()
        topics = {topic for topic, msgtype in bag.topics.items() if msgtype == TF}
        rows: dict[Edge, list[tuple]] = {}
        for topic, msgtype, log_ns, data in bag.messages(topics) if topics else ():
            try:
                message: Message = extended_typestore().deserialize_cdr(data, msgtype)
            except Exception:  # generated code lets struct, index, key and unicode errors through
                self.losses["damaged message"] += 1
                continue
            for item in message.transforms:
                edge = (item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"))
                v, q = item.transform.translation, item.transform.rotation
                numbers = (q.x, q.y, q.z, q.w, v.x, v.y, v.z)
                rows.setdefault(edge, []).append((stamp_ns_of(item.header.stamp), log_ns, *numbers))
                if topic.endswith("tf_static"):
                    self.static.add(edge)
        for edge, values in rows.items():
            self._add(edge, values)

    def _add(self, edge: Edge, values: list[tuple]) -> None:
        stamps = np.array([value[:2] for value in values], np.int64)
        numbers = np.array([value[2:] for value in values], float)
        norm = np.linalg.norm(numbers[:, :4], axis=-1)
        usable = np.flatnonzero(np.all(np.isfinite(numbers), -1) & (norm > 1e-6))
        self._count(f"transform {edge[0]} -> {edge[1]} not finite or of length 0", len(values) - len(usable))
        if len(usable) == 0:
            return
        _, first = np.unique(stamps[usable, 0], return_index=True)
        keep = usable[first]
        self._count(f"transform {edge[0]} -> {edge[1]} with the stamp of an earlier one", len(usable) - len(keep))
        if edge in self.static:
            keep = usable[-1:]
        stamp_ns, log_ns = stamps[keep].T
        self.edges[edge] = (stamp_ns, log_ns, so3.matrix_from_quat(numbers[keep, :4]), numbers[keep, 4:])

    def _count(self, reason: str, count: int) -> None:
        if count:
            self.losses[reason] += count

    @property
    def frames(self) -> list[str]:
        """Sorted names of all frames."""
        return sorted({name for edge in self.edges for name in edge})

    def path(self, target: str, source: str) -> list[tuple[Edge, bool]] | None:
        """List of (edge, forward) from frame `target` down or up to `source`; None when they are not connected."""
        neighbours: dict[str, list[tuple[str, Edge, bool]]] = {}
        for parent, child in self.edges:
            neighbours.setdefault(parent, []).append((child, (parent, child), True))
            neighbours.setdefault(child, []).append((parent, (parent, child), False))
        came: dict[str, tuple[str, Edge, bool] | None] = {target: None}
        queue = deque([target])
        while queue and source not in came:
            frame = queue.popleft()
            for other, edge, forward in neighbours.get(frame, ()):
                if other not in came:
                    came[other] = (frame, edge, forward)
                    queue.append(other)
        if source not in came:
            return None
        steps = []
        while (step := came[source]) is not None:
            source, edge, forward = step
            steps.append((edge, forward))
        return steps[::-1]

    def lookup(
        self, target: str, source: str, at_ns: np.ndarray, max_gap_ns: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotation (K, 3, 3), position (K, 3) of frame `source` in frame `target` at times (K,), and validity (K,).

        Raises HpeError when the frames are not connected.
        """
        steps = self.path(target, source)
        if steps is None:
            known = ", ".join(self.frames) or "nothing"
            raise HpeError(f"TF does not connect '{target}' and '{source}', it has: {known}")
        count = len(at_ns)
        R, t, valid = np.broadcast_to(np.eye(3), (count, 3, 3)), np.zeros((count, 3)), np.ones(count, bool)
        for edge, forward in steps:
            R_edge, t_edge, known = self._edge_at(edge, at_ns, max_gap_ns)
            if not forward:
                R_edge = np.swapaxes(R_edge, -1, -2)
                t_edge = -(R_edge @ t_edge[..., None])[..., 0]
            t = (R @ t_edge[..., None])[..., 0] + t
            R, valid = R @ R_edge, valid & known
        return R, t, valid

    def _edge_at(self, edge: Edge, at_ns: np.ndarray, max_gap_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        stamp_ns, _, R, t_m = self.edges[edge]
        if edge in self.static:
            count = len(at_ns)
            return np.broadcast_to(R[0], (count, 3, 3)), np.broadcast_to(t_m[0], (count, 3)), np.ones(count, bool)
        return interpolate(stamp_ns, R, t_m, at_ns, max_gap_ns)

    def stamps_towards(self, target: str, source: str) -> tuple[np.ndarray, np.ndarray]:
        """stamp_ns, log_ns (N,) of the moving edge nearest to `source` on the way from `target`."""
        for edge, _ in reversed(self.path(target, source) or ()):
            if edge not in self.static:
                return self.edges[edge][:2]
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
