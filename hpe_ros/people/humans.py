"""REP-155 topics: `/humans/faces/tracked`; per face `/humans/faces/<id>/roi`, `landmarks`, `facs`, `cropped`,
`aligned`.

Only where hri_msgs is installed. The id of REP-155 is what follows `face_` in ours: `rkqsf` of `face_rkqsf`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from hpe_core.face_id import FaceId
from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh import expressions
from hpe_core.pixels.face_pictures import aligned_face_crop, face_crop
from hpe_core.types import Face
from hpe_ros import images, qos
from hpe_ros.messages import ns_from_time
from hpe_ros.optional import HAS_HRI_MSGS

if TYPE_CHECKING or HAS_HRI_MSGS:
    from hri_msgs.msg import (
        FacialActionUnits,
        FacialLandmarks,
        IdsList,
        NormalizedPointOfInterest2D,
        NormalizedRegionOfInterest2D,
    )

FACES = "/humans/faces"
POINTS = 70  # of FacialLandmarks: our 68 in the same order, then two pupils, which are not measured
DEPTH = 1
RELEASE_S = 1.0  # a face not seen for so long, by image stamps, has no topics any more
PICTURES = {"cropped": face_crop, "aligned": aligned_face_crop}


def face_id(face: Face, prefix: str = "") -> str:
    """REP-155 id of a Face."""
    return prefix + FaceId(face.face_id).letters


def region(face: Face, camera: CameraModel, header: Header) -> "NormalizedRegionOfInterest2D":
    """NormalizedRegionOfInterest2D of a Face's box, cut at the image's border; its score is the confidence."""
    size = (camera.width, camera.height, camera.width, camera.height)
    xmin, ymin, xmax, ymax = np.clip(np.divide(face.box_px, size), 0.0, 1.0).tolist()
    return NormalizedRegionOfInterest2D(header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=float(face.score))


def landmarks(face: Face, camera: CameraModel, header: Header) -> "FacialLandmarks":
    """FacialLandmarks of a Face that has landmarks; visibility is the confidence, 0 for the pupils."""
    points_camera_m = face.landmarks_camera_m
    assert face.landmarks is not None and points_camera_m is not None
    points, confidence = np.zeros((POINTS, 2)), np.zeros(POINTS)
    visible = face.landmarks.visible
    points[: len(visible)] = camera.project(points_camera_m) / (camera.width, camera.height)
    confidence[: len(visible)] = visible
    made = [
        NormalizedPointOfInterest2D(x=x, y=y, c=c)
        for (x, y), c in zip(points.tolist(), confidence.tolist(), strict=True)
    ]
    return FacialLandmarks(header=header, landmarks=made, height=camera.height, width=camera.width)


def action_units(face: Face, header: Header) -> "FacialActionUnits":
    """FacialActionUnits of a Face that has a shape. The confidence of a unit is the share of the landmarks that are
    visible, 0 for units that no facial movement of the model tells."""
    assert face.shape is not None
    intensity, told = expressions.action_units(face.shape)
    seen = 1.0 if face.landmarks is None else float(np.mean(face.landmarks.visible))
    return FacialActionUnits(
        header=header, intensity=intensity.astype(np.float32), confidence=(seen * told).astype(np.float32)
    )


class HumansOutputs:
    """Publishers of these topics. Those of a face come with its first sight and go RELEASE_S after the last."""

    def __init__(self, node: Node, prefix: str):
        self._node, self._prefix = node, prefix
        self._publishers: dict[str, Publisher] = {}  # by topic
        self._seen_ns: dict[str, int] = {}  # by id

    def publish(self, faces: Sequence[Face], camera: CameraModel, header: Header) -> None:
        """The faces of one image; without any, an empty list of ids."""
        ids = self._ids(faces)
        self._release_old(ids, ns_from_time(header.stamp))
        self._publish(IdsList, "tracked", lambda: IdsList(header=header, ids=ids))
        for name, face in zip(ids, faces, strict=True):
            made = functools.partial(region, face, camera, header)
            self._publish(NormalizedRegionOfInterest2D, f"{name}/roi", made)
            if face.landmarks is not None:
                self._publish(FacialLandmarks, f"{name}/landmarks", functools.partial(landmarks, face, camera, header))
            if face.shape is not None:
                self._publish(FacialActionUnits, f"{name}/facs", functools.partial(action_units, face, header))

    def publish_pictures(
        self, image_bgr: np.ndarray, faces: Sequence[Face], camera: CameraModel, header: Header
    ) -> None:
        """The faces cut out of their image (H, W, 3) uint8, level and as seen."""
        for name, face in zip(self._ids(faces), faces, strict=True):
            for topic, crop_of in PICTURES.items():
                made = functools.partial(_picture, crop_of, image_bgr, camera, face, header)
                self._publish(Image, f"{name}/{topic}", made)

    def _ids(self, faces: Sequence[Face]) -> list[str]:
        return [face_id(face, self._prefix) for face in faces]

    def _publish(self, kind: type, topic: str, make: Callable[[], object]):
        """Publish make() while somebody subscribes; the topic comes into being at its first time."""
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(
                kind, f"{FACES}/{topic}", DEPTH, event_callbacks=qos.NO_PUBLISHER_EVENTS
            )
        if self._publishers[topic].get_subscription_count() > 0:
            self._publishers[topic].publish(make())

    def _release_old(self, ids: list[str], now_ns: int):
        """Take the topics of faces off the graph that have gone, or that the clock left behind as it jumped back."""
        self._seen_ns |= dict.fromkeys(ids, now_ns)
        for name in [name for name, seen in self._seen_ns.items() if abs(now_ns - seen) > RELEASE_S * 1e9]:
            del self._seen_ns[name]
            self._destroy([topic for topic in self._publishers if topic.startswith(f"{name}/")])

    def _destroy(self, topics: list[str]):
        for topic in topics:
            self._node.destroy_publisher(self._publishers.pop(topic))

    def destroy(self) -> None:
        """Take the topics off the graph."""
        self._destroy(list(self._publishers))
        self._seen_ns = {}


def _picture(
    crop_of: Callable[..., np.ndarray], image_bgr: np.ndarray, camera: CameraModel, face: Face, header: Header
) -> Image:
    return images.image_from_bgr(crop_of(image_bgr, camera, face.pose), header)
