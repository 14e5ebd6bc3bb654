from dataclasses import FrozenInstanceError, fields

import pytest

from hpe_core.config import EstimatorConfig, PipelineConfig, TrackerConfig, overridden
from hpe_core.errors import HpeError


def test_nothing_overridden_is_the_default():
    assert overridden(PipelineConfig(), {}) == PipelineConfig()


def test_a_nested_value_changes_only_itself():
    config = overridden(PipelineConfig(), {"tracker": {"timeout_s": 2.5}, "estimator": {"max_faces": 3}})
    assert config.tracker.timeout_s == 2.5
    assert config.estimator.max_faces == 3
    assert config.tracker.new_face_score == TrackerConfig().new_face_score
    assert config.estimator.model == EstimatorConfig().model


def test_unknown_key_lists_the_known_ones():
    with pytest.raises(HpeError, match="unknown setting 'trakcer', known: estimator, tracker"):
        overridden(PipelineConfig(), {"trakcer": {}})
    with pytest.raises(HpeError, match=r"unknown setting 'timeout', known: .*timeout_s"):
        overridden(PipelineConfig(), {"tracker": {"timeout": 1.0}})


@pytest.mark.parametrize(
    "group, values, message",
    [
        ("tracker", {"timeout_s": 0.0}, r"timeout_s must lie in \[0.05, 60.0\], got 0.0"),
        ("tracker", {"timeout_s": float("nan")}, r"timeout_s must lie in \[0.05, 60.0\], got nan"),
        ("tracker", {"timeout_s": "long"}, r"timeout_s must be float, got str \('long'\)"),
        ("tracker", {"filter": 1}, r"filter must be bool, got int \(1\)"),
        ("tracker", {"timeout_s": True}, r"timeout_s must be float, got bool \(True\)"),
        ("estimator", {"max_faces": 65}, r"max_faces must lie in \[1, 64\], got 65"),
        ("estimator", {"max_faces": 2.0}, r"max_faces must be int, got float \(2.0\)"),
        ("estimator", {"model": None}, r"model must be str, got NoneType"),
    ],
)
def test_wrong_values_name_the_setting_and_what_is_allowed(group, values, message):
    with pytest.raises(HpeError, match=message):
        overridden(PipelineConfig(), {group: values})


@pytest.mark.parametrize("value", [None, 3, [1], "fast"])
def test_a_group_must_be_a_group(value):
    with pytest.raises(HpeError, match="tracker must be a group of settings"):
        overridden(PipelineConfig(), {"tracker": value})


def test_a_whole_number_may_stand_for_a_float():
    timeout = TrackerConfig(timeout_s=2).timeout_s
    assert timeout == 2.0 and type(timeout) is float


def test_config_is_frozen_and_checked_when_built_by_hand():
    with pytest.raises(FrozenInstanceError):
        TrackerConfig().timeout_s = 3.0
    with pytest.raises(HpeError, match="score_threshold"):
        EstimatorConfig(score_threshold=1.5)


@pytest.mark.parametrize("config", [EstimatorConfig, TrackerConfig])
def test_every_setting_says_what_it_means_and_numbers_have_bounds(config):
    for f in fields(config):
        assert f.metadata["description"]
        if type(f.default) in (int, float) and f.metadata["choices"] is None:
            assert f.metadata["low"] <= f.default <= f.metadata["high"]
