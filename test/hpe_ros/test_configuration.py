"""What a robot's integrator configures: QoS overrides, read-only parameters, transports, YAML launch, one process."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from hpe_core.errors import HpeError
from hpe_ros.node_config import NodeConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tuned(start_node, graph):
    """A configured pose node below /tuned whose user asks for other QoS."""
    overrides = {
        "qos_overrides./tuned/head_poses.publisher.depth": 3,
        "qos_overrides./tuned/head_poses.publisher.reliability": "best_effort",
        "qos_overrides./tuned/image.subscription.depth": 2,
    }
    start_node("/tuned", autostart=True, **overrides)
    graph.until(lambda: graph.node.count_publishers("/tuned/head_poses"), 60.0, "head_poses")
    graph.until(lambda: graph.node.count_subscribers("/tuned/image"), 60.0, "the subscription of image")


def set_parameter(graph, node_name, name, value):
    """The rcl_interfaces/SetParametersResult of a node."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    (result,) = graph.call(SetParameters, f"{node_name}/set_parameters", request).results
    return result


def parameter(graph, node_name, name):
    """Value of a node's parameter."""
    from rcl_interfaces.srv import GetParameters
    from rclpy.parameter import parameter_value_to_python

    (value,) = graph.call(GetParameters, f"{node_name}/get_parameters", GetParameters.Request(names=[name])).values
    return parameter_value_to_python(value)


@pytest.mark.ros
def test_an_override_of_qos_is_what_the_graph_sees_and_other_topics_keep_theirs(tuned, graph):
    from rclpy.qos import ReliabilityPolicy

    (poses,) = graph.node.get_publishers_info_by_topic("/tuned/head_poses")
    (pose,) = graph.node.get_publishers_info_by_topic("/tuned/head_pose")
    assert poses.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert pose.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    # the depth does not travel over the wire
    assert parameter(graph, "/tuned/pose_node", "qos_overrides./tuned/head_poses.publisher.depth") == 3
    assert parameter(graph, "/tuned/pose_node", "qos_overrides./tuned/head_pose.publisher.depth") == 10
    assert parameter(graph, "/tuned/pose_node", "qos_overrides./tuned/image.subscription.depth") == 2
    assert parameter(graph, "/tuned/pose_node", "qos_overrides./tuned/camera_info.subscription.depth") == 1


@pytest.mark.ros
def test_reliability_of_the_images_follows_its_parameter_through_a_second_configuration(tuned, graph):
    from rclpy.qos import ReliabilityPolicy

    def reliability():
        return [i.qos_profile.reliability for i in graph.node.get_subscriptions_info_by_topic("/tuned/image")]

    node = "/tuned/pose_node"
    assert reliability() == [ReliabilityPolicy.BEST_EFFORT]
    for transition in ("deactivate", "cleanup"):
        assert graph.transition(node, transition)
    assert set_parameter(graph, node, "reliability", "reliable").successful
    for transition in ("configure", "activate"):
        assert graph.transition(node, transition)
    graph.until(lambda: reliability() == [ReliabilityPolicy.RELIABLE], 20.0, "the other reliability")


@pytest.mark.ros
def test_an_impossible_override_of_qos_is_a_failed_configuration_with_one_line(start_node, graph, health):
    topic = "qos_overrides./wrong/head_pose.publisher.reliability"
    node = start_node("/wrong", autostart=True, **{topic: "perhaps"})
    graph.until(lambda: "perhaps" in node.text, 60.0, "the complaint")
    graph.until(lambda: graph.state("/wrong/pose_node") == "unconfigured", 20.0, "unconfigured")
    assert "on_configure: qos_overrides: Unexpected QoS override for policy `reliability`: `perhaps`" in node.text
    assert "Traceback" not in node.text
    assert "perhaps" in health.until("/wrong", "model", lambda level, *_: level == 2, "the error")[1]


@pytest.fixture
def overridden():
    """overridden(text) -> depth of a publisher whose override of the depth is that text, in a context of its own."""
    import rclpy
    from rclpy.context import Context
    from std_msgs.msg import Header

    from hpe_ros import qos

    context = Context()

    def made(text):
        rclpy.init(args=["--ros-args", "-p", f"qos_overrides./a.publisher.depth:={text}"], context=context)
        node = rclpy.create_node("n", context=context)
        with qos.overrides():
            node.create_publisher(Header, "/a", 3, qos_overriding_options=qos.OVERRIDABLE)
        return node.get_parameter("qos_overrides./a.publisher.depth").value

    yield made
    rclpy.shutdown(context=context)


@pytest.mark.ros
@pytest.mark.parametrize("depth", ["-1", "0", "1001", "99999999999", "three", "1.5"])
def test_a_depth_that_no_queue_can_have_is_refused_by_one_line_that_names_it(overridden, depth):
    with pytest.raises(HpeError, match=f"qos_overrides: .*{depth}") as refused:
        overridden(depth)
    assert "\n" not in str(refused.value)


@pytest.mark.ros
def test_a_depth_in_range_is_taken(overridden):
    assert overridden("1000") == 1000


