"""Parameters are the configuration's fields, and the shipped YAML is the same defaults."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def parameters():
    from hpe_ros import parameters

    return parameters


def test_no_two_groups_share_a_name(parameters):
    assert len(parameters.FIELDS) == sum(len(fields(group)) for group in parameters.GROUPS)


def test_shipped_yaml_lists_every_parameter_with_its_default(parameters):
    text = (Path(__file__).parents[2] / "config" / "pose.yaml").read_text()
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert given == {name: f.default for name, f in parameters.FIELDS.items()}


def test_every_parameter_is_described_and_numbers_have_a_range(parameters):
    for name, f in parameters.FIELDS.items():
        made = parameters.descriptor(name)
        assert made.description, name
        if f.metadata["choices"] is not None:
            assert str(f.default) in made.additional_constraints, name
        elif type(f.default) is float:
            (span,) = made.floating_point_range
            assert span.from_value <= f.default <= span.to_value
        elif type(f.default) is int:
            (span,) = made.integer_range
            assert span.from_value <= f.default <= span.to_value
