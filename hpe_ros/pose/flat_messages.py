"""Messages of the pose node in pixels of the image: boxes for vision_msgs, and what Foxglove draws over an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from std_msgs.msg import Header

from hpe_core.face_id import FaceId
from hpe_core.geometry.camera import CameraModel
from hpe_core.types import Face
from hpe_ros.optional import HAS_FOXGLOVE_MSGS, HAS_VISION_MSGS

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node has no `faces_2d`
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        ObjectHypothesis,
        ObjectHypothesisWithPose,
        Point2D,
        Pose2D,
    )

if TYPE_CHECKING or HAS_FOXGLOVE_MSGS:  # without it the node has no `annotations`
    from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation

_LINE_PX, _DOT_PX, _FONT_PX = 2.0, 3.0, 16.0


def detections(faces: Sequence[Face], header: Header) -> "Detection2DArray":
    """vision_msgs/Detection2DArray: per Face its box in pixels, its id and its score as a `face`; empty without any."""
    return Detection2DArray(header=header, detections=[_detection(face, header) for face in faces])


def annotations(faces: Sequence[Face], camera: CameraModel, header: Header) -> "ImageAnnotations":
    """foxglove_msgs/ImageAnnotations: per Face its box, its id with the score, and its landmarks if it has them.

    All have the stamp of the image, by which Foxglove pairs them; without a face nothing is drawn.
    """
    points, texts = [], []
    for face in faces:
        red, green, blue = (channel / 255.0 for channel in FaceId(face.face_id).colour_rgb)
        colour = Color(r=red, g=green, b=blue, a=1.0)
        x0, y0, x1, y1 = face.box_px.tolist()
        corners = [Point2(x=x, y=y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        kind = PointsAnnotation.LINE_LOOP
        points.append(_points(header, kind, corners, colour, _LINE_PX))
        points += _landmarks(face, camera, header, colour)
        words = {"text": f"{face.face_id} {face.score:.2f}", "font_size": _FONT_PX, "text_color": colour}
        texts.append(TextAnnotation(timestamp=header.stamp, position=corners[0], **words))
    return ImageAnnotations(points=points, texts=texts)


def _detection(face: Face, header: Header) -> "Detection2D":
    x0, y0, x1, y1 = np.asarray(face.box_px, float).tolist()
    centre = Pose2D(position=Point2D(x=(x0 + x1) / 2.0, y=(y0 + y1) / 2.0))
    results = [ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="face", score=float(face.score)))]
    box = BoundingBox2D(center=centre, size_x=x1 - x0, size_y=y1 - y0)
    return Detection2D(header=header, results=results, bbox=box, id=face.face_id)


def _landmarks(face: Face, camera: CameraModel, header: Header, colour: "Color") -> "list[PointsAnnotation]":
    points_camera_m = face.landmarks_camera_m
    if points_camera_m is None:
        return []
    dots = [Point2(x=x, y=y) for x, y in camera.project(points_camera_m).tolist()]
    return [_points(header, PointsAnnotation.POINTS, dots, colour, _DOT_PX)]


def _points(
    header: Header, kind: int, points: "list[Point2]", colour: "Color", thickness_px: float
) -> "PointsAnnotation":
    return PointsAnnotation(
        timestamp=header.stamp, type=kind, points=points, outline_color=colour, thickness=thickness_px
    )
