"""REP-155 topics of the faces: `/humans/faces/tracked`, and per face `/humans/faces/<id>/roi` and `landmarks`.

Only where hri_msgs is installed. The frame `face_<id>` of REP-155 is ours, so the id of `face_a` is `a`.
"""

import functools

import numpy as np

from hpe_ros import qos

try:
    from hri_msgs.msg import FacialLandmarks, IdsList, NormalizedPointOfInterest2D, NormalizedRegionOfInterest2D
except ImportError:  # optional
    IdsList = None

FACES = "/humans/faces"
POINTS = 70  # of FacialLandmarks: our 68 in the same order, then two pupils, which are not measured
DEPTH = 1


def installed():
    """Whether hri_msgs is there."""
    return IdsList is not None


def face_id(face, prefix=""):
    """REP-155 id of a Face."""
    return prefix + face.face_id.removeprefix("face_")


def region(face, camera, header):
    """NormalizedRegionOfInterest2D of a Face's box, cut at the image's border; its score is the confidence."""
    size = (camera.width, camera.height, camera.width, camera.height)
    xmin, ymin, xmax, ymax = np.clip(np.divide(face.box_px, size), 0.0, 1.0).tolist()
    return NormalizedRegionOfInterest2D(header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=float(face.score))


def landmarks(face, camera, header):
    """FacialLandmarks of a Face that has landmarks; visibility is the confidence, 0 for the pupils."""
    points, confidence = np.zeros((POINTS, 2)), np.zeros(POINTS)
    visible = face.landmarks.visible
    points[: len(visible)] = camera.project(face.landmarks_camera_m) / (camera.width, camera.height)
    confidence[: len(visible)] = visible
    made = [
        NormalizedPointOfInterest2D(x=x, y=y, c=c)
        for (x, y), c in zip(points.tolist(), confidence.tolist(), strict=True)
    ]
    return FacialLandmarks(header=header, landmarks=made, height=camera.height, width=camera.width)


class HumansOutputs:
    """Publishers of these topics; those of a face come with its first sight and stay: there are eight ids."""

    def __init__(self, node, prefix):
        self._node, self._prefix, self._publishers = node, prefix, {}

    def publish(self, faces, camera, header):
        """The faces of one image; without any, an empty list of ids."""
        ids = [face_id(face, self._prefix) for face in faces]
        self._publish(IdsList, "tracked", lambda: IdsList(header=header, ids=ids))
        for name, face in zip(ids, faces, strict=True):
            made = functools.partial(region, face, camera, header)
            self._publish(NormalizedRegionOfInterest2D, f"{name}/roi", made)
            if face.landmarks is not None:
                self._publish(FacialLandmarks, f"{name}/landmarks", functools.partial(landmarks, face, camera, header))

    def _publish(self, kind, topic, make):
        """Publish make() while somebody subscribes; the topic comes into being at its first time."""
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(
                kind, f"{FACES}/{topic}", DEPTH, event_callbacks=qos.NO_PUBLISHER_EVENTS
            )
        if self._publishers[topic].get_subscription_count() > 0:
            self._publishers[topic].publish(make())

    def destroy(self):
        """Take the topics off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}