@pytest.mark.ros
def test_what_only_counts_at_the_start_is_read_only_and_keeps_its_value(tuned, graph):
    refused = set_parameter(graph, "/tuned/pose_node", "autostart", False)
    assert not refused.successful and "read-only" in refused.reason and "autostart" in refused.reason
    assert parameter(graph, "/tuned/pose_node", "autostart") is True


@pytest.mark.ros
def test_the_description_of_a_parameter_says_whether_it_is_read_only(tuned, graph):
    from rcl_interfaces.srv import DescribeParameters

    names = ["autostart", "model", "max_rate_hz"]
    request = DescribeParameters.Request(names=names)
    described = graph.call(DescribeParameters, "/tuned/pose_node/describe_parameters", request).descriptors
    assert {d.name: d.read_only for d in described} == {"autostart": True, "model": False, "max_rate_hz": False}


@pytest.mark.parametrize("transport", ["theora", "compressedDepth", "zstd", "ffmpeg", "RAW", ""])
def test_another_image_transport_is_refused_by_one_line_that_says_what_to_do(transport):
    with pytest.raises(HpeError) as refused:
        NodeConfig(image_transport=transport)
    text = str(refused.value)
    assert text.startswith(f"image_transport must be one of raw, compressed, got '{transport}'")
    assert "republish" in text and "\n" not in text
    assert "\n## Image transports\n" in (ROOT / "docs" / "ros.md").read_text("utf-8")


@pytest.mark.ros
def test_the_launch_file_in_yaml_starts_a_node_that_answers_images(start, graph, sample_image, model, tmp_path):
    from geometry_msgs.msg import PoseArray

    path = tmp_path / "pose.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n    model: {model}\n")
    arguments = ["namespace:=written", "image:=lens/image", "camera_info:=lens/camera_info", f"params_file:={path}"]
    launched = start(["ros2", "launch", "hpe_ros", "pose.launch.yaml", *arguments, f"python:={sys.executable}"])
    poses = graph.record(PoseArray, "/written/head_poses")
    answer = graph.show(graph.camera("/written/lens"), poses, sample_image)
    assert len(answer.poses) == 1
    assert "Traceback" not in launched.text


def statuses():
    """Every status that our nodes publish, by the names of the nodes: dict node -> list of names."""
    from hpe_ros.attention.health import AttentionHealth
    from hpe_ros.pose.diagnostics import Diagnostics

    parts = {"pose_node": Diagnostics().statuses(), "attention_node": AttentionHealth().statuses()}
    return {node: [status.name for status in of] for node, of in parts.items()} | {"camera_node": ["source"]}


def test_every_status_of_our_nodes_has_exactly_one_place_in_the_aggregator_file():
    written = yaml.safe_load((ROOT / "config" / "diagnostics_aggregator.yaml").read_text())
    parameters = written["analyzers"]["ros__parameters"]
    analyzers = {name: value for name, value in parameters.items() if name != "path"}
    for node, names in statuses().items():
        for namespace in ("", "robot/left/"):
            for name in names:
                full = f"{namespace}{node}: {name}"
                of = [a["path"] for a in analyzers.values() if any(part in full for part in a["contains"])]
                assert len(of) == 1, (full, of)


@pytest.mark.ros
def test_the_aggregator_sorts_what_a_running_node_says(tuned, start, graph):
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    from diagnostic_msgs.msg import DiagnosticArray

    try:
        get_package_prefix("diagnostic_aggregator")
    except PackageNotFoundError:
        pytest.skip("diagnostic_aggregator is not installed: config/diagnostics_aggregator.yaml was NOT loaded")
    aggregated = graph.record(DiagnosticArray, "/diagnostics_agg")
    file = ROOT / "config" / "diagnostics_aggregator.yaml"
    start(["ros2", "run", "diagnostic_aggregator", "aggregator_node", "--ros-args", "--params-file", str(file)])
    expected = {f"/Heads/Head pose/tuned pose_node: {part}" for part in ("model", "camera", "qos", "input", "latency")}

    def names():
        return {status.name for message in list(aggregated) for status in message.status}

    try:
        graph.until(lambda: expected <= names(), 60.0, "statuses of the node below Heads")
    finally:
        assert expected <= names()
    assert not [name for name in names() if name.startswith("/Heads/Other")]


@pytest.mark.ros
def test_the_program_of_the_guide_runs_both_nodes_in_one_process(start, graph, ros_environment, tmp_path):
    guide = (ROOT / "docs" / "ros.md").read_text("utf-8").split("## Several nodes in one process")[1]
    (program,) = re.findall(r"```python\n(.*?)```", guide.split("\n## ")[0], re.DOTALL)
    (tmp_path / "heads.py").write_text(program)
    command = [sys.executable, tmp_path / "heads.py", "--ros-args", "-r", "__ns:=/together", "-p", "model:=head6dof"]
    process = start(command)
    for name in ("/together/pose_node", "/together/attention_node"):
        graph.until(lambda name=name: graph.state(name) == "active", 60.0, f"{name} active")
    assert process.stop() == 0, process.text
    assert "Traceback" not in process.text
