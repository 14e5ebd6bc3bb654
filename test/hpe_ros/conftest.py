"""A real ROS graph for the tests: the package built into a temporary prefix, its nodes as processes, one observer.

Nothing is mocked: images go through DDS to a node in another process, and what it publishes comes back the same way.
"""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from array import array
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BAG = ROOT / "assets" / "sample_bag"
PUBLISHER = Path(__file__).parent / "publish_bag.py"
START_NS, STEP_NS = 1_700_000_000_000_000_000, 66_666_667  # stamps of single images
# another model file, or a shipped name, may be put to the same tests
MODEL = os.environ.get("HPE_TEST_MODEL", "head6dof")

# a domain of our own, on this machine only: nobody else's nodes, and nobody else's network
ISOLATION = {
    "ROS_DOMAIN_ID": os.environ.get("HPE_TEST_DOMAIN_ID") or str(random.SystemRandom().randrange(10, 100)),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
}
if os.environ.get("ROS_DISTRO") in ("humble", "iron"):
    ISOLATION["ROS_LOCALHOST_ONLY"] = "1"  # later distributions replaced and deprecated it
    # with it Cyclone DDS has room for ten processes, and a module of tests has more; later distributions set 32
    more = "<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
    ISOLATION["CYCLONEDDS_URI"] = f"<CycloneDDS><Domain><Discovery>{more}</Discovery></Domain></CycloneDDS>"


def pytest_collection_modifyitems(items):
    """Skip what is marked `ros` where there is no ROS, saying what to do about it."""
    reason = _no_ros()
    for item in items:
        if reason and item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _no_ros():
    """Why the real graph cannot be had here, or None."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        setups = sorted(Path("/opt/ros").glob("*/setup.bash"))
        if not setups:
            return "no ROS 2 on this machine: the node was NOT tested"
        if error.name == "rclpy":
            return f"the node was NOT tested: run `source {setups[0]}` before pytest (make test does)"
        version = ".".join(map(str, sys.version_info[:2]))
        return f"the node was NOT tested: rclpy of {setups[0].parent} does not load in Python {version}: {error}"
    return None


def until(condition, timeout_s=20.0, what="condition"):
    """The first true value of condition(), asked again and again; fails the test after timeout_s."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return pytest.fail(f"{what}: not within {timeout_s:g} s")


@pytest.fixture
def header():
    """A std_msgs/Header of the frame `lens`."""
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    return Header(stamp=Time(sec=12, nanosec=34), frame_id="lens")


@pytest.fixture(scope="session")
def bag():
    """Path of the sample bag."""
    return BAG


@pytest.fixture(scope="session")
def sample_images():
    """Every tenth image (480, 640, 3) uint8 BGR of the sample bag: one head that turns."""
    from hpe_core.io.sources import open_source

    with open_source(str(BAG)) as source:
        return [frame.image_bgr for frame in source][::10]


@pytest.fixture(scope="session")
def sample_image(sample_images):
    """(480, 640, 3) uint8 BGR with one head."""
    return sample_images[0]


@pytest.fixture(scope="session")
def publisher():
    """Path of the script that replays a bag's images."""
    return PUBLISHER


@pytest.fixture(scope="session")
def model():
    """Name or path of the model under test."""
    return MODEL


