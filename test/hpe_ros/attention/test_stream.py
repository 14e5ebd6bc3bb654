"""The two nodes together on a real graph: a bag's images in, scores of looking at the camera out, against the truth."""

import sys

import numpy as np
import pytest

from hpe_core.evaluation.streams.readers import parse_spec, read_series
from hpe_core.geometry.gaze import angle_to_target_deg

pytestmark = pytest.mark.ros


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope="module")
def scores(start, graph, bag, publisher, model):
    """dict stamp -> score that face_a looks at the camera, while the sample bag was replayed once at 15 Hz."""
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: the attention node was NOT tested")
    from vision_msgs.msg import Detection3DArray

    judged = graph.record(Detection3DArray, "/pair/attention")
    nodes = [
        start(["ros2", "launch", "hpe_ros", name, "namespace:=pair", f"python:={sys.executable}", *more])
        for name, more in (
            ("pose.launch.py", [f"model:={model}", "image:=/replay/image", "camera_info:=/replay/camera_info"]),
            ("attention.launch.py", ["camera_info:=/replay/camera_info"]),
        )
    ]
    # the pose node publishes heads only for those who listen
    graph.until(lambda: graph.node.count_subscribers("/pair/heads") > 0, 120.0, "subscriber of heads")
    replay = start([sys.executable, publisher, bag, "--rate", "15", "--ros-args", "-r", "__ns:=/replay"])
    assert replay.wait(120.0) == 0, replay.text
    last = truth(bag).stamp_ns[-1]
    graph.until(lambda: judged and stamp_ns(judged[-1]) == last, 20.0, "the last frame's judgement")
    for node in nodes:
        assert "Traceback" not in node.text
    return {
        stamp_ns(message): detection.results[0].hypothesis.score
        for message in judged
        for detection in message.detections
        if stamp_ns(detection) == stamp_ns(message)  # not one that is bridged
    }


def truth(bag):
    return read_series(bag, parse_spec("/truth/head_pose"))


def test_the_score_tells_heads_that_point_at_the_camera_from_those_that_do_not(scores, bag):
    true = truth(bag)
    true = true.where(np.isin(true.stamp_ns, list(scores)))
    angle = angle_to_target_deg(true.R, true.t_m, np.zeros(3))
    score = np.array([scores[stamp] for stamp in true.stamp_ns.tolist()])
    assert len(score) > 50  # of 150; a busy machine skips some
    assert not np.isnan(score).any()
    assert np.median(score[angle < 10.0]) > 0.6
    assert np.median(score[angle > 25.0]) < 0.1
