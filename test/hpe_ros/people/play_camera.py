"""One camera of the bag of two cameras as a process of its own, stamped as if it were filmed from a given moment on.

python play_camera.py BAG CAMERA --at UNIX_TIME [--from S] [--to S] [--ahead S] [--frame-id NAME]
"""

import argparse
import time
from array import array
from pathlib import Path

import rclpy
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage


def read(bag, camera):
    """[(ns since the bag's start, CompressedImage, CameraInfo)] as rosbags values."""
    store, found = get_typestore(Stores.ROS2_JAZZY), {}
    with Reader(bag) as reader:
        start_ns = reader.start_time
        for connection, stamp_ns, data in reader.messages():
            if connection.topic.startswith(f"/{camera}/"):
                kind = connection.msgtype.rsplit("/", 1)[1]
                found.setdefault(stamp_ns - start_ns, {})[kind] = store.deserialize_cdr(data, connection.msgtype)
    return [(ns, found[ns]["CompressedImage"], found[ns]["CameraInfo"]) for ns in sorted(found)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bag", type=Path)
    p.add_argument("camera")
    p.add_argument("--at", type=float, required=True, help="when the bag's start is played, seconds since 1970")
    p.add_argument("--from", dest="first", type=float, default=0.0, help="seconds of the bag")
    p.add_argument("--to", type=float, default=1e9)
    p.add_argument("--slower", type=float, default=1.0, help="seconds for each second of the bag; stamps are the bag's")
    p.add_argument("--ahead", type=float, default=0.0, help="by so many seconds its clock is wrong")
    p.add_argument("--frame-id", default="")
    args = p.parse_args()
    frames = [frame for frame in read(args.bag, args.camera) if args.first <= frame[0] * 1e-9 < args.to]
    rclpy.init()
    node = rclpy.create_node(f"{args.camera}_driver")
    images = node.create_publisher(CompressedImage, f"/{args.camera}/image/compressed", QoSProfile(depth=5))
    infos = node.create_publisher(CameraInfo, f"/{args.camera}/camera_info", QoSProfile(depth=5))
    for ns, compressed, info in frames:
        time.sleep(max(0.0, args.at + ns * 1e-9 * args.slower - time.time()))
        made = CompressedImage(format="jpeg", data=array("B", compressed.data.tobytes()))
        calibration = CameraInfo(width=info.width, height=info.height, distortion_model="plumb_bob", k=info.k)
        for message in (calibration, made):
            message.header.frame_id = args.frame_id or compressed.header.frame_id
            stamp_ns = round((args.at + args.ahead) * 1e9) + ns
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        infos.publish(calibration)
        images.publish(made)
    time.sleep(0.5)  # the last message is still on its way


if __name__ == "__main__":
    main()