@pytest.fixture(scope="session")
def ros_environment(tmp_path_factory):
    """Environment (dict) in which `ros2 launch hpe_ros ...` finds this source tree, installed by colcon."""
    base = tmp_path_factory.mktemp("ros")
    if importlib.util.find_spec("colcon_core") is None:
        pytest.skip("colcon is not installed beside this Python: pip install -e '.[colcon]', the node was NOT tested")
    command = [sys.executable, "-m", "colcon", "--log-base", base / "log", "build", "--merge-install"]
    command += ["--base-paths", ROOT, "--packages-select", "hpe_ros"]
    command += ["--build-base", base / "build", "--install-base", base / "install"]
    built = subprocess.run(list(map(str, command)), cwd=base, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    shown = subprocess.run(
        ["bash", "-c", f"source {base}/install/setup.bash && {sys.executable} -c '{show}'"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(shown.stdout.splitlines()[-1]) | ISOLATION


class Process:
    """A process with its log in a file; `stop` interrupts it as Ctrl-C does."""

    def __init__(self, command, environment, log):
        self._log, self._interrupted = log, False
        self._popen = subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdout=open(log, "w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    @property
    def text(self):
        return self._log.read_text()

    def wait(self, timeout_s):
        return self._popen.wait(timeout_s)

    def kill(self):
        """SIGKILL, as the out-of-memory killer does it."""
        os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def interrupt(self):
        """SIGINT, as Ctrl-C sends it; once."""
        if self._popen.poll() is None and not self._interrupted:
            os.killpg(self.pid, signal.SIGINT)
        self._interrupted = True

    def stop(self, timeout_s=15.0):
        """Exit status after SIGINT; negative when it had to be killed."""
        self.interrupt()
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._popen.returncode


@pytest.fixture(scope="module")
def start(ros_environment, tmp_path_factory):
    """start(command) -> running Process; all are stopped at the end of the module."""
    running = []

    def begin(command):
        log = tmp_path_factory.mktemp("log") / "output.txt"
        running.append(Process(command, ros_environment, log))
        return running[-1]

    yield begin
    for process in running:  # all at once, then wait for each
        process.interrupt()
    for process in running:
        process.stop()


@pytest.fixture(scope="module")
def start_node(start, ros_environment):
    """start_node(namespace, **parameters) -> Process of the installed pose_node, without launch."""

    def begin(namespace, **parameters):
        prefix = Path(ros_environment["AMENT_PREFIX_PATH"].split(os.pathsep)[0])
        command = [prefix / "lib" / "hpe_ros" / "pose_node", "--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in ({"model": MODEL} | parameters).items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        return start(command)

    return begin


@pytest.fixture(scope="session")
def graph():
    """The observer's Graph, in this process."""
    import rclpy

    os.environ.update(ISOLATION)
    rclpy.init()
    graph = Graph(rclpy.create_node("observer"))
    yield graph
    graph.close()
    rclpy.try_shutdown()


@pytest.fixture(scope="session")
def health(graph):
    """Health of the nodes, from /diagnostics."""
    return Health(graph)


class Health:
    """What the nodes say about themselves on /diagnostics."""

    def __init__(self, graph):
        from diagnostic_msgs.msg import DiagnosticArray

        self._messages = graph.record(DiagnosticArray, "/diagnostics")

    def of(self, namespace, part):
        """Newest status (level, message, dict of values) of one part of the pose node below a namespace, or None."""
        for message in reversed(self._messages):
            for status in message.status:
                if status.hardware_id == f"{namespace}/pose_node" and status.name.endswith(f": {part}"):
                    return ord(status.level), status.message, {v.key: v.value for v in status.values}
        return None

    def until(self, namespace, part, condition, what, timeout_s=20.0):
        """The first status of that part for which condition(level, message, values) holds."""
        return until(lambda: (seen := self.of(namespace, part)) and condition(*seen) and seen, timeout_s, what)


class Graph:
    """A node that records topics, publishes images and calls services, spun in a thread."""

    until = staticmethod(until)

    def __init__(self, node):
        from rclpy.executors import SingleThreadedExecutor

        self.node = node
        self._stamps_ns = iter(range(START_NS, START_NS + 10**15, STEP_NS))
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._closing = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        """Spin on when the executor stumbles over what a test's thread has just destroyed: rclpy lets that race out."""
        while not self._closing:
            try:
                self._executor.spin()
            except Exception:
                traceback.print_exc()

    def close(self):
        self._closing = True
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()

    def record(self, kind, topic):
        """List that grows by every message on a topic from now on."""
        received = []
        self.node.create_subscription(kind, topic, received.append, 100)
        return received

    def call(self, kind, service, request, timeout_s=30.0):
        """Response of a service."""
        client = self.node.create_client(kind, service)
        try:
            until(client.service_is_ready, timeout_s, f"service {service}")
            future = client.call_async(request)
            until(future.done, timeout_s, f"response of {service}")
            return future.result()
        finally:
            self.node.destroy_client(client)

    def transition(self, node_name, transition):
        """Whether a lifecycle node made a transition, by its label."""
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.label = transition
        return self.call(ChangeState, f"{node_name}/change_state", request).success

    def state(self, node_name):
        """Label of a lifecycle node's state."""
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, f"{node_name}/get_state", GetState.Request()).current_state.label

    def camera(self, namespace, compressed=False):
        """A Camera that publishes below a namespace; returns once its images have a subscriber."""
        camera = Camera(self.node, namespace, compressed)
        until(lambda: camera.images.get_subscription_count() > 0, 30.0, f"subscriber of {namespace}/image")
        return camera

    def show(self, camera, poses, image, **options):
        """Publish an image, each time with a later stamp, until the node has answered it; returns the PoseArray.

        The subscription takes the newest image, best effort: one alone may be lost on the way.
        """
        end = time.monotonic() + 20.0
        while time.monotonic() < end:
            stamp_ns = next(self._stamps_ns)
            camera.show(image, stamp_ns, **options)
            answer = self.answer(poses, stamp_ns)
            if answer is not None:
                return answer
        return pytest.fail("the node answers no image")

    @staticmethod
    def answer(messages, stamp_ns, timeout_s=1.0):
        """The message with a stamp, waited for; None when it does not come."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for message in reversed(messages):
                if (message.header.stamp.sec, message.header.stamp.nanosec) == divmod(stamp_ns, 10**9):
                    return message
            time.sleep(0.01)
        return None


def camera_info(focal_px, width=640, height=480):
    """sensor_msgs/CameraInfo without distortion, of the 640x480 camera's principal point."""
    from sensor_msgs.msg import CameraInfo

    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    info.k = np.array([focal_px, 0.0, 319.5, 0.0, focal_px, 239.5, 0.0, 0.0, 1.0 if focal_px else 0.0])
    return info


def image_message(pixels, encoding, width=None, height=None):
    """sensor_msgs/Image of an array whose first axis is its rows; width, height: when they are not the array's."""
    from sensor_msgs.msg import Image

    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1).view(np.uint8)
    height, width = height or pixels.shape[0], width or pixels.shape[1]
    return Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=array("B", rows.tobytes()))


@pytest.fixture(scope="session")
def messages_of():
    """Makers of sensor_msgs for the tests: `camera_info`, `image`."""
    return SimpleNamespace(camera_info=camera_info, image=image_message)


class Camera:
    """Publishes single images with their camera_info."""

    def __init__(self, node, namespace, compressed):
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        kind, topic = (CompressedImage, "image/compressed") if compressed else (Image, "image")
        self.images = node.create_publisher(kind, f"{namespace}/{topic}", 5)
        self.infos = node.create_publisher(CameraInfo, f"{namespace}/camera_info", 5)
        self._node = node

    def close(self):
        for publisher in (self.images, self.infos):
            self._node.destroy_publisher(publisher)

    def show(self, image, stamp_ns, focal_px=500.0, width=640, height=480, frame_id="lens", info=None):
        """Publish an image: (H, W, 3) uint8 BGR, the bytes of a JPEG, or a sensor_msgs/Image.

        Its camera_info is `info`, else made of focal_px (0 is an uncalibrated camera), width and height.
        """
        from sensor_msgs.msg import CompressedImage

        info = info or camera_info(focal_px, width, height)
        if isinstance(image, bytes):
            message = CompressedImage(format="jpeg", data=array("B", image))
        elif isinstance(image, np.ndarray):
            message = image_message(image, "bgr8")
        else:
            message = image
        for header in (info.header, message.header):
            header.frame_id = frame_id
            header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
        self.infos.publish(info)
        time.sleep(0.02)  # two topics have no order between them; here camera_info comes first
        self.images.publish(message)
