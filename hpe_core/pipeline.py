"""The main job: one image with its camera and stamp in, tracked faces with metric 6DoF poses out."""

import logging
import time
from dataclasses import fields, replace

from hpe_core import backends, model_store, registry
from hpe_core.errors import HpeError
from hpe_core.geometry.head import head_size_covariance
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import FrameResult

log = logging.getLogger(__name__)


class Pipeline:
    """Estimator and tracker behind one call; build it once, it loads the model.

    progress(text) hears what takes long, such as building an engine. Raises HpeError when the model or the backend
    cannot be had.
    """

    def __init__(self, config, progress=log.warning):
        self.config = config
        options = config.estimator
        path = model_store.path_of(options.model)
        self.backend = backends.create(options.backend, path, options.threads, progress)
        module = registry.load("hpe_core.estimators", self.backend.card.get("estimator"))
        self._estimator = module.Estimator(self.backend, options)
        self._tracker = Tracker(config.tracker)

    @property
    def card(self):
        """The model's description (dict) as stored in the model file."""
        return self.backend.card

    def reset(self):
        """Forget all faces, as before a new stream."""
        self._tracker.reset()

    def reconfigure(self, config):
        """Take over another PipelineConfig from the next image on; faces keep their ids.

        Raises HpeError when an option differs that is not `live`: those need another Pipeline.
        """
        old, new = self.config.estimator, config.estimator
        fixed = [f.name for f in fields(new) if not f.metadata["live"] and getattr(old, f.name) != getattr(new, f.name)]
        if fixed:
            raise HpeError(f"{', '.join(fixed)} cannot change while the model is loaded")
        self.config = config
        self._estimator.reconfigure(config.estimator)
        self._tracker.reconfigure(config.tracker)

    def process(self, image_bgr, camera, stamp_ns):
        """FrameResult of one image (H, W, 3) uint8 BGR of `camera` (CameraModel) taken at stamp_ns."""
        faces, stage_s = self._estimator.estimate(image_bgr, camera)
        start = time.perf_counter()
        tracked, untracked = self._tracker.update(faces, stamp_ns)
        published = tuple(replace(face, pose=with_head_size(face.pose)) for face in tracked)
        stage_s["tracking"] = time.perf_counter() - start
        return FrameResult(stamp_ns, published, stage_s, untracked)


def with_head_size(pose):
    """The pose with the spread of adult head sizes in its covariance."""
    covariance = pose.covariance.copy()
    covariance[:3, :3] += head_size_covariance(pose.t_camera_head_m)
    return replace(pose, covariance=covariance)
