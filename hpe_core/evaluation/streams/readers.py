"""Where poses come from: a topic, TF, a CSV file, another bag, or the model itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.streams.messages import READERS, TF, header_of
from hpe_core.evaluation.streams.pose_csv import read_pose_csv
from hpe_core.evaluation.streams.series import PoseSeries, SeriesBuilder, head_rotation
from hpe_core.evaluation.streams.tf_tree import TfTree
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import CAMERA_INFO, Bag, image_topics
from hpe_core.io.camera_info import camera_from_message
from hpe_core.io.message_types import extended_typestore
from hpe_core.io.sources.bag import BagSource

MAX_TF_GAP_NS = 500_000_000


@dataclass(frozen=True)
class Spec:
    """What the user wants read: `kind` topic, tf, csv or run; `bag`: another bag than the evaluated one, or None."""

    label: str
    kind: str
    what: str
    bag: str | None = None

    @property
    def name(self) -> str:
        """What is read, without the place of files on this machine."""
        if self.kind == "run":
            return f"run:{Path(self.what).name}" if self.what else "run"
        if self.kind == "csv":
            return Path(self.what).name
        what = f"tf:{self.what}" if self.kind == "tf" else self.what
        return f"{Path(self.bag).stem}:{what}" if self.bag else what


def parse_spec(text: str) -> Spec:
    """Spec of `TOPIC`, `tf:PARENT/CHILD`, `FILE.csv`, `BAG:TOPIC`, `BAG:tf:...`, `run` or `run:MODEL`; each may have
    a name before it, as in `mine=/head_pose`."""
    name, equals, rest = text.partition("=")
    named = bool(equals and name and "/" not in name and ":" not in name)
    text = rest if named else text
    if not text:
        raise HpeError(f"'{name}=' names no source of poses")
    if text == "run" or text.startswith("run:"):
        spec = Spec("", "run", text[4:])
    elif text.endswith(".csv"):
        spec = Spec("", "csv", text)
    else:
        path, colon, rest = text.partition(":")
        other = path if colon and path != "tf" else None
        what = rest if other else text
        spec = Spec("", "tf" if what.startswith("tf:") else "topic", what.removeprefix("tf:"), other)
    return replace(spec, label=name if named else spec.name)


def read_series(bag_path: str | Path, spec: Spec, frame: str = "face") -> PoseSeries:
    """PoseSeries of a Spec (not of kind run). `frame`: which frame of the head the poses are of: face, head, gaze.

    Raises HpeError when the source does not exist; what is damaged is counted in its losses.
    """
    if spec.kind == "csv":
        return read_pose_csv(spec.what, frame)
    path = Path(spec.bag or bag_path)
    if not path.exists():
        raise HpeError(f"{path} does not exist")
    bag = Bag(path)
    try:
        series = _read_tf(bag, spec.what, frame) if spec.kind == "tf" else _read_topic(bag, spec.what, frame)
        series.losses.update(bag.losses)
        return replace(series, notices=(*series.notices, *bag.notices))
    finally:
        bag.close()


def _read_topic(bag: Bag, topic: str, frame: str) -> PoseSeries:
    msgtype = bag.topics.get(topic)
    if msgtype is None or msgtype not in READERS:
        poses = sorted(name for name, kind in bag.topics.items() if kind in READERS)
        problem = f"has no topic {topic}" if msgtype is None else f"topic {topic} is {msgtype}, which holds no poses"
        hint = " (for TF write tf:PARENT/CHILD)" if TF in bag.topics.values() else ""
        raise HpeError(f"{bag.path} {problem}; topics with poses: {', '.join(poses) or 'none'}{hint}")
    poses_of, has_ids = READERS[msgtype]
    builder = SeriesBuilder(has_ids)
    for _, kind, log_ns, data in bag.messages({topic}):
        try:
            message = extended_typestore().deserialize_cdr(data, kind)
            stamp_ns, frame_id = header_of(message)
            poses = list(poses_of(message))
        except Exception:  # generated code lets struct, index, key and unicode errors through
            builder.losses["damaged message"] += 1
            continue
        builder.message(stamp_ns, log_ns, frame_id)
        for quat, t_m, face_id, covariance in poses:
            builder.pose(stamp_ns, log_ns, quat, t_m, face_id, covariance)
    return builder.build(frame)


def _read_tf(bag: Bag, what: str, frame: str) -> PoseSeries:
    """Series of every frame that `parent/child` names; the child may be a pattern such as face_*."""
    tree = TfTree(bag)
    names = tree.frames
    parts = what.split("/")
    for cut in range(1, len(parts)):
        parent, pattern = "/".join(parts[:cut]), "/".join(parts[cut:])
        children = [name for name in names if fnmatchcase(name, pattern) and name != parent]
        if parent in names and children:
            break
    else:
        known = ", ".join(names) or "no transforms"
        raise HpeError(f"{bag.path} has no TF frames for 'tf:{what}' (PARENT/CHILD); it has: {known}")
    found = [_tf_series(tree, parent, child, frame) for child in children]
    stamps = np.concatenate([series.stamp_ns for series in found])
    order = np.argsort(stamps, kind="stable")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(series, name) for series in found])[order]

    messages = np.unique(np.stack([joined("stamp_ns"), joined("log_ns")], -1), axis=0)
    losses = Counter(tree.losses)
    for series in found:
        losses.update(series.losses)
    return PoseSeries(
        stamp_ns=joined("stamp_ns"),
        log_ns=joined("log_ns"),
        R=joined("R"),
        t_m=joined("t_m"),
        face_id=joined("face_id"),
        covariance=None,
        has_ids=True,
        message_stamp_ns=messages[:, 0],
        message_log_ns=messages[:, 1],
        frame_id=parent,
        losses=losses,
    )


def _tf_series(tree: TfTree, parent: str, child: str, frame: str) -> PoseSeries:
    stamp_ns, log_ns = tree.stamps_towards(parent, child)
    R, t_m, valid = tree.lookup(parent, child, stamp_ns, MAX_TF_GAP_NS)
    losses: Counter[str] = Counter()
    if not np.all(valid):
        losses[f"transform {parent} -> {child} where another edge is missing"] = int(np.sum(~valid))
    stamp_ns, log_ns = stamp_ns[valid], log_ns[valid]
    return PoseSeries(
        stamp_ns=stamp_ns,
        log_ns=log_ns,
        R=head_rotation(R[valid], frame),
        t_m=t_m[valid],
        covariance=None,
        face_id=np.full(int(valid.sum()), child),
        has_ids=True,
        message_stamp_ns=stamp_ns,
        message_log_ns=log_ns,
        frame_id=parent,
        losses=losses,
    )


def in_frame(series: PoseSeries, frame_id: str, bag_path: str | Path, who: str, ignore: bool = False) -> PoseSeries:
    """The series in the coordinates of camera frame `frame_id`, by TF of the bag where its own frame is another.

    Raises HpeError when the frames differ and TF does not connect them, unless `ignore`.
    """
    if not frame_id or not series.frame_id or series.frame_id == frame_id or ignore:
        return series
    bag = Bag(bag_path)
    try:
        tree = TfTree(bag)
    finally:
        bag.close()
    if tree.path(frame_id, series.frame_id) is None:
        raise HpeError(
            f"{who} is in frame '{series.frame_id}', the other side in '{frame_id}', and TF does not connect them; "
            "use --ignore-frame-ids when they are the same camera"
        )
    R, t, valid = tree.lookup(frame_id, series.frame_id, series.stamp_ns, MAX_TF_GAP_NS)
    losses = Counter(series.losses)
    if not np.all(valid):
        losses[f"pose without a transform {series.frame_id} -> {frame_id}"] += int(np.sum(~valid))
    covariance = series.covariance
    if covariance is not None:
        turn = np.zeros((len(series), 6, 6))
        turn[:, :3, :3] = turn[:, 3:, 3:] = R
        covariance = turn @ covariance @ np.swapaxes(turn, -1, -2)
    moved = replace(
        series,
        R=R @ series.R,
        t_m=(R @ series.t_m[..., None])[..., 0] + t,
        covariance=covariance,
        frame_id=frame_id,
        losses=losses,
        notices=(*series.notices, f"{who} was turned from frame {series.frame_id} to {frame_id} by TF"),
    )
    return moved.where(valid)


def image_stamps(bag_path: str | Path, topic: str | None = None) -> np.ndarray:
    """Sorted unique header stamps (M,) of the bag's image topic (the first); empty when there is none."""
    bag = Bag(bag_path)
    bag.close()
    if not any(bag.counts[name] for name in image_topics(bag)):
        return np.zeros(0, np.int64)
    with BagSource(bag_path, topic) as source:
        return np.unique(header_stamps(bag_path, source.topic))


