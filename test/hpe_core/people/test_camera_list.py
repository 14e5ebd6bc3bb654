"""The YAML list of cameras."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.people.camera_list import camera_list, read_camera_list

CONFIG = Path(__file__).parents[3] / "config"
PLACE = {"translation_m": [0, 0.5, 1.5], "rpy_deg": [-90.0, 0.0, -90.0]}


def of(*cameras, **others):
    return camera_list({"cameras": list(cameras), **others}, "cameras file x.yaml")


def test_a_camera_has_its_name_as_namespace_and_prefix_unless_it_says_otherwise():
    left, right = of(
        {"name": "left"}, {"name": "right", "namespace": "/head/r", "parameters": {"tf_prefix": ""}}
    ).cameras
    assert (left.namespace, left.topics["image"], left.topic("heads")) == ("left", "image", "left/heads")
    assert (left.tf_prefix, right.tf_prefix, right.topic("heads"), right.topic("/x")) == (
        "left_",
        "",
        "/head/r/heads",
        "/x",
    )
    assert left.place is None


def test_a_topic_of_depth_images_is_used_unless_the_parameters_say_otherwise():
    plain, deep, idle = of(
        {"name": "plain"},
        {"name": "deep", "depth": "aligned/image", "depth_camera_info": "/lens/camera_info"},
        {"name": "idle", "depth": "depth", "parameters": {"use_depth": False}},
    ).cameras
    assert "use_depth" not in plain.parameters
    assert (deep.parameters["use_depth"], idle.parameters["use_depth"]) == (True, False)
    assert (deep.topics["depth"], deep.topics["depth_camera_info"]) == ("aligned/image", "/lens/camera_info")


def test_the_angles_of_the_example_look_along_x_of_the_parent():
    first, second = read_camera_list(CONFIG / "cameras.yaml").cameras
    np.testing.assert_allclose(first.place.R_fixed_camera @ [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(first.place.R_fixed_camera @ [0.0, 1.0, 0.0], [0.0, 0.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(first.place.t_fixed_camera_m, [0.0, 0.5, 1.5])
    assert (first.parent, first.frame_id, second.place) == ("map", "left_optical_frame", None)


def test_a_quaternion_says_the_same_as_its_angles():
    by_angles, by_quat = (
        of({"name": "a", "frame_id": "lens", "extrinsics": PLACE}).cameras[0].place,
        of(
            {
                "name": "a",
                "frame_id": "lens",
                "extrinsics": {"translation_m": [0, 0.5, 1.5], "quaternion_xyzw": [-0.5, 0.5, -0.5, 0.5]},
            }
        )
        .cameras[0]
        .place,
    )
    np.testing.assert_allclose(by_angles.R_fixed_camera, by_quat.R_fixed_camera, atol=1e-12)


@pytest.mark.parametrize(
    ("cameras", "words"),
    [
        ([{"name": "left"}, {"name": "right"}, {"name": "left"}], "cameras 1 and 3 have the same name 'left'"),
        ([{"name": "a"}, {"name": "b", "namespace": "a"}], "cameras 1 and 2 have the same namespace 'a'"),
        ([{"name": "a", "image": "/x/image"}, {"name": "b", "image": "/x/image"}], "have the same image '/x/image'"),
        ([{"name": "a", "topic": "x"}], "camera 1: unknown key 'topic', known: name, "),
        ([{"name": "two words"}], "camera 1: name must be letters, digits and _"),
        ([{}], "camera 1: name must be"),
        (["left"], "camera 1 must be a mapping with a name, got 'left'"),
        ([{"name": "a", "image": "a b"}], "camera 1 'a': image must be a ROS name, got 'a b'"),
        ([{"name": "a", "depth": True}], "camera 1 'a': depth must be a ROS name, got True"),
        ([{"name": "a", "parameters": [1]}], "camera 1 'a': parameters must be a mapping"),
        ([{"name": "a", "parameters": {"tf_prefix": 1}}], "tf_prefix must be a text, got 1"),
        ([{"name": "a", "extrinsics": PLACE}], "camera 1 'a': extrinsics need frame_id"),
        (
            [{"name": "a", "frame_id": "f", "extrinsics": {"translation_m": [0, 0, 0]}}],
            "either rpy_deg or quaternion_xyzw",
        ),
        (
            [{"name": "a", "frame_id": "f", "extrinsics": PLACE | {"translation_m": [0, 0]}}],
            "translation_m must be 3 numbers",
        ),
        (
            [{"name": "a", "frame_id": "f", "extrinsics": PLACE | {"rpy_deg": [0, float("nan"), 0]}}],
            "rpy_deg must be 3 finite",
        ),
        (
            [
                {
                    "name": "a",
                    "frame_id": "f",
                    "extrinsics": {"translation_m": [0, 0, 0], "quaternion_xyzw": [0, 0, 0, 0]},
                }
            ],
            "quaternion must be finite with non-zero length",
        ),
        ([], "cameras must be a list of at least one camera, got []"),
    ],
)
def test_a_wrong_list_is_one_line_that_names_file_and_camera(cameras, words):
    with pytest.raises(HpeError) as error:
        of(*cameras)
    assert words in str(error.value) and str(error.value).startswith("cameras file x.yaml")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(HpeError, match=r"cameras file .*none\.yaml"):
        read_camera_list(tmp_path / "none.yaml")


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = (
    "name",
    "namespace",
    "image",
    "camera_info",
    "depth",
    "depth_camera_info",
    "frame_id",
    "extrinsics",
    "parameters",
)
_PLACES = st.dictionaries(st.sampled_from(["parent", "translation_m", "rpy_deg", "quaternion_xyzw"]), _ANY)
_CAMERAS = st.dictionaries(st.sampled_from(_KEYS), _ANY | _PLACES | st.just("a"))


@given(st.dictionaries(st.sampled_from(["fixed_frame", "cameras", "other"]), _ANY | st.lists(_CAMERAS, max_size=3)))
def test_whatever_yaml_says_is_a_list_of_cameras_or_an_error_for_the_user(values):
    try:
        made = camera_list(values, "cameras file x.yaml")
    except HpeError as error:
        assert str(error).startswith("cameras file x.yaml")
    else:
        assert len({camera.name for camera in made.cameras}) == len(made.cameras) > 0
