"""The pose node under a measured load on a real ROS graph: a camera process, the node's process, and an observer here.

Used by bench.ros_latency and bench.soak. The camera repeats the sample bag's frames, resized and tiled, stamped with
the time of publishing. All three processes are on this machine, so their clocks agree.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from pathlib import Path

import cv2
import numpy as np

from bench.rows import ROOT

NAMESPACE = "/bench"
FRAME_ID = "camera_optical_frame"
GRIDS = {1: (1, 1), 4: (2, 2)}
NODE = [sys.executable, "-m", "hpe_ros.nodes.pose_node"]
CAMERA_LIKE_NODE = {"image_transport": "raw", "reliability": "best_effort"}  # the node's parameters, their defaults
READY_S = 60.0


def scene(image_bgr, width, height, faces):
    """(height, width, 3) uint8 that shows the image `faces` times on a grid, each cut to its cell."""
    columns, rows = GRIDS[faces]
    cell_w, cell_h = width // columns, height // rows
    scale = max(cell_w / image_bgr.shape[1], cell_h / image_bgr.shape[0])
    size = (round(image_bgr.shape[1] * scale), round(image_bgr.shape[0] * scale))
    scaled = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
    y, x = (size[1] - cell_h) // 2, (size[0] - cell_w) // 2
    return np.ascontiguousarray(np.tile(scaled[y : y + cell_h, x : x + cell_w], (rows, columns, 1)))


def process(pid: int) -> dict[str, float]:
    """Memory (MB), threads, open files and CPU time (s) of a process, dict."""
    proc = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    ticks = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
    return {
        "rss_mb": round(int(status["VmRSS"].split()[0]) / 1024, 2),
        "threads": int(status["Threads"]),
        "files": len(list((proc / "fd").iterdir())),
        "cpu_s": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
    }


class Rig:
    """Use as a context: the node is active when the body starts, and both processes are gone after it.

    `health` is the newest diagnostics, dict part -> dict of values; `delays_s` the time from image stamp to the arrival
    of `head_poses` here, one per message.
    """

    def __init__(self, **parameters):
        self._parameters = {"autostart": True} | parameters
        self.health, self.delays_s, self.faces = {}, [], []
        self._camera: subprocess.Popen | None = None
        self._manager = None

    def __enter__(self):
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseArray
        from rclpy.executors import SingleThreadedExecutor

        # a domain of our own on this machine only, unless one is given
        os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randrange(10, 100)))
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        self._log = tempfile.NamedTemporaryFile("w+", prefix="pose_node_", suffix=".log")
        given = [part for name, value in self._parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
        command = [*NODE, "--ros-args", "-r", f"__ns:={NAMESPACE}", *given]
        self.node = subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=subprocess.STDOUT)
        rclpy.init()
        self._observer = rclpy.create_node("observer")
        self._observer.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)
        self._observer.create_subscription(PoseArray, f"{NAMESPACE}/head_poses", self._on_poses, 100)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._observer)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        if self._parameters["autostart"]:
            self._until(self._active, "the node does not become active")
        return self

    def _active(self):
        return self._observer.count_subscribers(f"{NAMESPACE}/camera_info") > 0

    def transition(self, label):
        """Make a lifecycle transition of the node."""
        from lifecycle_msgs.srv import ChangeState

        if self._manager is None:
            self._manager = self._observer.create_client(ChangeState, f"{NAMESPACE}/pose_node/change_state")
            self._until(self._manager.service_is_ready, "the node has no lifecycle services")
        request = ChangeState.Request()
        request.transition.label = label
        future = self._manager.call_async(request)
        self._until(future.done, f"no answer to {label}")
        if not future.result().success:
            raise SystemExit(f"{label} failed:\n{self.log}")

    def _until(self, condition, problem):
        end = time.monotonic() + READY_S
        while not condition():
            if time.monotonic() > end or self.node.poll() is not None:
                raise SystemExit(f"{problem}:\n{self.log}")
            time.sleep(0.05)

    def _on_health(self, message):
        node = f"{NAMESPACE}/pose_node"
        parts = {s.name.rpartition(": ")[2]: s for s in message.status if s.hardware_id == node}
        if parts:
            self.health = {
                name: {v.key: v.value for v in s.values} | {"message": s.message} for name, s in parts.items()
            }

    def _on_poses(self, message):
        now_ns = self._observer.get_clock().now().nanoseconds
        self.delays_s.append((now_ns - message.header.stamp.sec * 10**9 - message.header.stamp.nanosec) * 1e-9)
        self.faces.append(len(message.poses))

    @property
    def log(self):
        """What the node printed."""
        return Path(self._log.name).read_text()

    def start_camera(self, width, height, rate_hz, faces, frames):
        """Start publishing `frames` images; the process says at its end how many it sent."""
        options = {"width": width, "height": height, "rate": rate_hz, "faces": faces, "frames": frames}
        options |= {name: self._parameters.get(name, default) for name, default in CAMERA_LIKE_NODE.items()}
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "bench.ros_rig", *given, "--ros-args", "-r", f"__ns:={NAMESPACE}"]
        self._camera = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def camera_running(self) -> bool:
        return self._camera is not None and self._camera.poll() is None

    def sent(self):
        """Waits for the camera's end: how many images it published and how late the worst was, dict."""
        if self._camera is None:
            raise RuntimeError("the camera was not started")
        return json.loads(self._camera.communicate()[0])

    def settled_health(self):
        """`health` after all images that arrived have been worked on."""
        self.health = {}
        self._until(lambda: self.health, "no diagnostics")
        return self.health

    def process(self):
        """`process` of the node."""
        return process(self.node.pid)

    def __exit__(self, *_):
        import rclpy

        for process in (self._camera, self.node):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(20.0)
        self._executor.shutdown()
        self._thread.join(5.0)
        self._observer.destroy_node()
        rclpy.try_shutdown()
        self._log.close()


