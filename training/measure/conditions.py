"""Harder versions of labelled images: each changes pixels, camera and labels together, exactly where geometry moves.

A condition's `change(image, camera, samples, number)` is what hpe_core.evaluation.images.evaluate.answers_of takes.
Images are (H, W, 3) uint8 BGR; randomness depends on the image's number only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import axis_turn
from hpe_core.geometry.lookat import lookat_rotation
from training.measure.baselines import Baseline

BLUR, NOISE, JPEG_QUALITY = 0.02, 15.0, 30  # Gaussian sigma per box side; grey levels
DARK_GAIN, DARK_NOISE = 0.15, 2.0
SMALL_PX, SMALL_IMAGES = (20, 40, 80), ((320, 240), (640, 480))
OFF_AXIS_DEG, OFF_AXIS_HFOV_DEG = (0, 10, 20, 30), 90.0
FOCAL = (0.8, 1.2)
JITTER = 0.1


@dataclass(frozen=True)
class Condition:
    """change: see above, None for none; methods: from dict name -> method to the methods that are measured."""

    name: str
    change: Callable | None = None
    methods: Callable = dict


def conditions(calibrated=True):
    """List of Condition, the unchanged images first. calibrated: they have a true camera; a wrong one may be given."""
    out = [
        Condition("as they are"),
        Condition(f"box jitter {100 * JITTER:.0f} %", None, with_jitter),
        Condition(f"blur, sigma {100 * BLUR:.0f} % of the face", blurred),
        Condition(f"noise, sigma {NOISE:.0f}", noisy),
        Condition(f"JPEG {JPEG_QUALITY}", compressed),
        Condition(f"dark, gain {DARK_GAIN}", dark),
    ]
    if calibrated:
        out += [Condition(f"focal length x {factor}", focal_error(factor)) for factor in FOCAL]
    for width, height in SMALL_IMAGES:
        out += [Condition(f"{px} px face in {width}x{height}", shrunk(px, width, height)) for px in SMALL_PX]
    for angle in OFF_AXIS_DEG:
        out.append(Condition(f"{angle} deg off axis", off_axis(angle)))
    largest = max(OFF_AXIS_DEG)
    out.append(Condition(f"{largest} deg off axis, crops as published", off_axis(largest), without_lookat))
    return out


def largest(samples):
    """The Sample with the largest box."""
    return max(samples, key=lambda sample: np.prod(sample.box_px[2:] - sample.box_px[:2]))


def centre(sample):
    """Middle (2,) of the labelled box."""
    return 0.5 * (sample.box_px[:2] + sample.box_px[2:])


# --- methods -------------------------------------------------------------------------------------------------------


def with_jitter(methods):
    """Baselines with shaken boxes; a method that takes no box is Absent."""
    return {
        name: method.variant(jitter=JITTER)
        if isinstance(method, Baseline)
        else Absent(method.faces_from, "takes no box")
        for name, method in methods.items()
    }


def without_lookat(methods):
    """Baselines whose crop's rotation is taken for the camera's, as their own demos do."""
    return {
        name: method.variant(as_published=True) if isinstance(method, Baseline) else method
        for name, method in methods.items()
    }


# --- pixels only ---------------------------------------------------------------------------------------------------


def blurred(image, camera, samples, number):
    """Out of focus, in proportion to the largest face."""
    box = largest(samples).box_px
    return cv2.GaussianBlur(image, (0, 0), max(0.3, BLUR * np.max(box[2:] - box[:2]))), camera, samples


def noisy(image, camera, samples, number):
    """Sensor noise."""
    return _with_noise(image, NOISE, number), camera, samples


def compressed(image, camera, samples, number):
    """Strong JPEG compression."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR), camera, samples


def dark(image, camera, samples, number):
    """Little light, in eight bits, with what noise a sensor has then."""
    return _with_noise(DARK_GAIN * image, DARK_NOISE, number), camera, samples


