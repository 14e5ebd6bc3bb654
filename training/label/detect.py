"""Faces of a photograph: YuNet decides, RFB-320 gives a second opinion."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

SURE, MAYBE, MAYBE_RFB = 0.6, 0.25, 0.5  # scores


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shared area of boxes x, y, w, h: (N, 4), (M, 4) -> (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    return np.clip(high - low, 0, None).prod(-1)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Boxes x, y, w, h: (N, 4), (M, 4) -> (N, M)."""
    shared = overlap(a, b)
    return shared / np.maximum(a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1)[None] - shared, 1e-9)


def mostly_inside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which boxes of a (N, 4) share more than half of their area with one of b (M, 4) -> (N,) bool."""
    return (overlap(a, b) > 0.5 * a[:, 2:].prod(1)[:, None]).any(1)


class Detector:
    def __init__(self, weights: Path):
        self._yunet = cv2.FaceDetectorYN.create(str(weights / "yunet_n_dynamic.onnx"), "", (320, 320), MAYBE, 0.3, 100)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._rfb = ort.InferenceSession(weights / "version-RFB-320.onnx", options, providers=["CPUExecutionProvider"])

    def yunet(self, image: np.ndarray) -> np.ndarray:
        """-> (N, 15): x, y, w, h, five key points (right eye, left eye, nose, mouth corners), score; best first."""
        self._yunet.setInputSize((image.shape[1], image.shape[0]))
        faces = self._yunet.detect(image)[1]
        if faces is None:
            return np.zeros((0, 15))
        return faces[np.argsort(-faces[:, 14])].astype(float)

    def rfb(self, image: np.ndarray) -> np.ndarray:
        """-> (N, 5): x, y, w, h, score."""
        x = cv2.cvtColor(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        x = ((x.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
        scores, boxes = self._rfb.run(None, {self._rfb.get_inputs()[0].name: x})
        score = scores[0, :, 1]
        box = boxes[0] * np.tile([image.shape[1], image.shape[0]], 2)
        box[:, 2:] -= box[:, :2]
        keep = score > MAYBE_RFB
        box, score = box[keep], score[keep]
        chosen = cv2.dnn.NMSBoxes(box.tolist(), score.tolist(), MAYBE_RFB, 0.3)
        return np.column_stack([box, score])[np.asarray(chosen, int).ravel()].astype(float)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-> sure faces (N, 4) and doubtful ones (M, 4), boxes x, y, w, h in pixels."""
        yunet, rfb = self.yunet(image), self.rfb(image)[:, :4]
        sure, doubtful = yunet[yunet[:, 14] > SURE, :4], yunet[yunet[:, 14] <= SURE, :4]
        for known in (sure, doubtful):
            rfb = rfb[~mostly_inside(rfb, known)]
        return sure, np.concatenate([doubtful[~mostly_inside(doubtful, sure)], rfb])
