"""Parameters are the configuration's fields, and the shipped YAML is the same defaults."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hpe_ros.node_config import POSE_NODE_GROUPS

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def parameters():
    from hpe_ros import parameters

    return parameters


@pytest.fixture(scope="module")
def known(parameters):
    """Fields of the pose node's parameters by their names."""
    return parameters.fields_of(POSE_NODE_GROUPS)


def test_no_two_groups_share_a_name(known):
    assert len(known) == sum(len(fields(group)) for group in POSE_NODE_GROUPS)


def test_shipped_yaml_lists_every_parameter_with_its_default(known):
    text = (Path(__file__).parents[2] / "config" / "pose.yaml").read_text()
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert given == {name: list(f.default) if isinstance(f.default, tuple) else f.default for name, f in known.items()}


def test_every_parameter_is_described_and_numbers_have_a_range(parameters, known):
    for name, f in known.items():
        made = parameters.descriptor(f)
        assert made.description, name
        if f.metadata["choices"] is not None:
            assert str(f.default) in made.additional_constraints, name
        elif type(f.default) is float:
            (span,) = made.floating_point_range
            assert span.from_value <= f.default <= span.to_value
        elif type(f.default) is int:
            (span,) = made.integer_range
            assert span.from_value <= f.default <= span.to_value
