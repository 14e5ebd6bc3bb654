"""The main job: one image with its camera and stamp in, tracked faces with metric 6DoF poses out."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from hpe_core import backends, catalogue
from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.inference import Backend
from hpe_core.network_card import CROP, STEP_PX, WHOLE_IMAGE, NetworkCard
from hpe_core.networks.network import Network, WholeImageDecoder, crop_network, whole_image_network
from hpe_core.pipeline.depth_range import with_depth
from hpe_core.pipeline.detect import Look
from hpe_core.pipeline.estimator import Estimator
from hpe_core.pipeline.image_rotation import (
    delivered_box,
    delivered_face,
    upright_boxes,
    upright_camera,
    upright_from_delivered,
    upright_image,
)
from hpe_core.pipeline.poses import with_mesh_landmarks, with_systematic_spread
from hpe_core.pipeline.refine import MIRRORED_UP_TO, Refiner
from hpe_core.pipeline.stopwatch import Stopwatch
from hpe_core.pixels.canvas import check_image
from hpe_core.pixels.depth import DepthImage
from hpe_core.rotations import source_of
from hpe_core.tracking.head_size import at_size_of_identity
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import FrameResult

WRONG_KIND = {CROP: "for face crops, not for whole images", WHOLE_IMAGE: "for whole images, not for face crops"}
log = logging.getLogger(__name__)


class Pipeline:
    """Estimator and tracker behind one call; build it once, it loads the model.

    progress(text) hears what takes long, such as building an engine; create: as hpe_core.backends.create, for pipelines
    that share their models. Raises HpeError when the model or the backend cannot be had.
    """

    def __init__(
        self,
        config: PipelineConfig,
        progress: Callable[[str], None] = log.warning,
        create: Callable[..., Backend] = backends.create,
    ):
        self._create = create
        self.config = config = with_method(config)
        method, refiner = catalogue.method_of(config.estimator.model), None
        self.models: list[tuple[Path, Backend]] = []  # every model file in use
        self.backend = self._loaded(method.detector, WHOLE_IMAGE, progress, config.estimator.detector_size)
        if method.refiner:
            backend = self._loaded(method.refiner, CROP, progress)
            mirrored = MIRRORED_UP_TO if method.mirrored else 0
            refiner = Refiner(crop_network(backend), source_of(method.rotation, backend.card), mirrored)
        network = whole_image_network(self.backend)
        self._estimator = Estimator(network, config.estimator, refiner, lambda: self._quick_network(progress))
        self._tracker = Tracker(config.tracker)
        self._upright: tuple[CameraModel, CameraModel] | None = None  # as delivered, of the upright image
        self._stamp_ns: int | None = None  # of the latest image
        self._full_frame_ns: int | None = None  # of the latest image with full-frame detection
        self._full_size_ns: int | None = None  # of the latest one with more than a quick look
        self._search: Callable[[], Look] | None = None  # of the latest image, put off
        self._searched: Look | None = None  # what that found

    def _loaded(self, model, kind, progress, width=0):
        """Backend of a model by name or path that must be of this kind; width: as of hpe_core.backends.create."""
        options = self.config.estimator
        path = catalogue.path_of(model)
        backend = self._create(options.backend, path, options.threads, progress, width)
        self.models.append((path, backend))
        if backend.card.kind != kind:
            raise HpeError(f"model '{model}' is {WRONG_KIND[backend.card.kind]}: name them as WHOLE_IMAGE+CROP")
        return backend

    def _quick_network(self, progress: Callable[[str], None]) -> Network[WholeImageDecoder] | None:
        """The whole-image network at half the width; None where the model has one size, or not on a CPU, where it takes
        little time at any."""
        if not self.card.free_sides or self.backend.name != backends.CPU:
            return None
        path, _ = self.models[0]
        width = -(-self.backend.input_shape[2] // (2 * STEP_PX)) * STEP_PX
        return whole_image_network(self._create(backends.CPU, path, self.config.estimator.threads, progress, width))

    def another_stream(self) -> Pipeline:
        """A Pipeline of the same loaded networks with faces, ids and stamps of its own. Not for another thread: one
        call at a time for all that share the networks; `reconfigure` reaches the estimator of all."""
        other = copy.copy(self)
        other._tracker = Tracker(self.config.tracker)
        other.reset()
        return other

    @property
    def card(self) -> NetworkCard:
        """The NetworkCard of the model that finds the faces."""
        return self.backend.card

    @property
    def tells_shape(self) -> bool:
        """Whether its faces have a shape (hpe_core.types.FaceShape), of which there are meshes and expressions."""
        return any("expression" in backend.card.columns for _, backend in self.models)

    def reset(self) -> None:
        """Forget all faces, as before a new stream."""
        self._tracker.reset()
        self._stamp_ns = self._full_frame_ns = self._full_size_ns = self._search = self._searched = None

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over another PipelineConfig from the next image on; faces keep their ids.

        Raises HpeError when an option differs that cannot change at run time: that needs another Pipeline.
        """
        config = with_method(config)
        fixed = [
            f.name
            for old, new in ((self.config.estimator, config.estimator), (self.config.tracker, config.tracker))
            for f in fields(new)
            if not f.metadata["at_run_time"] and getattr(old, f.name) != getattr(new, f.name)
        ]
        if fixed:
            raise HpeError(f"{', '.join(fixed)} cannot change while the model is loaded")
        self.config = config
        self._estimator.reconfigure(config.estimator)
        self._tracker.reconfigure(config.tracker)

    def process(
        self,
        image_bgr: np.ndarray,
        camera: CameraModel,
        stamp_ns: int,
        depth: DepthImage | Callable[[], DepthImage | None] | None = None,
        put_off: bool = False,
    ) -> FrameResult:
        """FrameResult of one image (H, W, 3) uint8 BGR of `camera` taken at stamp_ns.

        A face that its crop does not confirm is counted and not published: the whole-image network alone takes the back
        of a head for a face. Its track waits for the face, silently, until timeout_s. Where image_rotation is not 0 the
        image is worked on upright; the result is about the image as delivered.

        Faces of the image before are tracked from crop to crop (ROI tracking); full-frame detection runs when one of
        them is lost or detection_interval_s have passed, and on every image where the crops place no faces. After so
        long a pause, or when time stands still, no face is tracked by its crop. While all are tracked, detection is a
        quick look at half size but for once in small_faces_interval_s, where the model's input can be of that size.

        depth: the DepthImage of the same moment, or what gives it (None where there is none): that is asked once the
        faces are found, for depth images come later, and not where there is no face.

        put_off: full-frame detection that no face waits for is left to `search`, to be called when this result is out;
        until then the image must stay as it is. Who is new in this image is then in the next result, and detection runs
        one image earlier, so that nobody waits longer.
        """
        self.search()
        earlier, self._searched = self._searched, None
        delivered, rotation = camera, self.config.estimator.image_rotation
        if rotation:
            check_image(image_bgr, camera)
            image_bgr, camera = upright_image(image_bgr, rotation), self._upright_camera(camera)
        interval_ns = self.config.estimator.detection_interval_s * 1e9
        recent = self._stamp_ns is not None and 0 < stamp_ns - self._stamp_ns < interval_ns
        expected = self._tracker.expected(stamp_ns) if recent and self._estimator.can_track else ()
        lost = not expected or self._tracker.misses_a_face
        ahead_ns = 0 if lost or not put_off or self._stamp_ns is None else stamp_ns - self._stamp_ns
        due = lost or self._full_frame_ns is None or stamp_ns + ahead_ns - self._full_frame_ns >= interval_ns
        small_ns = self.config.estimator.small_faces_interval_s * 1e9
        quick = not lost and self._full_size_ns is not None and stamp_ns + ahead_ns - self._full_size_ns < small_ns
        if expected and small_ns:
            self._estimator.quick_detector()
        known = functools.partial(self._tracker.known, stamp_ns)
        put_off = put_off and not lost
        estimate = self._estimator.estimate(
            *(image_bgr, camera, expected, due and not put_off, known, earlier if recent else None),
            put_off=due and put_off,
            quick=quick,
        )
        self._search = estimate.search
        watch = Stopwatch()
        seen = [face for face in estimate.faces if face.confirmed is not False]
        without_rotation = estimate.counts["unconfirmed"]
        counts = estimate.counts | {"unconfirmed": without_rotation + len(estimate.faces) - len(seen)}
        if depth is not None and seen:
            depth = depth if isinstance(depth, DepthImage) else depth()
            if depth is not None:
                seen, of_depth = with_depth(seen, self._upright_depth(depth))
                counts |= of_depth
            watch.rest("depth")
        tracked, untracked = self._tracker.update(seen, stamp_ns, self.config.estimator.max_faces, camera)
        self._stamp_ns = stamp_ns
        if estimate.full_frame or estimate.search:
            self._full_frame_ns = stamp_ns
        if estimate.full_size or (estimate.search and not quick):
            self._full_size_ns = stamp_ns
        published = self._published(tracked, delivered)
        counts["untracked"] += untracked
        watch.rest("tracking")
        boxes = self._delivered_boxes(estimate, delivered)
        return FrameResult(stamp_ns, published, estimate.stage_s | watch.stage_s, counts, boxes)

    def search(self) -> None:
        """Full-frame detection of the latest image, where `process` has put it off; else nothing."""
        if self._search is not None:
            search, self._search = self._search, None
            self._searched = search()

    def process_boxes(
        self, image_bgr: np.ndarray, camera: CameraModel, boxes_px: np.ndarray
    ) -> tuple[FrameResult, list[int]]:
        """FrameResult of the faces in boxes (N, 4) x0, y0, x1, y1 px of another detector, and the rows of their boxes.

        Nothing is remembered or filtered: faces have no id, the stamp is 0. Boxes that give no face are counted:
        `beyond_lens`, the rest `unconfirmed`. Raises HpeError without a crop network.
        """
        delivered, rotation = camera, self.config.estimator.image_rotation
        if rotation:
            check_image(image_bgr, camera)
            image_bgr, camera = upright_image(image_bgr, rotation), self._upright_camera(camera)
            boxes_px = upright_boxes(boxes_px, camera, rotation)
        estimate, rows = self._estimator.estimate_at(image_bgr, camera, boxes_px)
        seen = [(face, row) for face, row in zip(estimate.faces, rows, strict=True) if face.confirmed is not False]
        faces = self._published([at_size_of_identity(face) for face, _ in seen], delivered)
        without = len(boxes_px) - len(seen) - estimate.counts["beyond_lens"]
        counts = {"untracked": 0} | estimate.counts | {"unconfirmed": without}
        boxes = self._delivered_boxes(estimate, delivered)
        return FrameResult(0, faces, estimate.stage_s, counts, boxes), [row for _, row in seen]

    def _published(self, faces, delivered):
        """The faces of the upright image in the delivered one, with what no filter may average away."""
        poses = with_systematic_spread(faces)
        published = tuple(with_mesh_landmarks(face.changed(pose=pose)) for face, pose in zip(faces, poses, strict=True))
        rotation = self.config.estimator.image_rotation
        return tuple(delivered_face(face, delivered, rotation) for face in published) if rotation else published

    def _upright_depth(self, depth: DepthImage) -> DepthImage:
        """The DepthImage registered to the upright image."""
        rotation = self.config.estimator.image_rotation
        if not rotation:
            return depth
        return replace(depth, R_depth_camera=depth.R_depth_camera @ upright_from_delivered(rotation).T)

    def _delivered_boxes(self, estimate, delivered):
        """The boxes (M, 4) of all candidates in the delivered image."""
        rotation = self.config.estimator.image_rotation
        boxes = estimate.candidate_boxes_px
        return delivered_box(boxes.T, delivered, rotation).T if rotation else boxes

    def _upright_camera(self, camera):
        """The CameraModel of the upright image, made again only when the camera changes."""
        if self._upright is None or self._upright[0] is not camera:
            self._upright = camera, upright_camera(camera, self.config.estimator.image_rotation)
        return self._upright[1]


def with_method(config: PipelineConfig) -> PipelineConfig:
    """The PipelineConfig with a method for the model `auto`, which depends on where the backend infers."""
    options = config.estimator
    if options.model != catalogue.AUTO:
        return config
    on_cpu = backends.first_available(options.backend) == backends.CPU
    return replace(config, estimator=replace(options, model=catalogue.auto_method(on_cpu)))