def _with_noise(image, sigma, number):
    noise = np.random.default_rng(number).normal(0.0, sigma, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


# --- camera and geometry ---------------------------------------------------------------------------------------------


def focal_error(factor):
    """The methods assume a focal length that is wrong by `factor`."""

    def change(image, camera, samples, number):
        K = camera.K.copy()
        K[0, 0], K[1, 1] = factor * K[0, 0], factor * K[1, 1]
        return image, replace(camera, K=K), samples

    return change


def shrunk(px, width, height):
    """The image made so small that its largest face is `px`, which lies in the middle of a width x height image of the
    image's mean colour. The camera is that of the larger image."""

    def change(image, camera, samples, number):
        main = largest(samples)
        scale = px / np.max(main.box_px[2:] - main.box_px[:2])
        size = np.maximum(1, np.round(scale * np.array(image.shape[1::-1]))).astype(int)
        small = cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        scales = size / image.shape[1::-1]
        corner = np.round([0.5 * width, 0.5 * height] - (centre(main) + 0.5) * scales).astype(int)  # of the small image

        def to(points):
            return (points + 0.5) * scales - 0.5 + corner

        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = np.round(image.mean((0, 1)))
        low, high = np.maximum(corner, 0), np.minimum(corner + size, [width, height])
        part = small[low[1] - corner[1] : high[1] - corner[1], low[0] - corner[0] : high[0] - corner[0]]
        canvas[low[1] : high[1], low[0] : high[0]] = part
        camera = camera.resized(*size.tolist()).cropped(-corner[0], -corner[1], width, height)
        return canvas, camera, [_moved(sample, to) for sample in samples]

    return change


def off_axis(angle_deg):
    """The camera turned so that the largest face lies `angle_deg` off its axis, to the right and to the left in turn.

    Turning a camera about its centre moves pixels by the homography K' Q K^-1 and the head by Q, exactly.
    """

    def change(image, camera, samples, number):
        if len(camera.D):
            image, camera = cv2.undistort(image, camera.K, camera.D), replace(camera, D=np.zeros(0))
        side = 1.0 if number % 2 == 0 else -1.0
        Q = axis_turn(1, np.radians(side * angle_deg)) @ lookat_rotation(camera.rays(centre(largest(samples))))
        focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
        width = 2 * round(focal * np.tan(np.radians(0.5 * OFF_AXIS_HFOV_DEG)))
        turned = CameraModel.from_hfov(width, 2 * (3 * width // 8), OFF_AXIS_HFOV_DEG)
        H = turned.K @ Q @ np.linalg.inv(camera.K)
        colour = np.round(image.mean((0, 1))).tolist()
        out = cv2.warpPerspective(image, H, (turned.width, turned.height), flags=cv2.INTER_LINEAR, borderValue=colour)
        return out, turned, [turned_sample(sample, camera, turned, Q) for sample in samples]

    return change


def turned_sample(sample, camera, turned, Q):
    """The Sample as a camera (CameraModel `turned`) that was turned by Q (3, 3) from `camera` sees it."""

    def to(points):
        return turned.project(camera.rays(points) @ Q.T)

    moved = _moved(sample, to)
    if not sample.local:
        return replace(moved, R=Q @ sample.R, t_m=None if sample.t_m is None else Q @ sample.t_m)
    ray = camera.rays(centre(sample))
    return replace(moved, R=lookat_rotation(Q @ ray) @ Q @ lookat_rotation(ray).T @ sample.R)


def _moved(sample, to):
    """The Sample with boxes carried by the point map `to`; a box is the bounds of the ellipse in it."""
    others = None if sample.others_px is None else np.array([_box(box, to) for box in sample.others_px]).reshape(-1, 4)
    return replace(
        sample, box_px=_box(sample.box_px, to), others_px=others, size_px=None, camera=None, landmarks_px=None
    )


def _box(box_px, to):
    angle = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    ellipse = 0.5 * (box_px[:2] + box_px[2:]) + 0.5 * (box_px[2:] - box_px[:2]) * np.stack(
        [np.cos(angle), np.sin(angle)], -1
    )
    points = to(ellipse)
    return np.concatenate([points.min(0), points.max(0)])
