"""Landmarks of a face by the crop network: cut the crop, run the network, put its row into the face's own units."""

import cv2
import numpy as np

from hpe_core import backends
from hpe_core.errors import HpeError
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.network_card import CROP

COLUMNS = ("centre_m", "log_size", "landmarks_m", "visibility")


class CropDetector:
    """The network in an .onnx file (crop6dof). Its card says crop size, columns and the width of a crop in metres.

    Raises HpeError when the file is no crop network with landmarks.
    """

    landmarks = 68

    def __init__(self, path, threads=1):
        self._backend = backends.create("onnxruntime", path, threads)
        card = self._backend.card
        lacking = [name for name in COLUMNS if name not in card.columns]
        if lacking or card.kind != CROP:
            raise HpeError(f"{path} is no crop network: its card lacks {', '.join(lacking) or 'crop_m'}")
        self._columns = {name: slice(*card.columns[name]) for name in COLUMNS}
        self._side, self._crop_m = card.input_shape[1], card.crop_m
        self._finder = None

    def measure(self, image_bgr, centre_px, size_px, refine=False):
        """Points (68, 3) in metres, origin the given face centre, and visibilities (68,) of one face.

        image_bgr: (H, W, 3) uint8; centre_px: (2,) projected face centre; size_px: of the face (0.2 m). With refine the
        network's own centre and size replace them, and the crop is cut again. NaN when its output is not finite.
        """
        row = self._row(image_bgr, centre_px, size_px)
        if refine:
            px_per_m = size_px / REFERENCE_LENGTH_M
            centre_px = np.asarray(centre_px) + px_per_m * row[self._columns["centre_m"]]
            size_px = size_px * np.exp(np.clip(row[self._columns["log_size"]][0], -1.0, 1.0))
            row = self._row(image_bgr, centre_px, size_px)
        points = row[self._columns["landmarks_m"]].reshape(68, 3)
        visible = 1.0 / (1.0 + np.exp(-np.clip(row[self._columns["visibility"]], -50.0, 50.0)))
        return points, visible

    def _row(self, image_bgr, centre_px, size_px):
        scale = self._side / (self._crop_m * size_px / REFERENCE_LENGTH_M)
        middle = (self._side - 1) / 2.0
        M = np.array([[scale, 0.0, middle - scale * centre_px[0]], [0.0, scale, middle - scale * centre_px[1]]])
        image = np.ascontiguousarray(image_bgr)
        if scale < 0.6:
            image = cv2.blur(image, 2 * [int(1 / scale) | 1])
        crop = cv2.warpAffine(image, M, 2 * [self._side], borderMode=cv2.BORDER_REPLICATE)
        return self._backend.run(crop[None])[0].astype(float)

    def __call__(self, image_bgr):
        """(points, visible) of the largest face of a whole image, found by the shipped head6dof; None without one."""
        found = self.find(image_bgr)
        if found is None:
            return None
        points, visible = self.measure(image_bgr, *found, refine=True)
        return (points, visible) if np.isfinite(points).all() else None

    def find(self, image_bgr, hfov_deg=60.0):
        """(centre_px (2,), size_px) of the largest face of an image, or None."""
        from hpe_core.config import EstimatorConfig, PipelineConfig
        from hpe_core.geometry.camera import CameraModel
        from hpe_core.pipeline import Pipeline

        if self._finder is None:
            self._finder = Pipeline(PipelineConfig(EstimatorConfig(model="head6dof", backend="onnxruntime")))
        camera = CameraModel.from_hfov(image_bgr.shape[1], image_bgr.shape[0], hfov_deg)
        self._finder.reset()
        faces = self._finder.process(np.ascontiguousarray(image_bgr), camera, 0).faces
        if not faces:
            return None
        poses = [face.pose for face in faces]
        centres = np.array([pose.R_camera_head @ FACE_CENTRE_M + pose.t_camera_head_m for pose in poses])
        sizes = REFERENCE_LENGTH_M * pixels_per_metre(camera, centres)
        best = int(np.argmax(sizes))
        return camera.project(centres[best]), float(sizes[best])
