"""The numbers that a model's card carries: one model, no baselines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpe_core.evaluation.images.evaluate import answers_of, labelled_images, our_methods, scored
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from training.measure.sets import DEV, GIMBAL_LOCK, main_faces
from training.measure.video import frames_of


def card_metrics(
    model: str,
    data: Path,
    lfw_test: str | None = None,
    shards: Sequence[str] = (),
    limit: int = 1000,
    video: bool = True,
) -> dict:
    """dict of the numbers that a model's card carries: one model, no baselines."""
    methods = our_methods([model])
    ((name, method),) = methods.items()
    dev = labelled_images(data / "real_labelled" / DEV)
    answers = answers_of(methods, dev, DEFAULT_HFOV_DEG)
    everything = scored(methods, answers)[name]
    regular = scored(methods, answers, without=[GIMBAL_LOCK])[name]
    rows = everything.rows
    euler, found = regular.summary["rotation"]["euler_mae_deg"], rows["status"] == "matched"
    per_image = np.stack([np.abs(rows[f"{axis}_error_deg"]) for axis in ("yaw", "pitch", "roll")], -1)
    out = {
        DEV: {
            "images": len(rows["image"]),
            "found": int(found.sum()),
            "missed": rows["image"][~found].tolist(),
            "compared": "in the face-centred virtual camera",
            "euler_mae_deg": [_two(euler[key]) for key in ("yaw", "pitch", "roll", "mean")],
            "euler_mae_failures_counted_deg": _two(euler["mean_failures_as_mean_pose"]),
            "geodesic_mean_deg": _two(regular.summary["rotation"]["geodesic_deg"]["mean"]),
            "geodesic_all_mean_deg": _two(everything.summary["rotation"]["geodesic_deg"]["mean"]),
            "per_image_deg": {
                str(image): np.round(error, 1).tolist()
                for image, error in zip(rows["image"][found], per_image[found], strict=True)
            },
        }
    }
    folders = {"lfw_test": lfw_test} if lfw_test else {}
    folders |= {Path(folder).name: folder for folder in shards}
    for key, folder in folders.items():
        samples = main_faces(labelled_images(folder, limit))
        out[key] = _shard_metrics(scored(methods, answers_of(methods, samples, DEFAULT_HFOV_DEG))[name].summary)
    if video:
        out["video_headmove"] = _one_face(method.pipeline, data / "video_headmove" / "demo.mp4")
    return out


def _shard_metrics(summary):
    counts, geodesic = summary["detection"], summary["rotation"]["geodesic_deg"]
    nees = ((summary["uncertainty"] or {}).get("rotation") or {}).get("nees_over_dof")
    return {
        "images": counts["images"],
        "found": counts["matched"],
        "found_percent": _two(100.0 * counts["recall"]),
        "false_faces_per_image_percent": _two(100.0 * counts["false_positives_per_image"]),
        "geodesic_to_label_median_deg": _two(geodesic["median"]),
        "geodesic_to_label_p95_deg": _two(geodesic["p95"]),
        "rms_error_over_published_std": None if nees is None else _two(np.sqrt(nees)),
    }


def _one_face(pipeline, path):
    """Frames with exactly one face under the id most often seen."""
    pipeline.reset()
    ids = []
    for stamp_ns, image in frames_of(path):
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], DEFAULT_HFOV_DEG)
        faces = pipeline.process(image, camera, stamp_ns).faces
        ids.append(faces[0].face_id if len(faces) == 1 else None)
    named = [i for i in ids if i]
    most = max((named.count(i) for i in set(named)), default=0)
    return {"frames": len(ids), "exactly_one_face_same_id": most, "ids": sorted(set(named))}


def _two(value):
    return None if value is None else round(float(value), 2)