def header_stamps(bag_path: str | Path, topic: str) -> np.ndarray:
    """Header stamps (M,) of a topic in the bag's order; only the headers are decoded. A stamp of 0 counts as unset, as
    in BagSource, and is the time of recording then."""
    bag = Bag(bag_path)
    try:
        found = [(_header_stamp_ns(data), log_ns) for _, _, log_ns, data in bag.messages({topic})]
    finally:
        bag.close()
    return np.array([stamp or log_ns for stamp, log_ns in found], np.int64)


def _header_stamp_ns(data: bytes) -> int | None:
    """Stamp at the head of a CDR message whose first field is a Header; None when it is too short."""
    raw = bytes(data[:12])
    if len(raw) < 12:
        return None
    order = "little" if raw[1] & 1 else "big"
    seconds = int.from_bytes(raw[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(raw[8:12], order)


def bag_camera(bag_path: str | Path, topic: str | None = None) -> CameraModel | None:
    """CameraModel of the CameraInfo that belongs to the images (else of the first that makes one); None without."""
    bag = Bag(bag_path)
    try:
        infos = sorted(name for name, kind in bag.topics.items() if kind == CAMERA_INFO and bag.counts[name])
        if image_topics(bag):
            with BagSource(bag_path, topic) as source:
                infos.sort(key=lambda name: name != source.info_topic)
        for name in infos:
            message = bag.first(name)
            try:
                if message is not None:
                    return camera_from_message(message)
            except HpeError:
                continue
    finally:
        bag.close()
    return None
