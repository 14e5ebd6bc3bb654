"""MediaPipe's face mesh as a method: its own detection, 468 points, and the rotation that carries a mean head there.

MediaPipe publishes a mesh, no rotation in our frame: twelve of its points are laid onto the same points of the mean
head (training.photos.bfm_frame) by the similarity of least squares (Umeyama, 1991).
"""

import numpy as np

from hpe_core.evaluation.answers import NO_FACE, OTHER_FACES, Answer, assigned, false_boxes
from hpe_core.evaluation.image_evaluation import OWN_DETECTION, Absent
from hpe_core.geometry.lookat import global_from_local
from hpe_core.geometry.so3 import project_to_rotation
from training.photos.bfm_frame import BfmFrame
from training.photos.profile import MESH_OF_68

MAX_FACES = 8


def mediapipe_peer():
    """MediaPipePeer, or an Absent where its wheel is not here."""
    try:
        import mediapipe

        mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=MAX_FACES, min_detection_confidence=0.5
        )
    except ImportError as error:
        return Absent(OWN_DETECTION, f"{error.name} is not installed")
    except Exception as error:  # it does not run with every protobuf
        return Absent(OWN_DETECTION, f"it does not start: {' '.join(str(error).split())}")
    return MediaPipePeer(mesh)


class MediaPipePeer:
    """A face mesh (mediapipe.solutions.face_mesh.FaceMesh) on whole images."""

    faces_from = OWN_DETECTION

    def __init__(self, mesh):
        self._mesh = mesh
        of_68, self._of_mesh = np.array(list(MESH_OF_68)), np.array(list(MESH_OF_68.values()))
        self._head = BfmFrame.load().landmarks68_m[of_68]

    def answers(self, image, camera, samples):
        """List of Answer for the Samples of one image (H, W, 3) of `camera`."""
        height, width = image.shape[:2]
        found = self._mesh.process(np.ascontiguousarray(image[..., ::-1])).multi_face_landmarks or ()
        points = [np.array([[p.x * width, p.y * height, p.z * width] for p in face.landmark]) for face in found]
        boxes = np.array([[*p[:, :2].min(0), *p[:, :2].max(0)] for p in points]).reshape(-1, 4)
        out = []
        for i, (sample, index) in enumerate(zip(samples, assigned(boxes, samples, camera), strict=True)):
            false = false_boxes(boxes, sample) if i == 0 else 0 if sample.others_px is not None else None
            if index is None:
                out.append(Answer(sample, reason=OTHER_FACES if len(boxes) else NO_FACE, false=false))
                continue
            R = rotation_onto(self._head, points[index][self._of_mesh])
            if not sample.local:
                R = global_from_local(R, camera.rays(0.5 * (boxes[index, :2] + boxes[index, 2:])), 1.0)[0]
            out.append(Answer(sample, R, false=false))
        return out


def rotation_onto(source, target):
    """R (3, 3) of the similarity that carries points (N, 3) nearest to points (N, 3)."""
    return project_to_rotation((target - target.mean(0)).T @ (source - source.mean(0)))
