"""Counters, windows and levels of the node's diagnostics. No ROS needed."""

import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.types import FrameResult
from hpe_ros.pose import diagnostics
from hpe_ros.pose.camera_book import Pairing


@pytest.fixture
def health():
    health = diagnostics.Diagnostics()
    health.restart(running=True)
    return health


def status(health, name):
    return next(s for s in health.statuses() if s.name == name)


def frame(inference_s=0.004, stamp_ns=0, **counts):
    return FrameResult(stamp_ns, (), {"inference": inference_s, "tracking": 0.0005}, counts)


def test_overhead_is_latency_less_inference_in_milliseconds(health):
    for _ in range(10):
        health.processed(frame(0.004, stamp_ns=1_000_000_000), now_ns=1_007_000_000, latency_s=0.006)
    values = status(health, "latency").values
    assert values["latency_ms"] == "6.00/6.00"
    assert values["inference_ms"] == "4.00/4.00"
    assert values["overhead_ms"] == "2.00/2.00"
    assert values["node_ms"] == "1.50/1.50"
    assert values["stamp_to_publish_ms"] == "7.00/7.00"
    assert values["stamp_age_ms"] == "1.00/1.00"


def test_an_image_that_is_not_looked_at_as_a_whole_counts_with_0_there(health):
    health.processed(frame(0.004), now_ns=10_000_000, latency_s=0.006)
    for _ in range(2):
        followed = FrameResult(0, (), {"refinement": 0.002, "tracking": 0.0005})
        health.processed(followed, now_ns=10_000_000, latency_s=0.003)
    values = status(health, "latency").values
    assert values["inference_ms"].startswith("0.00/") and values["refinement_ms"] == "2.00/2.00"
    assert values["overhead_ms"].startswith("1.00/")


def test_faces_that_no_crop_confirms_are_counted(health):
    for _ in range(2):
        health.processed(frame(unconfirmed=3), now_ns=0, latency_s=0.006)
    assert status(health, "input").values["faces not confirmed, not published"] == 6


def test_losses_are_counted_by_reason_and_warned_about_once(health):
    for _ in range(3):
        health.received()
    health.dropped(diagnostics.SUPERSEDED)
    assert health.failed(HpeError("step is 3 bytes")) == "step is 3 bytes"
    first, second = status(health, "input"), status(health, "input")
    assert first.level == "warn"
    assert "1 unusable image" in first.message
    assert second.level == "ok"
    assert second.values["dropped"] == 2
    assert second.values["dropped, superseded by a newer image"] == 1
    assert second.values["last_error"] == "step is 3 bytes"


def test_candidates_without_an_answer_of_nlml_are_counted_and_other_methods_know_no_such_count(health):
    health.processed(frame(), 0, 0.006)
    assert not [name for name in status(health, "input").values if name.startswith("nlml")]
    for rigid in (1, 0):
        health.processed(frame(**{"nlml.candidates": 2, "nlml.rigid": rigid, "nlml.out_of_range": 1}), 0, 0.006)
    values = status(health, "input").values
    assert [values[f"nlml {name}"] for name in ("candidates", "rigid", "out_of_range")] == [4, 1, 2]
    health.restart()
    assert "nlml rigid" not in status(health, "input").values


def test_faces_where_the_distortion_has_no_inverse_are_counted(health):
    for beyond_lens in (0, 2, 1):
        health.processed(frame(beyond_lens=beyond_lens), 0, 0.006)
    assert status(health, "input").values["faces where the distortion has no inverse"] == 3


def test_more_camera_infos_than_images_tell_of_images_lost_on_the_way(health):
    for _ in range(3):
        health.camera_info_received()
    health.received()
    values = status(health, "input").values
    assert (values["camera_info received"], values["received"]) == (3, 1)


def test_what_happens_to_the_stream_is_counted(health, monkeypatch):
    now = diagnostics.time.monotonic()
    health.received()
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now + 5.0)
    health.received()
    health.noted(diagnostics.CLOCK_BACK)
    values = status(health, "input").values
    assert (values["silences"], values["stamps jumped back"]) == (1, 1)
    assert values["changes of image size or calibration"] == 0


def test_images_without_a_calibration_are_counted(health):
    camera = CameraModel.from_hfov(640, 480, 60.0)
    for pairing in (Pairing(camera, "assumed", "uncalibrated"), Pairing(camera, "newest")):
        health.camera(pairing, 640, 480)
    assert status(health, "camera").values["images without calibration"] == 1


def test_an_error_of_our_own_comes_with_its_traceback(health):
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        text = health.failed(error)
    assert "Traceback" in text
    assert status(health, "input").values["dropped, internal error"] == 1


def test_silence_is_a_warning_while_active_and_stale_otherwise(health, monkeypatch):
    assert status(health, "input").level == "ok"
    now = diagnostics.time.monotonic()
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now + 5.0)
    assert status(health, "input").message == "no image for 5 s"
    health.restart()
    assert status(health, "input").level == "stale"


def test_an_assumed_camera_is_a_warning_and_news_only_once(health):
    camera = CameraModel.from_hfov(640, 480, 60.0)
    pairing = Pairing(camera, "assumed", "camera_info is uncalibrated")
    assert health.camera(pairing, 640, 480)
    assert not health.camera(pairing, 640, 480)
    assert status(health, "camera").level == "warn"
    assert health.camera(Pairing(camera, "newest"), 640, 480)
    assert status(health, "camera").level == "ok"


def test_a_qos_mismatch_is_an_error_by_the_topics_name_until_it_is_gone(health):
    health.qos({"/eye/image": "Best effort publisher and reliable subscription"})
    found = status(health, "qos")
    assert (found.level, found.message) == ("error", "QoS mismatch on /eye/image")
    assert found.values == {"/eye/image": "Best effort publisher and reliable subscription"}
    health.qos({})
    assert status(health, "qos").level == "ok"
    health.restart()
    assert status(health, "qos").level == "stale"


def test_the_counts_of_a_long_run_take_no_more_memory_than_its_window(health):
    for number in range(3 * diagnostics.WINDOW):
        health.received()
        health.processed(frame(stamp_ns=number), number, 0.01)
        health.failed(HpeError(f"image {number} is bad"))
    kept = [health._arrivals, *health._times_ms.values()]
    assert {len(values) for values in kept} == {diagnostics.WINDOW}
    assert len(health._dropped) == 1


def test_more_faces_than_max_faces_are_counted_and_warned_about_while_they_are_there(health):
    health.received()
    health.processed(frame(untracked=4), now_ns=10_000_000, latency_s=0.006)
    crowded = status(health, "input")
    assert (crowded.level, crowded.values["faces beyond max_faces"]) == ("warn", 4)
    assert crowded.message.endswith("faces beyond max_faces are left out")
    health.processed(frame(untracked=0), now_ns=10_000_000, latency_s=0.006)
    later = status(health, "input")
    assert (later.level, later.values["faces beyond max_faces"]) == ("ok", 4)