def camera():
    """The camera process."""
    p = argparse.ArgumentParser()
    for name, kind in (("width", int), ("height", int), ("rate", float), ("faces", int), ("frames", int)):
        p.add_argument(f"--{name}", type=kind, required=True)
    for name, default in CAMERA_LIKE_NODE.items():
        p.add_argument(f"--{name}", default=default)
    args, ros_args = p.parse_known_args()

    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    from bench.latency import sample_frames

    pictures, compressed = [], args.image_transport == "compressed"
    for frame in sample_frames(30):  # there and back again, so that the head does not jump
        picture = scene(frame, args.width, args.height, args.faces)
        if compressed:
            message = CompressedImage(format="jpeg", data=array("B", cv2.imencode(".jpg", picture)[1].tobytes()))
        else:
            message = Image(height=args.height, width=args.width, encoding="bgr8", step=3 * args.width)
            message.data = array("B", picture.tobytes())
        message.header.frame_id = FRAME_ID
        pictures.append(message)
    pictures += pictures[-2:0:-1]
    focal = 0.8 * args.width
    info = CameraInfo(height=args.height, width=args.width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = np.array([focal, 0, (args.width - 1) / 2, 0, focal, (args.height - 1) / 2, 0, 0, 1.0])
    info.header.frame_id = FRAME_ID

    rclpy.init(args=ros_args)
    node = rclpy.create_node("camera")
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[args.reliability.upper()])
    images = node.create_publisher(*((CompressedImage, "image/compressed") if compressed else (Image, "image")), qos)
    infos = node.create_publisher(CameraInfo, "camera_info", qos)
    while not (images.get_subscription_count() and infos.get_subscription_count()):
        time.sleep(0.05)
    time.sleep(0.5)
    start, latest_s, sent = time.monotonic(), 0.0, 0
    while sent < args.frames and rclpy.ok():
        due = start + sent / args.rate
        time.sleep(max(0.0, due - time.monotonic()))
        latest_s = max(latest_s, time.monotonic() - due)
        message = pictures[sent % len(pictures)]
        message.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
        infos.publish(info)
        images.publish(message)
        sent += 1
    time.sleep(0.5)  # the last message is still on its way
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - start - 0.5, "latest_ms": 1e3 * latest_s}))


if __name__ == "__main__":
    camera()
