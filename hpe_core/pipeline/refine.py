"""Refinement: every face again, in the face-centred crop of a virtual camera that is turned to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates, Places
from hpe_core.geometry.camera import CameraModel
from hpe_core.networks.network import CropDecoder, Network
from hpe_core.pipeline.roi_tracking import rays_and_ranges
from hpe_core.pixels.canvas import SourceImage, crop_canvases
from hpe_core.rotations.source import RotationSource

MIRRORED_UP_TO = 3  # crops of one image with test-time augmentation: it is twice the time of the network
# where another pass makes nothing better, by the standard deviation of the face's centre: 98 % of faces in photos, 79 %
# of rendered ones in every direction, which come out as well (mean error 2.81 and 4.41 degrees, with it 2.83 and 4.45)
SURE_CENTRE_REL_STD, SURE_SIZE_RATIO = 0.03, 1.3
SURE_SHIFT = 0.2  # of the size, from the middle of the crop
NO_FACE_CENTRE_REL_STD = 0.07  # no crop of 840 faces that a second pass confirms gave so much


class Refiner:
    """Candidates as their crops show them.

    Up to mirrored_up_to crops of an image go through the network as they are and mirrored, and what is said of both is
    averaged (test-time augmentation). A crop of which the network is doubtful goes through it turned by 180 degrees
    too: an upside-down face is then read right.
    """

    def __init__(self, network: Network[CropDecoder], rotation: RotationSource, mirrored_up_to: int = MIRRORED_UP_TO):
        self._network, self._rotation, self._mirrored_up_to = network, rotation, mirrored_up_to
        self._side, self._crop_m = network.card.input_shape[1], network.card.shown_m

    @property
    def places_faces(self) -> bool:
        """As the network's CropDecoder."""
        return self._network.decoder.places_faces

    def refine(
        self,
        places: Places,
        source: SourceImage,
        camera: CameraModel,
        found: Candidates | None = None,
        passes: int = 1,
    ) -> Candidates:
        """Candidates at N places, whose centres have a ray, in the same order; centre_px is NaN where a crop places the
        face beyond the lens (CameraModel.in_range), R_local where it gives no rotation.

        found: the same faces by full-frame detection, for rotations of both; each of several passes but the last two
        only places the next crop, and the last one is left out where the one before it has settled what is seen. A
        network that places no face has one pass. Raises HpeError when the network's output is not finite.
        """
        if len(places) == 0:
            return Candidates.empty()
        passes = passes if self.places_faces else 1
        mirrored = len(places) <= self._mirrored_up_to
        for _ in range(passes - 2):
            seen, _ = self._seen(places, source, camera, mirrored=False)
            places = next_places(places, seen, camera)
        seen, upside_down = self._seen(places, source, camera, mirrored)
        open_rows = np.flatnonzero(~settled(places, seen)) if passes > 1 else np.zeros(0, int)
        if len(open_rows):
            closer = next_places(places.where(open_rows), seen.where(open_rows), camera)
            again, again_upside_down = self._seen(closer, source, camera, mirrored)
            latest = np.arange(len(places))
            latest[open_rows] = len(places) + np.arange(len(open_rows))
            seen = seen.concat(again).where(latest)
            upside_down = np.concatenate([upside_down, again_upside_down])[latest]
        return self._rotation.rotated(seen, upside_down, found)

    def take_counts(self) -> dict[str, int]:
        """What the rotations counted since this was last asked."""
        return self._rotation.take_counts()

    def _seen(self, places, source, camera, mirrored):
        """Candidates of the crops at places, and which of them (N,) were read upside down."""
        decoder = self._network.decoder
        rays, range_m = rays_and_ranges(places, camera)
        rows = self._rows(source, camera, rays, range_m, mirrored)
        upside_down = np.zeros(len(rows), bool)
        doubtful = decoder.doubtful(rows).nonzero()[0]
        if not len(doubtful) or (confirmed := decoder.confirmed(rows)) is None:
            return decoder.decode(rows, places.score, camera, rays, range_m), upside_down
        turned = self._rows(source, camera, rays[doubtful], range_m[doubtful], mirrored, upside_down=True)
        confirmed[doubtful], upside_down[doubtful] = decoder.better_way_up(rows[doubtful], turned)
        rows[upside_down] = turned[upside_down[doubtful]]
        return replace(decoder.decode(rows, places.score, camera, rays, range_m), confirmed=confirmed), upside_down

    def _rows(self, source, camera, rays, range_m, mirrored, upside_down=False):
        """Rows (N, C) of the crops, in the axes of the virtual camera whichever way up the crops are."""
        canvases = crop_canvases(source, camera, rays, range_m, self._side, self._crop_m, mirrored, upside_down)
        rows = self._network.rows(canvases).astype(float)
        if mirrored:
            rows = 0.5 * (rows[: len(rays)] + self._network.decoder.mirrored(rows[len(rays) :]))
        return self._network.decoder.half_turned(rows) if upside_down else rows


def settled(places: Places, seen: Candidates) -> np.ndarray:
    """Mask (N,) of what another pass would not change: faces that a crop at these places shows surely and in its
    middle, and what is no face.
    """
    shift_px = np.linalg.norm(seen.centre_px - places.centre_px, axis=-1)
    larger, smaller = np.maximum(seen.size_px, places.size_px), np.minimum(seen.size_px, places.size_px)
    in_place = (shift_px < SURE_SHIFT * places.size_px) & (larger < SURE_SIZE_RATIO * smaller)
    sure = in_place & (seen.centre_rel_std < SURE_CENTRE_REL_STD)
    return sure | (seen.centre_rel_std > NO_FACE_CENTRE_REL_STD)


def next_places(places: Places, seen: Candidates, camera: CameraModel) -> Places:
    """Where the crops of the next pass go: as those of this one show the faces, on the image; where the camera has no
    ray there, as before.
    """
    nearest = np.clip(seen.centre_px, 0.0, [camera.width - 1.0, camera.height - 1.0])
    has_ray = np.all(np.isfinite(camera.rays(nearest)), -1)
    return Places(
        score=places.score,
        centre_px=np.where(has_ray[:, None], nearest, places.centre_px),
        size_px=np.where(has_ray, seen.size_px, places.size_px),
    )
