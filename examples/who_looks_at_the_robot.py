"""Who looks at the robot's camera, and from when to when.

    python examples/who_looks_at_the_robot.py talk.mp4    # a camera's index, rtsp://..., a video, a rosbag2

By the direction of the head. On a robot the node attention_node does this for any targets (docs/attention.md).
"""

import sys

from hpe_core import HeadPose

source = sys.argv[1]
before = {}
for frame in HeadPose().track(int(source) if source.isdecimal() else source):
    now = {face.id: face.looks_at_camera(within_deg=15) for face in frame.faces}
    for face_id, looks in now.items():
        if looks != before.get(face_id):
            words = {True: "looks at the camera", False: "looks away", None: "cannot be judged"}[looks]
            print(f"{frame.stamp_ns / 1e9:.2f} s  {face_id} {words}")
    before |= now
