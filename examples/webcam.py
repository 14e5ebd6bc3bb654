"""Faces of a webcam with their ids, live; of any other source too. Ctrl-C ends it.

python examples/webcam.py              # camera 0
python examples/webcam.py talk.mp4     # a video, rtsp://..., a rosbag2
"""

import sys

from hpe_core import HeadPose

source = sys.argv[1] if len(sys.argv) > 1 else 0
with HeadPose().track(source) as frames:
    try:
        for frame in frames:
            faces = "  ".join(f"{face.id} yaw {face.yaw:+.0f} pitch {face.pitch:+.0f}" for face in frame.faces)
            print(f"{frame.stamp_ns / 1e9:.2f} s  {faces or 'nobody'}")
    except KeyboardInterrupt:
        pass
    if frames.dropped:
        print("not processed:", dict(frames.dropped))
