"""Label the photographs with the teachers' consensus and write training shards.

    python -m training.label.make_shards --data ../shared/data --out DIR

LFW without its test people, UTKFace and muxspace go to DIR, the LFW test photos (lfw_test.txt has their
hashed names) to DIR_test.
A face trains (weight 1) if YuNet is sure of it, it is large enough and the teachers agree; every other candidate
becomes a weight-0 record, which the loss ignores.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track

from training.data.labels import FaceLabel
from training.data.shards import ShardWriter, encode
from training.label.bfm_frame import BfmFrame
from training.label.consensus import SPREAD_FLOOR_DEG, consensus, estimate, outline_box, position_and_size
from training.label.detect import Detector, iou
from training.label.sources import Photo, archive_names, choose_test_photos, hashes, read_photos
from training.label.teachers import Teachers

MIN_SIZE_PX, MAX_SPREAD_DEG, MIN_OUTLINE_IOU = 24, 12, 0.35
SIZE_PER_BOX = 1.2  # size_px / sqrt(box area), median over LFW
LFW_TEST_FILE = Path(__file__).with_name("lfw_test.txt")


def in_chunks(items: Iterable, n: int) -> Iterator[list]:
    items = iter(items)
    while chunk := list(islice(items, n)):
        yield chunk


def unknown_face(box: np.ndarray) -> FaceLabel:
    """Weight-0 record for a detector box (4,) x, y, w, h."""
    size_px = SIZE_PER_BOX * float(np.sqrt(box[2:].prod()))
    return FaceLabel.unknown(box[:2] + box[2:] / 2 - 0.5, size_px)


def label_photos(
    photos: list[Photo], teachers: Teachers, detector: Detector, frame: BfmFrame, counts: Counter
) -> list[list[FaceLabel]]:
    """Labels of all faces of every photo; `counts` learns what happened to each candidate."""
    found = [detector(photo.image) for photo in photos]
    labels = [[unknown_face(box) for box in doubtful] for _, doubtful in found]
    counts["doubtful detections (weight 0)"] += sum(map(len, labels))

    owner = np.array([i for i, (sure, _) in enumerate(found) for _ in sure], int)
    if len(owner) == 0:
        return labels
    boxes = np.concatenate([sure for sure, _ in found])
    R, camera = estimate(teachers, frame, [photos[i].image for i in owner], boxes)
    mean, spread = consensus(R, frame.teacher_bias_deg)
    centre, size = position_and_size(camera, frame)
    outline = outline_box(camera, frame)
    for k, i in enumerate(owner):
        reason = None
        if size[k] < MIN_SIZE_PX:
            reason = f"smaller than {MIN_SIZE_PX} px"
        elif spread[k] > MAX_SPREAD_DEG:
            reason = f"teachers differ by more than {MAX_SPREAD_DEG} deg"
        elif iou(outline[k : k + 1], boxes[k : k + 1])[0, 0] < MIN_OUTLINE_IOU:
            reason = "mb05 outline off the detected box"
        counts[f"weight 0: {reason}" if reason else "kept"] += 1
        if reason:
            labels[i].append(unknown_face(boxes[k]))
            continue
        known = FaceLabel(
            R_local=mean[k],
            centre_px=centre[k],
            size_px=float(size[k]),
            rot_std_deg=max(SPREAD_FLOOR_DEG, float(spread[k])),
            weight=1.0,
        )
        labels[i].append(known)
    return labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="photos per archive, for a trial")
    args = parser.parse_args()

    teachers, detector = Teachers(args.data / "weights"), Detector(args.data / "weights")
    frame = BfmFrame.load()
    archive = {name: args.data / "photos" / f"{name}.zip" for name in ("lfw", "utkface_sample", "muxspace_colour")}
    lfw_names = archive_names(archive["lfw"])
    test_names = choose_test_photos(lfw_names)
    LFW_TEST_FILE.write_text("\n".join(hashes(test_names)) + "\n")
    train_names = sorted(set(lfw_names) - set(test_names))

    train, test = ShardWriter(args.out), ShardWriter(args.out.with_name(args.out.name + "_test"))
    jobs = [
        ("lfw", train_names, 0.0, train),
        ("utkface_sample", None, 0.4, train),
        ("muxspace_colour", None, 0.4, train),
        ("lfw", test_names, 0.0, test),
    ]
    for name, names, pad, writer in jobs:
        names = (names or archive_names(archive[name]))[: args.limit]
        title = f"{name} -> {writer.folder.name}"
        counts = Counter(photos=len(names))
        photos = read_photos(archive[name], names, pad)
        for chunk in track(in_chunks(photos, 32), title, total=-(-len(names) // 32)):
            for photo, faces in zip(chunk, label_photos(chunk, teachers, detector, frame, counts), strict=True):
                counts["photos without any candidate (not written)"] += not faces
                counts["photos with a kept face"] += any(f.weight for f in faces)
                if faces:
                    writer.add(photo.jpeg or encode(photo.image), photo.person, photo.source, faces)
        writer.flush()
        print(title, *(f"  {n:6d} {what}" for what, n in sorted(counts.items())), sep="\n", flush=True)


if __name__ == "__main__":
    main()
