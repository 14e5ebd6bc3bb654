"""MediaPipe's face mesh as a method: its own detection, 468 points, and the rotation that carries a mean head there.

MediaPipe publishes a mesh, no rotation in our frame: the mean mesh in the head frame (training.label.landmarks), found
from the consensus of the other baselines on photographs, is laid onto it by least squares.
"""

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.answers import NO_FACE, OTHER_FACES, Answer, assigned, false_boxes
from hpe_core.evaluation.images.evaluate import OWN_DETECTION, Absent
from hpe_core.geometry.lookat import global_from_local
from hpe_core.geometry.rigid import rotation_between_points
from training.label.landmarks import FIT_WEIGHT, MeanMesh, landmarks68
from training.measure.mediapipe_process import MediaPipeProcess

MAX_FACES = 8


def mediapipe_baseline():
    """MediaPipeBaseline, or an Absent where MediaPipe does not run."""
    try:
        return MediaPipeBaseline(MediaPipeProcess(video=False, faces=MAX_FACES))
    except HpeError as error:
        return Absent(OWN_DETECTION, str(error))


class MediaPipeBaseline:
    """A face mesh (MediaPipeProcess) on whole images."""

    faces_from = OWN_DETECTION

    def __init__(self, mesh):
        self._mesh = mesh
        self._head = landmarks68(MeanMesh.load().points_m)

    def answers(self, image, camera, samples):
        """List of Answer for the Samples of one image (H, W, 3) of `camera`."""
        points, _ = self._mesh.points(image)
        boxes = np.array([[*p[:, :2].min(0), *p[:, :2].max(0)] for p in points]).reshape(-1, 4)
        out = []
        for i, (sample, index) in enumerate(zip(samples, assigned(boxes, samples, camera), strict=True)):
            false = false_boxes(boxes, sample) if i == 0 else 0 if sample.others_px is not None else None
            if index is None:
                out.append(Answer(sample, reason=OTHER_FACES if len(boxes) else NO_FACE, false=false))
                continue
            R = rotation_between_points(self._head, landmarks68(points[index]), FIT_WEIGHT)[0]
            if not sample.local:
                R = global_from_local(R, camera.rays(0.5 * (boxes[index, :2] + boxes[index, 2:])), 1.0)[0]
            out.append(Answer(sample, R, false=false))
        return out
