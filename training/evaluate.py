"""Measure a 6DoF model on real images it was not trained on; prints and writes one JSON for the model card.

    python -m training.evaluate --model hpe_core/weights/head6dof.onnx --data ../shared/data --lfw-test DIR --out X.json

Every image is accounted for: found + missed = images, and a missed image also counts as predicting the mean pose in the
second error figure. LFW: a face counts as found when a detection lies on the photo's largest labelled face; a detection
is false when it lies on no face and on no candidate of the two reference detectors (training.photos).
"""

import argparse
import csv
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hpe_core import config as cfg
from hpe_core.estimators.head6dof import same_face
from hpe_core.geometry import euler, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.pipeline import Pipeline
from training.shards import ShardSet

HFOV_DEG = 60.0
GIMBAL_LOCK = "image02773.jpg"


def camera_of(image):
    """Assumed camera of an image without calibration."""
    return CameraModel.from_hfov(image.shape[1], image.shape[0], HFOV_DEG)


def box_overlap(a, b):
    """Intersection over union of two boxes (4,) x0, y0, x1, y1."""
    w, h = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0.0)
    area = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - w * h
    return w * h / area


def evaluate_aflw(pipeline, folder):
    """Found faces, Euler MAE (yaw, pitch, roll, mean) and geodesic error on labelled images, in degrees."""
    folder = Path(folder)
    rows = list(csv.DictReader(open(folder / "labels.csv")))
    errors, geodesics, missed = {}, {}, []
    truth = {r["file"]: np.array([float(r[k]) for k in ("yaw_deg", "pitch_deg", "roll_deg")]) for r in rows}
    for row in rows:
        image = cv2.imread(str(next(folder.rglob(row["file"]))))
        box = np.array([float(row[k]) for k in ("lm_x0", "lm_y0", "lm_x1", "lm_y1")])
        pipeline.reset()
        faces = pipeline.process(image, camera_of(image), 0).faces
        overlaps = [box_overlap(face.box_px, box) for face in faces]
        if not faces or max(overlaps) < 0.3:
            missed.append(row["file"])
            continue
        R = faces[int(np.argmax(overlaps))].pose.R_camera_head
        angles = euler.aflw2000.from_matrix(R)
        errors[row["file"]] = np.abs(np.array([angles.yaw, angles.pitch, angles.roll]) - truth[row["file"]])
        R_true = euler.aflw2000.to_matrix(euler.EulerDeg(*truth[row["file"]]))
        geodesics[row["file"]] = float(np.degrees(so3.geodesic_angle(R, R_true)))
    regular = {k: e for k, e in errors.items() if k != GIMBAL_LOCK}
    if not regular:
        return {"images": len(rows), "found": 0, "missed": missed}
    mean_pose = np.mean([t for k, t in truth.items() if k != GIMBAL_LOCK], 0)
    as_mean = [np.abs(truth[k] - mean_pose) for k in missed if k != GIMBAL_LOCK]
    return {
        "images": len(rows),
        "found": len(errors),
        "missed": missed,
        "euler_mae_deg": np.round([*np.mean(list(regular.values()), 0), np.mean(list(regular.values()))], 2).tolist(),
        "euler_mae_failures_counted_deg": round(float(np.mean([*regular.values(), *as_mean])), 2),
        "geodesic_mean_deg": round(float(np.mean([g for k, g in geodesics.items() if k != GIMBAL_LOCK])), 2),
        "geodesic_all_mean_deg": round(float(np.mean(list(geodesics.values()))), 2),
        "per_image_deg": {k: np.round(e, 1).tolist() for k, e in errors.items()},
    }


def evaluate_shards(pipeline, folder, limit):
    """Found and false faces per image, and geodesic agreement with the labels, over at most `limit` images."""
    shards = ShardSet([folder])
    images = faces_in = found = false = 0
    angles, normalised = [], []
    for index in tqdm(range(min(limit, len(shards))), desc=Path(folder).name):
        image, labels, _ = shards.read(index)
        pipeline.reset()
        faces = pipeline.process(image, camera_of(image), 0).faces
        centres = np.array([project_centre(face.pose, image) for face in faces]).reshape(-1, 3)
        images += 1
        known = labels.where(labels.weight > 0)
        if len(known):
            faces_in += 1
            main = int(np.argmax(known.size_px))
            on = same_face(known.centre_px[main], known.size_px[main], centres[:, :2], centres[:, 2])
            if on.any():
                found += 1
                face = faces[int(np.argmax(on))]
                ray = camera_of(image).rays(known.centre_px[main])
                angle = so3.geodesic_angle(lookat_rotation(ray) @ face.pose.R_camera_head, known.R_local[main])
                angles.append(np.degrees(angle))
                normalised.append(np.degrees(angle) / face.pose.rotation_std_deg)
        for centre in centres:
            if not len(labels) or not same_face(centre[:2], centre[2], labels.centre_px, labels.size_px).any():
                false += 1
    return {
        "images": images,
        "images_with_a_label": faces_in,
        "found": found,
        "found_percent": round(100.0 * found / max(1, faces_in), 2),
        "false_faces_per_image_percent": round(100.0 * false / images, 2),
        "geodesic_to_label_median_deg": round(float(np.median(angles)), 2),
        "geodesic_to_label_p95_deg": round(float(np.percentile(angles, 95)), 2),
        "rms_error_over_published_std": round(float(np.sqrt(np.mean(np.square(normalised)) / 3.0)), 2),
    }


def project_centre(pose, image):
    """Face centre's pixel and size_px (3,) of a pose."""
    camera = camera_of(image)
    centre = pose.R_camera_head @ FACE_CENTRE_M + pose.t_camera_head_m
    return [*camera.project(centre), REFERENCE_LENGTH_M * pixels_per_metre(camera, centre)]


def evaluate_video(pipeline, path):
    """Frames with exactly one face under the id most often seen, and the spread of the pose between frames."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS)
    pipeline.reset()
    ids, frames = [], 0
    while True:
        ok, image = capture.read()
        if not ok:
            break
        faces = pipeline.process(image, camera_of(image), round(frames / fps * 1e9)).faces
        ids.append(faces[0].face_id if len(faces) == 1 else None)
        frames += 1
    named = [i for i in ids if i]
    main = max(set(named), key=named.count) if named else None
    return {"frames": frames, "exactly_one_face_same_id": named.count(main), "ids": sorted(set(named))}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default="head6dof")
    p.add_argument("--data", default="../shared/data")
    p.add_argument("--lfw-test", help="shard folder of the LFW test people")
    p.add_argument("--shards", nargs="*", default=[], help="further shard folders to measure")
    p.add_argument("--limit", type=int, default=1000)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out")
    p.add_argument("--no-video", action="store_true")
    args = p.parse_args()
    estimator = cfg.EstimatorConfig(model=args.model, threads=args.threads)
    pipeline = Pipeline(cfg.PipelineConfig(estimator=estimator))
    data = Path(args.data)
    results = {"aflw2000_dev16": evaluate_aflw(pipeline, data / "real_labelled" / "aflw2000_dev16")}
    if args.lfw_test:
        results["lfw_test"] = evaluate_shards(pipeline, args.lfw_test, args.limit)
    for folder in args.shards:
        results[Path(folder).name] = evaluate_shards(pipeline, folder, args.limit)
    if not args.no_video:
        results["video_headmove"] = evaluate_video(pipeline, data / "video_headmove" / "demo.mp4")
    text = json.dumps(results, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
