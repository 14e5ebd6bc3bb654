"""Angles of every face in a photo, and the photo with them drawn in.

python examples/photo.py photo.jpg out.jpg
"""

import sys

from hpe_core import HeadPose

photo, out = sys.argv[1:]
faces = HeadPose().predict(photo)
for face in faces:
    print(f"yaw {face.yaw:+.1f}  pitch {face.pitch:+.1f}  roll {face.roll:+.1f} deg, {face.distance_m:.2f} m away")
print(f"{len(faces)} faces, drawn in {faces.draw(photo).save(out)}")
