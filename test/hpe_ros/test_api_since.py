"""Every name of a ROS package that nodes and launch files use stands in api_since.csv, with its first distribution.

It was read in the sources of rclpy, launch, launch_ros, tf2_ros and the messages of Humble, Iron, Jazzy and December
2024 (before Kilted); of later ones only in rclpy.endpoint_info, which took the place of rclpy.topic_endpoint_info.
"""

import importlib
import inspect
import os
import re
from pathlib import Path

import pytest

from docs.ros_api import DISTRIBUTIONS, TABLE, module, modules, table, uses

OLDEST = DISTRIBUTIONS[0]


@pytest.fixture(scope="module")
def rows():
    return table(TABLE)


@pytest.fixture(scope="module")
def used(rows):
    return uses(list(modules()), rows)


def unlisted(found, rows):
    """One sentence for each use that the table lacks."""
    return [
        f"{place} uses {api}, which {TABLE.name} does not list: add it with the distribution it appeared in"
        for api, place, _ in found
        if api not in rows
    ]


def unguarded(found, rows):
    """One sentence for each use of what some distribution lacks, where nothing catches that it is missing.

    Members and arguments of such a name go by its import.
    """
    limited = {api for api, row in rows.items() if row.since != OLDEST or row.until}
    return [
        f"{place} uses {api}, which is only there from {rows[api].since} to {rows[api].until or 'today'}: "
        f"import it where an ImportError is caught, and name in {TABLE.name} what is used instead"
        for api, place, guarded in found
        if api in limited and not (guarded and rows[api].instead) and re.split(r"[.(]\w+\)?$", api)[0] not in limited
    ]


def test_every_use_is_listed(used, rows):
    assert unlisted(used, rows) == []


def test_nothing_is_listed_that_is_not_used(used, rows):
    needed = {api for api, *_ in used} | {row.gives for row in rows.values()} | {row.is_a for row in rows.values()}
    assert set(rows) - needed == set()


def test_what_a_distribution_lacks_is_only_imported_where_that_is_caught(used, rows):
    assert unguarded(used, rows) == []


def is_there(api, passed_on=""):
    """Whether an api exists here. passed_on: the function to which one with **kwargs hands them on."""
    path, _, argument = api.rstrip(")").partition("(")
    try:
        thing, rest = _found(path)
    except (ImportError, AttributeError):
        return False
    if rest:  # an attribute that instances get in __init__
        return any(re.search(rf"\bself\.{rest}\b[^=\n]*=[^=]", _source(base)) for base in thing.__mro__)
    return not argument or _takes(thing, argument) or bool(passed_on and is_there(f"{passed_on}({argument})"))


def _found(path):
    """(the thing of a dotted path, the last name if that is no attribute of a class)."""
    names = path.split(".")
    for end in range(len(names), 0, -1):
        try:
            thing = importlib.import_module(".".join(names[:end]))
        except ImportError:
            continue
        for place, name in enumerate(names[end:], end + 1):
            if place == len(names) and inspect.isclass(thing) and not hasattr(thing, name):
                return thing, name
            thing = getattr(thing, name)
        return thing, ""
    raise ImportError(path)


def _takes(thing, argument):
    if hasattr(thing, "get_fields_and_field_types"):
        return argument in thing.get_fields_and_field_types()
    makers = [thing]
    if inspect.isclass(thing):
        makers = [
            vars(base)[name] for base in thing.__mro__[:-1] for name in ("__init__", "__new__") if name in vars(base)
        ]
    taken = [inspect.signature(maker).parameters.values() for maker in makers]
    if any(argument == one.name for of in taken for one in of):
        return True
    open_ended = any(one.kind is one.VAR_KEYWORD for of in taken for one in of)
    return open_ended and f"'{argument}'" in inspect.getsource(inspect.getmodule(thing))


def _source(kind):
    try:
        return inspect.getsource(kind)
    except (TypeError, OSError):  # built in
        return ""


@pytest.mark.ros
def test_what_is_listed_for_the_distribution_that_is_sourced_is_there(rows):
    here = os.environ["ROS_DISTRO"]
    optional = {name for name in ("cv_bridge", "vision_msgs", "hri_msgs", "foxglove_msgs") if not is_there(name)}
    looked_for = [row for row in rows.values() if row.api.split(".")[0] not in optional]
    passed_on = {api: row.is_a for api, row in rows.items()}
    there = {row.api for row in looked_for if is_there(row.api, passed_on.get(row.api.partition("(")[0], ""))}
    lacking = [row.api for row in looked_for if row.exists_in(here) and row.api not in there]
    early = [row.api for row in looked_for if row.api in there and not row.until and not row.exists_in(here)]
    assert (lacking, early) == ([], [])


CODE = """
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

class Ours(Node):
    def __init__(self, image: Image | None, node: "Node"):
        self._node, self._image = node, image
        self.own = 1

    def work(self):
        options = {"nonsense": 1}
        publisher = self._node.create_publisher(Image, "x", QoSProfile(deepness=3), **options)
        publisher.fly()
        self.paint(self.own, self._image.colour)
        return super().sing()
"""


def test_a_method_an_argument_and_a_message_field_that_are_unlisted_are_each_told_with_their_line(rows):
    found = uses([module(Path("x.py"), CODE, "hpe_ros.x")], rows)
    told = {text.split(" uses ")[1].split(",")[0]: text for text in unlisted(found, rows)}
    assert set(told) == {
        "rclpy.qos.QoSProfile(deepness)",
        "rclpy.node.Node.create_publisher(nonsense)",
        "rclpy.publisher.Publisher.fly",
        "rclpy.node.Node.paint",
        "rclpy.node.Node.sing",
        "sensor_msgs.msg.Image.colour",
    }
    assert told["rclpy.publisher.Publisher.fly"].startswith("x.py:14 uses ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from rclpy.event_handler import PublisherEventCallbacks", 1),
        ("try:\n    from rclpy.event_handler import PublisherEventCallbacks\nexcept ImportError:\n    pass", 0),
        ("try:\n    from rclpy.event_handler import PublisherEventCallbacks\nexcept ValueError:\n    pass", 1),
        ("if TYPE_CHECKING:\n    from rclpy.topic_endpoint_info import TopicEndpointInfo", 0),
        ("if True:\n    from rclpy.topic_endpoint_info import TopicEndpointInfo", 1),
    ],
)
def test_an_import_that_some_distribution_lacks_must_be_caught(rows, text, told):
    complaints = unguarded(uses([module(Path("x.py"), text, "hpe_ros.x")], rows), rows)
    assert len(complaints) == told
    assert all("x.py:" in complaint and "ImportError" in complaint for complaint in complaints)
