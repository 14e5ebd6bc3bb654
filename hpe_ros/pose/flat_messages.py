"""Messages of the pose node in pixels of the image: boxes for vision_msgs, and what Foxglove draws over an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from std_msgs.msg import Header

from hpe_core.geometry.camera import CameraModel
from hpe_core.output.annotations import PLATE_OPACITY, Rgb, image_annotations
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
    from foxglove_msgs.msg import (
        CircleAnnotation,
        Color,
        ImageAnnotations,
        Point2,
        PointsAnnotation,
        TextAnnotation,
    )

    _KINDS = {
        "points": PointsAnnotation.POINTS,
        "line_loop": PointsAnnotation.LINE_LOOP,
        "line_list": PointsAnnotation.LINE_LIST,
    }


def detections(faces: Sequence[Face], header: Header) -> "Detection2DArray":
    """vision_msgs/Detection2DArray: per Face its box in pixels, its id and its score as a `face`; empty without any."""
    return Detection2DArray(header=header, detections=[_detection(face, header) for face in faces])


def annotations(faces: Sequence[Face], camera: CameraModel, header: Header) -> "ImageAnnotations":
    """foxglove_msgs/ImageAnnotations of `image_annotations`: what the bag of `hpe run` has, too.

    All have the stamp of the image, by which Foxglove pairs them; without a face nothing is drawn.
    """
    drawn, stamp = image_annotations(camera, faces), header.stamp
    circles = [
        CircleAnnotation(
            timestamp=stamp,
            position=Point2(x=one.centre_px[0], y=one.centre_px[1]),
            diameter=one.diameter_px,
            thickness=one.thickness_px,
            outline_color=_colour(one.colour),
        )
        for one in drawn.circles
    ]
    points = [
        PointsAnnotation(
            timestamp=stamp,
            type=_KINDS[one.kind],
            points=[Point2(x=x, y=y) for x, y in one.points_px],
            outline_color=_colour(one.colours[0]),
            outline_colors=[_colour(colour) for colour in one.colours] if len(one.colours) > 1 else [],
            thickness=one.thickness_px,
        )
        for one in drawn.points
    ]
    texts = [
        TextAnnotation(
            timestamp=stamp,
            position=Point2(x=one.position_px[0], y=one.position_px[1]),
            text=one.text,
            font_size=one.size_px,
            text_color=_colour(one.colour),
            background_color=Color(a=PLATE_OPACITY),
        )
        for one in drawn.texts
    ]
    return ImageAnnotations(circles=circles, points=points, texts=texts)


def _detection(face: Face, header: Header) -> "Detection2D":
    x0, y0, x1, y1 = np.asarray(face.box_px, float).tolist()
    centre = Pose2D(position=Point2D(x=(x0 + x1) / 2.0, y=(y0 + y1) / 2.0))
    results = [ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="face", score=float(face.score)))]
    box = BoundingBox2D(center=centre, size_x=x1 - x0, size_y=y1 - y0)
    return Detection2D(header=header, results=results, bbox=box, id=face.face_id)


def _colour(rgb: Rgb) -> "Color":
    red, green, blue = rgb
    return Color(r=red, g=green, b=blue, a=1.0)
