"""Poses in the boxes of a face detector of your own; here YuNet, which OpenCV runs.

    python examples/own_detector.py photo.jpg face_detection_yunet.onnx

The file is in OpenCV's model zoo: https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet
"""

import sys

import cv2
import numpy as np

from hpe_core import HeadPose

photo, yunet = sys.argv[1:]
image = cv2.imread(photo)
if image is None:
    sys.exit(f"{photo} cannot be read")
height, width = image.shape[:2]
found = cv2.FaceDetectorYN.create(yunet, "", (width, height)).detect(image)[1]
x, y, w, h = np.empty((4, 0)) if found is None else np.asarray(found)[:, :4].T
boxes = np.stack([x, y, x + w, y + h], axis=1)

faces = HeadPose().predict(image, boxes=boxes)
for face in faces:
    print(f"box {face.box_index}: yaw {face.yaw:+.1f}  pitch {face.pitch:+.1f}  roll {face.roll:+.1f} deg")
print(f"{len(boxes) - len(faces)} of {len(boxes)} boxes without a face")
