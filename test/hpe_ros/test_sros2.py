"""The SROS2 policy names exactly what the running nodes use: compared with the graph in both directions."""

import fnmatch
import importlib.util
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

POLICY = Path(__file__).parents[2] / "config" / "sros2" / "policy.xml"
HUMANS = "/humans/"  # REP-155, only where hri_msgs is
# only with a model that measures them, or when two people turn out to be one, so they may be unused
SELDOM = {"/humans/faces/*/landmarks", "/humans/faces/*/facs", "/humans/persons/*/alias"}
SELDOM |= {"/secured/expressions", "/secured/meshes"}
TF_OF_DEPTH = {"/tf", "/tf_static"}  # only once the pose node has a depth image in another frame
ANNOTATIONS = "/secured/annotations"  # only where foxglove_msgs is
QUERIES = {
    ("topic", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("topic", "publish"): "get_publisher_names_and_types_by_node",
    ("service", "reply"): "get_service_names_and_types_by_node",
    ("service", "request"): "get_client_names_and_types_by_node",
}


def allowed(node_name, namespace):
    """dict (kind, what may be done) -> set of full names, for the node in a namespace."""
    (profile,) = [p for p in ElementTree.parse(POLICY).iter("profile") if p.get("node") == node_name]
    assert profile.get("ns") == "/"
    found = {key: set() for key in QUERIES}
    for kind, may in QUERIES:
        for group in profile.findall(f"{kind}s[@{may}='ALLOW']"):
            found[kind, may] |= {resolved(entry.text, node_name, namespace) for entry in group}
    assert sum(map(len, found.values())) == sum(len(group) for group in profile), "nothing twice, nothing unread"
    return found


def resolved(name, node_name, namespace):
    """Full name of a topic or service as the policy writes it."""
    if name.startswith("/"):
        return name
    return f"{namespace}/{node_name}{name[1:]}" if name.startswith("~") else f"{namespace}/{name}"


def used(graph, node_name, namespaces):
    """As `allowed`, by what the graph knows of nodes in namespaces, all named as if they were in the first."""
    found = {key: set() for key in QUERIES}
    there = set(graph.node.get_node_names_and_namespaces())
    for namespace in (namespace for namespace in namespaces if (node_name, namespace or "/") in there):
        for key, query in QUERIES.items():
            names = [name for name, _ in getattr(graph.node, query)(node_name, namespace or "/")]
            found[key] |= {namespaces[0] + n[len(namespace) :] if n.startswith(f"{namespace}/") else n for n in names}
    return found


@pytest.fixture(scope="module")
def secured(start, ros_environment, model, bag, publisher, tmp_path_factory):
    """Nodes in every configuration that uses another topic, at work on a face: dict node -> namespaces."""
    prefix = ros_environment["AMENT_PREFIX_PATH"].split(os.pathsep)[0]
    cameras = tmp_path_factory.mktemp("cameras") / "cameras.yaml"
    cameras.write_text("{fixed_frame: camera_optical_frame, cameras: [{name: secured}]}")  # the frame of the images

    def begin(node_name, namespace, **parameters):
        command = [f"{prefix}/lib/hpe_ros/{node_name}", "--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in ({"autostart": True, "use_sim_time": True} | parameters).items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        start(command)

    begin("pose_node", "/secured", model=model)
    begin("pose_node", "/secured_jpeg", model=model, image_transport="compressed", use_depth=True)
    begin("pose_node", "/secured_png", model=model, use_depth=True, depth_transport="compressedDepth")
    begin("attention_node", "/secured", targets=["tablet frame=tablet_link"])
    begin("people_node", "/", cameras_file=str(cameras))
    start([sys.executable, publisher, bag, "--rate", "3", "--loops", "0", "--ros-args", "-r", "__ns:=/secured"])
    return {
        "pose_node": ["/secured", "/secured_jpeg", "/secured_png"],
        "attention_node": ["/secured"],
        "people_node": [""],
    }


@pytest.mark.parametrize("node_name", ["pose_node", "attention_node", "people_node"])
def test_the_policy_allows_what_the_node_uses_and_nothing_else(secured, graph, node_name):
    if importlib.util.find_spec("vision_msgs") is None:
        pytest.skip("no vision_msgs: the nodes do not have all their topics, the policy was NOT compared")
    policy = allowed(node_name, secured[node_name][0])
    if importlib.util.find_spec("hri_msgs") is None:
        policy = {key: {name for name in names if not name.startswith(HUMANS)} for key, names in policy.items()}
    if importlib.util.find_spec("foxglove_msgs") is None:
        policy = {key: names - {ANNOTATIONS} for key, names in policy.items()}
    if os.environ["ROS_DISTRO"] in ("humble", "iron"):
        policy["service", "reply"] = {n for n in policy["service", "reply"] if not n.endswith("/get_type_description")}

    def differences():
        found = used(graph, node_name, secured[node_name])
        extra = {key: {n for n in found[key] if not fits(n, policy[key])} for key in QUERIES}
        missing = {key: {p for p in policy[key] - SELDOM if not fnmatch.filter(found[key], p)} for key in QUERIES}
        missing["topic", "subscribe"] -= TF_OF_DEPTH if node_name == "pose_node" else set()
        return {"not allowed": _filled(extra), "not used": _filled(missing)}

    nothing = {"not allowed": {}, "not used": {}}
    try:
        graph.until(lambda: differences() == nothing, 90.0, "the graph as in the policy")
    finally:
        assert differences() == nothing


def fits(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _filled(sets):
    return {" ".join(key): sorted(names) for key, names in sets.items() if names}


def test_the_policy_has_the_lifecycle_nodes_each_in_its_own_enclave():
    enclaves = ElementTree.parse(POLICY).getroot().iter("enclave")
    nodes = {enclave.get("path"): [p.get("node") for p in enclave.iter("profile")] for enclave in enclaves}
    assert nodes == {f"/hpe_ros/{name}": [name] for name in ("pose_node", "attention_node", "people_node")}
