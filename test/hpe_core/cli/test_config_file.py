from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.cli.config_file import config_from_file, parameters_of
from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError

ROOT = Path(__file__).parents[3]


def test_the_parameter_file_of_the_project_is_the_default_and_names_what_is_left_out(capfd):
    assert config_from_file(str(ROOT / "config" / "pose.yaml")) == PipelineConfig()
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "left out: autostart, " in said and "image_transport" in said


@pytest.mark.parametrize(
    "text, faces",
    [
        ("/**: {ros__parameters: {max_faces: 3}}", 3),
        ("pose_node: {ros__parameters: {max_faces: 4}}", 4),
        ("/pose_node: {ros__parameters: {max_faces: 5}}", 5),
        ("/*: {ros__parameters: {max_faces: 6}}", 6),
        ("/**/pose_node: {ros__parameters: {max_faces: 7}}", 7),
        ("/**: {pose_node: {ros__parameters: {max_faces: 9}}}", 9),  # a namespace of its own level
        ("pose_node: {ros__parameters: {max_faces: 2}}\n/**: {ros__parameters: {max_faces: 3}}", 3),  # the later one
        ("/*/pose_node: {ros__parameters: {max_faces: 2}}\n/**: {ros__parameters: {timeout_s: 2.0}}", 8),
        ("/**: {ros__parameters: }", 8),
        ("estimator: {max_faces: 2}", 2),
    ],
)
def test_entries_fit_the_node_as_in_ros(text, faces, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert config_from_file(str(path)).estimator.max_faces == faces


@pytest.mark.parametrize(
    "text, reason",
    [
        ("/left/pose_node: {ros__parameters: {max_faces: 2}}", "no parameters of /pose_node, only of /left/pose_node"),
        ("/**: {ros__parameters: {max_faces: 200}}", "max_faces must lie in"),
        ("/**: {ros__parameters: {max_faces: two}}", "max_faces must be int"),
        ("/**: {ros__parameters: [1]}", "must be a mapping"),
        ("/**: {ros__parameters: {}}\nother: 3", "other must hold ros__parameters"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_the_file(text, reason, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(HpeError, match=r"config file .*params.yaml: ") as error:
        config_from_file(str(path))
    assert reason in str(error.value)


NAMES = st.sampled_from(["/**", "/*", "pose_node", "ns", "ros__parameters", "", "/", 3, None])


@given(st.recursive(st.none() | st.integers() | st.text(), lambda below: st.dictionaries(NAMES, below), max_leaves=8))
def test_any_mapping_has_parameters_or_is_refused(values):
    with suppress(HpeError):
        assert isinstance(parameters_of(values if isinstance(values, dict) else {"/**": values}), dict)
