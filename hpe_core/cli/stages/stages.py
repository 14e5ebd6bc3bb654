"""The stages of one model, one by one: `hpe bench --model`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import parity
from hpe_core.cli.stages.timing import latency
from hpe_core.config import EstimatorConfig, PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.mesh.drawing import draw_mesh
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import shipped, shipped_small
from hpe_core.networks.network import crop_network, whole_image_network
from hpe_core.pipeline import Pipeline
from hpe_core.pixels.canvas import SourceImage, crop_canvases, letterbox_canvas
from hpe_core.types import Face

THREADS = (1, 2, 4)  # of the network
SIZE, HFOV_DEG, FRAME_NS = (640, 480), 60.0, 33_333_333
BACKEND = "onnxruntime"
# of Dense-Head-Pose-Estimation on the processor of its author, milliseconds: one face, 120x120 pixels, 3DMM of 38,365
# vertices; it has one figure for what follows the network
SEED_MS = {
    "preprocess": 0.23,
    "network, 1 thread": 7.79,
    "network, 2 threads": 6.88,
    "network, 4 threads": 5.83,
    "postprocess, dense": 0.39,
    "render": 3.92,
}


def stages(model: str, seconds: float) -> list[dict[str, Any]]:
    """Rows (dicts) of the stages: name, what `latency` finds, and `seed_ms` where the seed has the stage.

    Each is measured for so many seconds. Raises HpeError when there is no such model or it finds no face.
    """
    image, camera = cv2.resize(parity.frames(240, 320)[0][0], SIZE), CameraModel.from_hfov(*SIZE, HFOV_DEG)
    pipeline = Pipeline(PipelineConfig(EstimatorConfig(model=model, backend=BACKEND, threads=1)), lambda text: None)
    faces = pipeline.process(image, camera, 0).faces
    if not faces:
        raise HpeError(f"{model} finds no face in the image that comes with the package: nothing to measure")
    calls = _calls(pipeline, image, camera, faces[0])
    return [
        {"stage": name} | latency(seconds, call) | ({"seed_ms": SEED_MS[name]} if name in SEED_MS else {})
        for name, call in calls.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as people read them."""
    lines = [f"{'stage':<28}{'p50 ms':>9}{'p95 ms':>9}  Dense-Head-Pose-Estimation, another processor"]
    for row in rows:
        seed = f"{row['seed_ms']:.2f}" if "seed_ms" in row else ""
        lines.append(f"{row['stage']:<28}{row['p50_ms']:>9.2f}{row['p95_ms']:>9.2f}  {seed}".rstrip())
    return "\n".join(lines)


def _calls(pipeline: Pipeline, image: np.ndarray, camera: CameraModel, face: Face) -> dict[str, Callable[[], object]]:
    """What to call for each stage, by its name."""
    method = catalogue.method_of(pipeline.config.estimator.model)
    of_crops = method.refiner is not None
    path = catalogue.path_of(method.refiner or method.detector)
    loaded = {threads: backends.create(BACKEND, path, threads) for threads in THREADS}
    card = loaded[1].card
    centre = face.pose.t_camera_head_m + face.pose.R_camera_head @ FACE_CENTRE_M
    range_m = np.array([np.linalg.norm(centre)])
    rays = centre[None] / range_m

    def canvas() -> np.ndarray:
        source = SourceImage(image)
        if of_crops:
            return crop_canvases(source, camera, rays, range_m, card.input_shape[1], card.shown_m).by_opencv()
        _, height, width, _ = card.input_shape
        return letterbox_canvas(source, width, height)[0].by_opencv()

    pixels = canvas()
    rows = loaded[1].run(pixels).astype(float)
    calls: dict[str, Callable[[], object]] = {"preprocess": canvas}
    for threads, backend in loaded.items():
        name = f"network, {threads} thread{'' if threads == 1 else 's'}"
        calls[name] = lambda backend=backend: backend.run(pixels)
    if of_crops:
        crops = crop_network(loaded[1]).decoder
        calls["postprocess, sparse"] = lambda: crops.decode(rows, np.ones(1), camera, rays, range_m)
    else:
        whole = whole_image_network(loaded[1]).decoder
        scales = letterbox_canvas(SourceImage(image), card.input_shape[2], card.input_shape[1])[1]
        threshold = pipeline.config.estimator.score_threshold
        calls["postprocess, sparse"] = lambda: whole.decode(rows[0], scales, threshold)
    if face.shape is not None:
        picture = image.copy()
        calls["postprocess, dense"] = lambda: mesh_of(face, shipped())

        def render() -> None:
            mesh = mesh_of(face, shipped_small())
            assert mesh is not None
            draw_mesh(picture, camera, mesh, "mesh")

        calls["render"] = render
    stamps = itertools.count(FRAME_NS, FRAME_NS)
    calls["whole pipeline, one face"] = lambda: pipeline.process(image, camera, next(stamps))
    return calls
