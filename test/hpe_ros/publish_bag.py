"""An image publisher for the tests, a process of its own: replays a bag's images and camera_info on a real graph.

python publish_bag.py BAG --transport raw --rate 15 --loops 0 [--zero-k] [--ros-args -r __ns:=/camera]
"""

import argparse
import time
from array import array
from pathlib import Path

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hpe_core.pixels.encodings import bgr_from_compressed


def read(bag):
    """List of (CompressedImage, CameraInfo) as rosbags values, in stamp order."""
    store = get_typestore(Stores.ROS2_JAZZY)
    images, infos = {}, {}
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            if connection.msgtype.endswith(("/CompressedImage", "/CameraInfo")):
                message = store.deserialize_cdr(data, connection.msgtype)
                stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
                (images if connection.msgtype.endswith("/CompressedImage") else infos)[stamp] = message
    return [(images[stamp], infos[stamp]) for stamp in sorted(images)]


def fill_header(message, header):
    message.header.frame_id = header.frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = header.stamp.sec, header.stamp.nanosec
    return message


def image_message(compressed, transport):
    if transport == "compressed":
        data = array("B", compressed.data.tobytes())
        return fill_header(CompressedImage(format="jpeg", data=data), compressed.header)
    bgr = bgr_from_compressed(compressed.data)
    height, width = bgr.shape[:2]
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.data = array("B", bgr.tobytes())
    return fill_header(message, compressed.header)


def camera_info_message(info, zero_k):
    message = CameraInfo(width=info.width, height=info.height, distortion_model=info.distortion_model)
    if not zero_k:
        message.k, message.d, message.p, message.r = info.k, info.d.tolist(), info.p, info.r
    return fill_header(message, info.header)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bag", type=Path)
    p.add_argument("--transport", choices=("raw", "compressed"), default="raw")
    p.add_argument("--rate", type=float, default=15.0)
    p.add_argument("--loops", type=int, default=1, help="0: for ever")
    p.add_argument("--zero-k", action="store_true", help="camera_info of an uncalibrated camera")
    p.add_argument("--now", action="store_true", help="stamp with the time of publishing instead of the bag's")
    args, ros_args = p.parse_known_args()
    frames = [(image_message(i, args.transport), camera_info_message(c, args.zero_k)) for i, c in read(args.bag)]

    rclpy.init(args=ros_args)
    node = rclpy.create_node("camera")
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    compressed = args.transport == "compressed"
    images = node.create_publisher(
        CompressedImage if compressed else Image, "image/compressed" if compressed else "image", qos
    )
    infos = node.create_publisher(CameraInfo, "camera_info", qos)
    while not images.get_subscription_count():
        time.sleep(0.05)
    loop, due = 0, time.monotonic()
    while rclpy.ok() and (args.loops == 0 or loop < args.loops):
        for image, info in frames:
            if args.now:
                image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
            infos.publish(info)
            images.publish(image)
            due += 1.0 / args.rate
            time.sleep(max(0.0, due - time.monotonic()))
        loop += 1
    time.sleep(0.5)  # the last message is still on its way


if __name__ == "__main__":
    main()
