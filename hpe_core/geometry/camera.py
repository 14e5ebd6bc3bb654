"""Pinhole camera with plumb-bob or rational distortion, in the units of sensor_msgs/CameraInfo (pixels)."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hpe_core.errors import HpeError

DISTORTION_LENGTHS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 8)}
RAY_ERROR_PX = 0.01  # a ray that projects farther from its pixel is none
_NEWTON_STEPS = 20
_CONVERGED_PX = 1e-9
_START_RADII = np.tan(np.radians(np.linspace(0.0, 89.0, 512)))


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics of one image stream; pixel (0, 0) is the centre of the top left pixel.

    width, height: image size in pixels; K: (3, 3) float64; D: (n,) distortion in OpenCV's order, () for none;
    model: name as in CameraInfo; assumed: True when K is a guess from a field of view, not a calibration.
    Raises HpeError on a size below 1, a K without positive focal lengths, or D of a wrong length.
    """

    width: int
    height: int
    K: np.ndarray
    D: np.ndarray = field(default_factory=lambda: np.zeros(0))
    model: str = "plumb_bob"
    assumed: bool = False
    focal_px: np.ndarray = field(init=False, repr=False)  # (2,) of x and y
    max_radius: float = field(init=False, repr=False)  # tan of the angle off the axis where the distortion turns back

    def __post_init__(self) -> None:
        K, D = np.array(self.K, float), np.array(self.D, float).ravel()
        if self.width < 1 or self.height < 1:
            raise HpeError(f"camera image size must be positive, got {self.width}x{self.height}")
        if K.shape != (3, 3) or not np.all(np.isfinite(K)) or K[0, 0] <= 0 or K[1, 1] <= 0:
            raise HpeError(f"camera matrix K must be 3x3 with positive focal lengths, got {K.ravel().tolist()}")
        if self.model not in DISTORTION_LENGTHS:
            raise HpeError(f"distortion model '{self.model}' is unknown, allowed: {', '.join(DISTORTION_LENGTHS)}")
        if len(D) not in DISTORTION_LENGTHS[self.model] or not np.all(np.isfinite(D)):
            raise HpeError(
                f"distortion '{self.model}' has {len(D)} coefficients, allowed: {DISTORTION_LENGTHS[self.model]}"
            )
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "focal_px", np.diag(K)[:2])
        object.__setattr__(self, "D", D if np.any(D) else np.zeros(0))
        object.__setattr__(self, "max_radius", _monotonic_radius(self.D))

    @classmethod
    def from_hfov(cls, width: int, height: int, hfov_deg: float) -> "CameraModel":
        """Camera without distortion from an assumed horizontal field of view in degrees (0, 180)."""
        if not 0.0 < hfov_deg < 180.0:
            raise HpeError(f"horizontal field of view must lie in (0, 180) degrees, got {hfov_deg}")
        f = 0.5 * width / np.tan(np.radians(hfov_deg) / 2.0)
        K = np.array([[f, 0.0, (width - 1) / 2.0], [0.0, f, (height - 1) / 2.0], [0.0, 0.0, 1.0]])
        return cls(width, height, K, assumed=True)

    def project(self, points_camera: ArrayLike) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) in the camera optical frame, any length unit, z > 0.

        Points beyond the lens (see `in_range`) come to its border, where they would else be folded back into the image.
        """
        points = np.asarray(points_camera, float)
        if len(self.D) == 0 or points.size == 0:
            return points[..., :2] / points[..., 2:] * self.focal_px + self.K[:2, 2]
        return self._projected((points[..., :2] / points[..., 2:]).reshape(-1, 2))[0].reshape(points.shape[:-1] + (2,))

    def in_range(self, points_camera: ArrayLike) -> np.ndarray:
        """Mask (...,) of points (..., 3) that lie in front of the camera and within what its distortion describes.

        A distortion polynomial grows with the angle off the axis up to `max_radius`; farther out it means nothing.
        """
        points = np.asarray(points_camera, float)
        return (points[..., 2] > 0) & (np.hypot(points[..., 0], points[..., 1]) <= self.max_radius * points[..., 2])

    def on_image(self, pixels: ArrayLike) -> np.ndarray:
        """Mask (...,) of pixels (..., 2) that lie on the image; its corner pixels have their centres at 0, 0 and at
        width - 1, height - 1.
        """
        pixels = np.asarray(pixels, float)
        x, y = pixels[..., 0], pixels[..., 1]
        return (x > -0.5) & (x < self.width - 0.5) & (y > -0.5) & (y < self.height - 0.5)

    def rays(self, pixels: ArrayLike) -> np.ndarray:
        """Unit viewing rays (..., 3) in the camera optical frame of (distorted) pixels (..., 2).

        NaN where the distortion has no inverse, as in the corners of wide lenses: no point within `max_radius` comes
        there. Every other ray projects to within RAY_ERROR_PX of its pixel. Without distortion all pixels have a ray.
        """
        pixels = np.asarray(pixels, float)
        if len(self.D) == 0 or pixels.size == 0:
            normalised = (pixels - self.K[:2, 2]) / self.focal_px
        else:
            normalised = self._undistorted(pixels.reshape(-1, 2)).reshape(pixels.shape)
        rays = np.concatenate([normalised, np.ones_like(normalised[..., :1])], -1)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def _undistorted(self, pixels):
        """Normalised coordinates (N, 2) of distorted pixels (N, 2), NaN where there are none.

        OpenCV's five rounds leave up to a pixel, or diverge, and the call with a stopping rule differs between OpenCV 4
        and 5. Here: the inverse of the radial part, then damped Newton steps within the lens.
        """
        centred = (pixels - self.K[:2, 2]) / self.focal_px
        distorted = np.linalg.norm(centred, axis=-1, keepdims=True)
        radii = np.minimum(_START_RADII, (1.0 - 1e-9) * self.max_radius)  # a pole has no value
        points = centred / np.maximum(distorted, 1e-12) * np.interp(distorted, radii * _radial(self.D, radii), radii)
        damping = np.ones_like(distorted)
        projected, J = self._projected(points)
        for _ in range(_NEWTON_STEPS):
            error_px = np.linalg.norm(projected - pixels, axis=-1, keepdims=True)
            if np.all((error_px < _CONVERGED_PX) | np.isnan(error_px)):
                break
            tried = self._within(points - damping * _solved(J, projected - pixels))
            tried_px, tried_J = self._projected(tried)
            nearer = np.linalg.norm(tried_px - pixels, axis=-1, keepdims=True) < error_px
            points, projected = np.where(nearer, tried, points), np.where(nearer, tried_px, projected)
            J = np.where(nearer[..., None], tried_J, J)
            damping = np.where(nearer, np.minimum(1.0, 2.0 * damping), 0.25 * damping)
        found = np.linalg.norm(projected - pixels, axis=-1, keepdims=True) < RAY_ERROR_PX
        return np.where(found & (_determinant(J) > 0)[:, None], points, np.nan)

    def _within(self, points):
        """Normalised points (N, 2), those beyond the lens on its border."""
        radius = np.linalg.norm(points, axis=-1, keepdims=True)
        return points * np.minimum(1.0, self.max_radius / np.maximum(radius, 1e-12))

    def _projected(self, points):
        """Pixels (N, 2) of normalised points (N, 2), those beyond the lens on its border; and derivatives (N, 2, 2).

        The derivative by the translation is the one by the normalised point.
        """
        points = np.column_stack([self._within(points), np.ones(len(points))])
        pixels, jacobian = cv2.projectPoints(points, np.zeros(3), np.zeros(3), self.K, self.D)
        return pixels[:, 0], jacobian.reshape(len(points), 2, -1)[..., 3:5]

    def resized(self, width: int, height: int) -> "CameraModel":
        """The camera of the whole image resized to width x height pixels."""
        sx, sy = width / self.width, height / self.height
        S = np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])
        return CameraModel(width, height, S @ self.K, self.D, self.model, self.assumed)

    def cropped(self, x_offset: int, y_offset: int, width: int, height: int) -> "CameraModel":
        """The camera of a region of interest whose top left pixel is (x_offset, y_offset)."""
        S = np.array([[1.0, 0.0, -x_offset], [0.0, 1.0, -y_offset], [0.0, 0.0, 1.0]])
        return CameraModel(width, height, S @ self.K, self.D, self.model, self.assumed)


def _radial_polynomials(D):
    """Numerator and denominator of the radial factor as polynomials of the squared radius, highest power first."""
    k = np.zeros(8)
    k[: len(D)] = D
    return np.array([k[4], k[1], k[0], 1.0]), np.array([k[7], k[6], k[5], 1.0])


def _radial(D, radius):
    """Factor (...,) by which distortion D moves points at radius (...,) from the axis."""
    above, below = _radial_polynomials(D)
    return np.polyval(above, radius**2) / np.polyval(below, radius**2)


def _monotonic_radius(D):
    """The radius up to which the distorted radius grows with the true one; infinite when it always does."""
    above, below = _radial_polynomials(D)
    # d(r N / D) / dr = 0 with s = r^2: N D + 2 s (N' D - N D') = 0; and the pole, D = 0
    bent = np.polysub(np.polymul(np.polyder(above), below), np.polymul(above, np.polyder(below)))
    slope = np.polyadd(np.polymul(above, below), np.polymul([2.0, 0.0], bent))
    roots = np.concatenate([np.roots(slope[::-1]), np.roots(below[::-1])])  # 1 / s: both polynomials are 1 at s = 0
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(1.0 / np.sqrt(np.max(real))) if len(real) else np.inf


def _solved(J, right):
    """Solutions (N, 2) of J (N, 2, 2) x = right (N, 2); finite where J is singular, too."""
    (a, b), (c, d) = np.moveaxis(J, 0, -1)
    x, y = right.T
    determinant = _determinant(J)
    return np.stack([d * x - b * y, a * y - c * x], -1) / np.where(determinant == 0, 1.0, determinant)[:, None]


def _determinant(J):
    return J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]


def camera_from_info(
    width: int,
    height: int,
    k: ArrayLike,
    d: ArrayLike = (),
    distortion_model: str = "plumb_bob",
    p: ArrayLike | None = None,
    rectified: bool = False,
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] | None = None,
) -> CameraModel:
    """CameraModel of the delivered image from the fields of sensor_msgs/CameraInfo.

    width, height: of the full unbinned image; k: 9 numbers; d: coefficients; p: 12 numbers, used with rectified=True
    (K and D belong to raw images); binning: (x, y), 0 means 1; roi: (x_offset, y_offset, width, height) in full
    resolution, zeros or None mean everything. Order as in image_pipeline: crop, then bin.
    Raises HpeError when a field has the wrong size or K is zero (an uncalibrated camera).
    """
    k = np.asarray(k, float).ravel()
    if k.size != 9:
        raise HpeError(f"camera_info k must have 9 numbers, got {k.size}")
    matrix, distortion = k.reshape(3, 3), np.asarray(d, float)
    model = distortion_model or "plumb_bob"
    if rectified:
        p = np.asarray(() if p is None else p, float).ravel()
        if p.size != 12:
            raise HpeError(f"camera_info p must have 12 numbers for a rectified image, got {p.size}")
        matrix, distortion = p.reshape(3, 4)[:, :3], np.zeros(0)
    if matrix[0, 0] == 0.0:
        raise HpeError("camera_info is uncalibrated (focal length 0): calibrate, or give a field of view")
    camera = CameraModel(int(width), int(height), matrix, distortion, model)
    if roi is not None and roi[2] and roi[3]:
        camera = camera.cropped(*roi)
    bin_x, bin_y = max(1, binning[0]), max(1, binning[1])
    if (bin_x, bin_y) != (1, 1):
        columns, rows = camera.width // bin_x, camera.height // bin_y
        camera = camera.cropped(0, 0, columns * bin_x, rows * bin_y).resized(columns, rows)  # a remainder is dropped
    return camera
