"""`HeadPose`: from photos and streams to faces, three lines of Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.api.boxes import checked_boxes
from hpe_core.api.face import FacePose
from hpe_core.api.faces import Faces
from hpe_core.api.images import ImageLike, bgr_of, is_image
from hpe_core.api.streams import StreamLike, opened
from hpe_core.api.track import Stream, Track
from hpe_core.catalogue import AUTO
from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG, CameraChoice, CameraFit, camera_from_yaml
from hpe_core.pipeline import Pipeline


class HeadPose:
    """Head poses from images. Make one and keep it: it loads the networks.

    model: a method or model as `hpe models` lists it. camera: a calibration (camera_info YAML as ROS's calibration
    writes it, or a CameraModel); without one the focal length follows from `hfov_deg`, the assumed horizontal field of
    view, and distances are as good as that. backend: as `hpe run --backend`. threads: of the networks, 0 for all cores.
    rgb: whether colour arrays that you give are RGB; the default is BGR, as OpenCV has them. Files and PIL images know
    it themselves. settings: anything else of PipelineConfig, as in `hpe run --config`, such as
    {"estimator": {"max_faces": 4}, "tracker": {"filter": False}}.

    It may be shared by threads; it works on one image at a time. For more at once make one per thread or process.
    Raises HpeError, in one line, when an argument is invalid or a model cannot be had.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = AUTO,
        camera: str | os.PathLike[str] | CameraModel | None = None,
        hfov_deg: float = DEFAULT_HFOV_DEG,
        backend: str = "auto",
        threads: int = 1,
        *,
        rgb: bool = False,
        settings: Mapping[str, Any] | None = None,
    ):
        if isinstance(hfov_deg, bool) or not isinstance(hfov_deg, int | float | np.number):
            raise HpeError(f"hfov_deg must be a number of degrees, got {hfov_deg!r}")
        self._hfov_deg, self._rgb = float(hfov_deg), bool(rgb)
        self._camera = _camera_of(camera)
        self._fit = CameraFit(self._hfov_deg)
        model = str(model) if isinstance(model, os.PathLike) else model
        self._pipeline = Pipeline(_config(settings, {"model": model, "backend": backend, "threads": threads}))
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        options = self._pipeline.config.estimator
        camera = f"hfov {self._hfov_deg:g} deg assumed"
        if self._camera is not None:
            camera = f"camera {self._camera.width}x{self._camera.height}"
        return f"<HeadPose: {options.model}, {self._pipeline.backend.name}, {camera}>"

    @overload
    def predict(self, image: ImageLike, boxes: ArrayLike | None = None) -> Faces: ...

    @overload
    def predict(self, image: Iterable[ImageLike], boxes: Sequence[ArrayLike] | None = None) -> list[Faces]: ...

    def predict(
        self, image: ImageLike | Iterable[ImageLike], boxes: ArrayLike | Sequence[ArrayLike] | None = None
    ) -> Faces | list[Faces]:
        """The Faces of an image, best score first; of several images a list with the Faces of each.

        Every image stands for itself: no ids, no filter, nothing remembered. image: a path, a uint8 or uint16 array
        (H, W), (H, W, 3) or (H, W, 4), a PIL image, or a list of them, of any sizes.

        boxes: of a face detector of your own, (N, 4) x0, y0, x1, y1 px; for a list of images a list of such. Nothing is
        searched then: faces come in the order of the boxes, `box_index` says for which. A box that shows no face gives
        none (`counts`). Needs a method with a crop network, which all but `head6dof` have.
        Raises HpeError when an image cannot be read, a box is none, or the camera is for images of another shape.
        """
        if is_image(image) and not (isinstance(image, np.ndarray) and image.ndim == 4):
            return self._predicted(image, boxes)  # type: ignore[arg-type]
        if isinstance(image, Mapping) or not isinstance(image, Iterable):
            hint = ": cv2.imread gives it for a file that it cannot read" if image is None else ""
            raise HpeError(f"predict takes an image or a list of images, got {type(image).__name__}{hint}")
        images = list(image)
        each: Sequence[Any] = [None] * len(images) if boxes is None else boxes  # type: ignore[assignment]
        if not isinstance(each, Sequence | np.ndarray) or len(each) != len(images):
            raise HpeError(f"boxes for {len(images)} images must be a list of as many arrays (N, 4)")
        return [self._of_list(index, one, its) for index, (one, its) in enumerate(zip(images, each, strict=True))]

    def track(self, source: StreamLike, *, fps: float | None = None, topic: str | None = None) -> Track:
        """Iterate over a stream: every frame with its tracked, filtered faces, which keep their ids.

        source: a camera by its index, an rtsp:// (or http://) address, a video, a rosbag2 (topic: its image topic), or
        an iterable of (image, stamp_ns) with images as for `predict`. Stamps are whole nanoseconds and increase. fps
        gives stamps to images that have none: a bare iterable of images, and the images of a folder or a pattern
        ("frames/*.png"), which without fps are unrelated photographs: no ids, no filter.

        Each call tracks for itself; several may go on at once. Raises HpeError, here or while iterating, when there is
        no such source, an image has no stamp or that of the image before.
        """
        related, images = opened(source, fps, topic, self._rgb)
        cameras = CameraChoice(self._camera, self._hfov_deg)
        pipeline = self._pipeline.another_stream()
        return Track(Stream(images, related, pipeline, cameras, self._lock, self._check_size, self._rgb))

    def _of_list(self, index: int, image: ImageLike, boxes: ArrayLike | None) -> Faces:
        try:
            return self._predicted(image, boxes)
        except HpeError as error:
            raise HpeError(f"image {index} of the list: {error}") from error

    def _predicted(self, image: ImageLike, boxes: ArrayLike | None) -> Faces:
        image_bgr = bgr_of(image, self._rgb)
        height, width = image_bgr.shape[:2]
        self._check_size(width, height)
        boxes_px = None if boxes is None else checked_boxes(boxes, width, height)
        with self._lock:
            camera = self._fit.of(self._camera, width, height, "the camera").camera
            if boxes_px is not None:
                result, rows = self._pipeline.process_boxes(image_bgr, camera, boxes_px)
                faces = [FacePose(face, camera, row) for face, row in zip(result.faces, rows, strict=True)]
            else:
                self._pipeline.reset()
                result = self._pipeline.process(image_bgr, camera, 0)
                best_first = sorted(result.faces, key=lambda face: -face.score)
                faces = [FacePose(replace(face, face_id=None), camera) for face in best_first]
        return Faces(faces, camera, result.counts, self._rgb, result.candidate_boxes_px)

    def _check_size(self, width: int, height: int) -> None:
        """Raises HpeError when a given camera cannot be that of an image of width x height."""
        if self._camera is not None and self._fit.of(self._camera, width, height, "the camera").source == "assumed":
            size = f"{self._camera.width}x{self._camera.height}"
            raise HpeError(
                f"the camera is for images of {size}, or that resized, and this one is {width}x{height}: give the "
                "calibration of this image, or none"
            )


def _config(settings: Mapping[str, Any] | None, arguments: dict[str, Any]) -> PipelineConfig:
    """PipelineConfig of `settings`, with arguments of the estimator that it does not name."""
    if not isinstance(settings, Mapping | None):
        raise HpeError(f"settings must be a dict, got {type(settings).__name__}")
    config = overridden(PipelineConfig(), dict(settings or {}))
    twice = arguments.keys() & (settings or {}).get("estimator", {}).keys()
    if twice:
        raise HpeError(f"{', '.join(sorted(twice))} is an argument of HeadPose: leave it out of settings")
    return overridden(config, {"estimator": arguments})


def _camera_of(camera: str | os.PathLike[str] | CameraModel | None) -> CameraModel | None:
    if camera is None or isinstance(camera, CameraModel):
        return camera
    if isinstance(camera, str | os.PathLike):
        return camera_from_yaml(Path(camera))
    raise HpeError(f"camera must be None, a camera_info YAML file or a CameraModel, got {type(camera).__name__}")
