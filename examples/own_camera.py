"""Metric positions with the calibration of your own camera (YAML as ROS's camera_calibration writes it).

python examples/own_camera.py photo.jpg camera.yaml
"""

import sys

from hpe_core import HeadPose

photo, calibration = sys.argv[1:]
for face in HeadPose(camera=calibration).predict(photo):
    x, y, z = face.position_m  # of the nose root: right, down, forward from the camera
    print(f"x {x:+.3f}  y {y:+.3f}  z {z:.3f} m, distance {face.distance_m:.3f} +- {face.depth_std_m:.3f} m")
