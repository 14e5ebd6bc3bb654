"""Faces of one image, untracked: ROI tracking, full-frame detection when it is due, refinement of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hpe_core.candidates import Candidates, Places
from hpe_core.config import EstimatorConfig
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import REFERENCE_LENGTH_M, REFERENCE_POINTS_M
from hpe_core.networks.network import Network, WholeImageDecoder
from hpe_core.pipeline.detect import Detector, Look
from hpe_core.pipeline.poses import faces_from_candidates
from hpe_core.pipeline.refine import Refiner
from hpe_core.pipeline.roi_tracking import (
    confirmed_first,
    each_once,
    expected_places,
    rays_of,
    seen_again,
    tracked,
    wanted_first,
)
from hpe_core.pipeline.stopwatch import Stopwatch
from hpe_core.pixels.canvas import SourceImage, check_image
from hpe_core.types import Face

PASSES_OF_NEW = 2  # refinement passes over a face that is not tracked yet: the first one centres its crop
PASSES_OF_A_BOX = 3  # detectors draw their boxes differently: one pass more, as a crop may start half as large again
# side of a box (square root of its area) around a frontal head of mean size
BOX_SIDE_M = float(np.sqrt(np.prod(np.ptp(REFERENCE_POINTS_M[:, :2], axis=0))))


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """Faces of one image. full_frame: whether full-frame detection ran; full_size: and was no quick look; search: if
    not, and it was to be put off, what runs it; stage_s: seconds per stage; counts and candidate_boxes_px: as in
    FrameResult.
    """

    faces: list[Face]
    full_frame: bool
    full_size: bool = False
    search: Callable[[], Look] | None = None
    stage_s: dict[str, float]
    counts: dict[str, int]
    candidate_boxes_px: np.ndarray


class Estimator:
    """Faces by a whole-image network and, unless it is None, a Refiner. Covariances are without the head-size prior.

    quick() is asked once for the same network at half size, when there is use for it; None: there is none.
    """

    def __init__(
        self,
        network: Network[WholeImageDecoder],
        config: EstimatorConfig,
        refiner: Refiner | None = None,
        quick: Callable[[], Network[WholeImageDecoder] | None] = lambda: None,
    ):
        self._detector, self._config, self._refiner = Detector(network), config, refiner
        self._make_quick, self._quick = quick, None

    @property
    def can_track(self) -> bool:
        """Whether it makes anything of expected faces."""
        return self._refiner is not None and self._refiner.places_faces

    def quick_detector(self) -> Detector:
        """What makes quick looks. The first call loads the network, some 30 ms, so it comes before one is due."""
        if self._quick is None:
            network = self._make_quick()
            self._quick = self._detector if network is None else Detector(network, quick=True)
        return self._quick

    def _detector_for(self, quick: bool) -> Detector:
        return self.quick_detector() if quick else self._detector

    def reconfigure(self, config: EstimatorConfig) -> None:
        """Go on with other thresholds."""
        self._config = config

    def estimate(
        self,
        image_bgr: np.ndarray,
        camera: CameraModel,
        expected: Sequence[Face] = (),
        full_frame: bool = True,
        known: Callable[[], Sequence[Face]] = tuple,
        earlier: Look | None = None,
        put_off: bool = False,
        quick: bool = False,
    ) -> Estimate:
        """The Estimate of an image (H, W, 3) uint8, as the camera delivers it (distorted).

        expected: faces of a moment ago where they should be now; their crops come first. Without `full_frame` the whole
        image is searched only when one of them is lost. They stand before new faces, which stand best score first,
        those that their crops confirm before the others. known() is asked where there are more than max_faces: faces
        that are taken first, then large and sure ones; the others are counted as `untracked`. earlier: what the
        `search` of the image before found; put_off: this image gets one, too, where full-frame detection does not run;
        quick: either is but a quick look, where none of the expected faces is lost; if that does not show one of them
        as it should, detection at full size follows at once, and whom it shows besides has the crop's rotation alone.
        Raises HpeError when the image is not uint8 BGR or its size is not the camera's.
        """
        check_image(image_bgr, camera)
        image = _OneImage(SourceImage(image_bgr), camera, Stopwatch())
        most = self._config.max_faces
        refiner = self._refiner
        expected = expected[:most] if self.can_track else ()
        beyond = 0
        found = _tracked(refiner, expected, image) if refiner and len(expected) else Candidates.empty()
        if not len(expected) or len(found) < len(expected):
            full_frame, quick = True, False
        look = self._look(image, quick) if full_frame else earlier
        newcomers = look.newcomers(found) if look is not None and look.quick else None
        if look is not None and look.quick and newcomers is None:
            full_frame, look = True, self._look(image, quick=False)
        if look is not None:
            detected = _on_this(image, look.found if newcomers is None else newcomers)
            if len(expected) and newcomers is None:
                found, detected = seen_again(found, detected)
            if len(detected) > most - len(found):
                beyond = len(detected) - (most - len(found))
                detected = wanted_first(detected, most - len(found), expected_places(known(), camera))
            if refiner is None:
                found = detected
            elif len(detected):  # crops of two candidates can lead to one face
                new = _refined(refiner, detected, image, None if look.quick else detected, PASSES_OF_NEW)
                found = each_once(confirmed_first(found.concat(new)))
        search = None
        if put_off and not full_frame:
            search = self._detector_for(quick).prepared(image.source, self._config.score_threshold, image.watch)
        faces = faces_from_candidates(found, camera)
        counts = {"untracked": beyond} | image.counts() | (refiner.take_counts() if refiner else {})
        image.watch.rest("postprocess")
        return Estimate(
            faces=faces,
            full_frame=full_frame,
            full_size=full_frame and look is not None and not look.quick,
            search=search,
            stage_s=image.watch.stage_s,
            counts=counts,
            candidate_boxes_px=image.candidate_boxes_px(),
        )

    def _look(self, image: _OneImage, quick: bool) -> Look:
        return self._detector_for(quick).detect(image.source, self._config.score_threshold, image.watch)

    def estimate_at(
        self, image_bgr: np.ndarray, camera: CameraModel, boxes_px: np.ndarray
    ) -> tuple[Estimate, list[int]]:
        """The Estimate of the faces in boxes (N, 4) x0, y0, x1, y1 of another detector; and the row of each one's box.

        Every box is answered for itself: two around the same face give it twice. A box without a face gives a face that
        its crop does not confirm (nor deny, where the network cannot tell), or none, when refinement leaves the image
        or the lens has no ray (`beyond_lens`). Raises HpeError as `estimate` does, and without a crop network.
        """
        if self._refiner is None:
            raise HpeError("boxes need a method with a crop network (fusion, crop6dof, nlml), this model has none")
        check_image(image_bgr, camera)
        image = _OneImage(SourceImage(image_bgr), camera, Stopwatch())
        places = places_in_boxes(boxes_px)
        image.places.append(places)
        rows = np.flatnonzero(image.with_ray(places))
        with image.watch("refinement"):
            seen = self._refiner.refine(places.where(rows), image.source, camera, passes=PASSES_OF_A_BOX)
            kept = np.flatnonzero(image.with_pose(seen) & camera.on_image(seen.centre_px))
        faces = faces_from_candidates(seen.where(kept), camera)
        counts = image.counts() | self._refiner.take_counts()
        image.watch.rest("postprocess")
        estimate = Estimate(
            faces=faces,
            full_frame=False,
            stage_s=image.watch.stage_s,
            counts=counts,
            candidate_boxes_px=image.candidate_boxes_px(),
        )
        return estimate, rows[kept].tolist()


@dataclass(eq=False)
class _OneImage:
    """What is at hand while one image is worked on; beyond_lens, unconfirmed: candidates without a pose, for want of a
    ray and of a rotation; places: where a face was expected or detected."""

    source: SourceImage
    camera: CameraModel
    watch: Stopwatch
    beyond_lens: int = 0
    unconfirmed: int = 0
    places: list[Places] = field(default_factory=list)

    def with_ray(self, found: Places) -> np.ndarray:
        """Mask (N,) of those whose centre has a ray; the others are counted."""
        has = np.asarray(np.isfinite(rays_of(found, self.camera)).all(-1))
        self.beyond_lens += len(has) - int(np.count_nonzero(has))
        return has

    def with_pose(self, found: Candidates) -> np.ndarray:
        """Mask (N,) of those with a ray and a rotation; the others are counted."""
        has_ray, has_rotation = self.with_ray(found), np.isfinite(found.R_local).all((1, 2))
        has_pose = has_ray & has_rotation
        self.unconfirmed += int(np.count_nonzero(has_ray)) - int(np.count_nonzero(has_pose))
        return has_pose

    def counts(self) -> dict[str, int]:
        """Of candidates without a pose, by reason."""
        return {"beyond_lens": self.beyond_lens, "unconfirmed": self.unconfirmed}

    def candidate_boxes_px(self) -> np.ndarray:
        """As in FrameResult."""
        boxes = [np.zeros((0, 4))]
        for found in self.places:
            half = 0.5 * found.size_px[:, None]
            boxes.append(np.concatenate([found.centre_px - half, found.centre_px + half], 1))
        return np.concatenate(boxes)


def places_in_boxes(boxes_px: np.ndarray) -> Places:
    """Places of faces that boxes (N, 4) x0, y0, x1, y1 frame from ear to ear and from the hairline to the chin."""
    low, high = boxes_px[:, :2], boxes_px[:, 2:]
    side_px = np.sqrt(np.prod(high - low, axis=-1))
    return Places(
        score=np.ones(len(boxes_px)),
        centre_px=0.5 * (low + high),
        size_px=side_px * REFERENCE_LENGTH_M / BOX_SIDE_M,
    )


def _on_this(image, found):
    """Candidates of full-frame detection that the image shows."""
    image.places.append(found)
    found = found.where(image.camera.on_image(found.centre_px))
    return found.where(image.with_ray(found))


def _tracked(refiner, faces, image):
    """Candidates of the faces that their crops show again."""
    expected = expected_places(faces, image.camera)
    image.places.append(expected)
    expected = expected.where(image.camera.on_image(expected.centre_px))
    with image.watch("refinement"):
        found = refiner.refine(expected, image.source, image.camera)
        kept = image.with_pose(found) & image.camera.on_image(found.centre_px)
    return tracked(found.where(kept), expected.where(kept))


def _refined(refiner, places, image, found, passes):
    """Candidates of refinement."""
    with image.watch("refinement"):
        seen = refiner.refine(places, image.source, image.camera, found, passes)
        return seen.where(image.with_pose(seen) & image.camera.on_image(seen.centre_px))
