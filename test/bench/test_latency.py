"""Ratios of turns, and what is said of every pipeline beside its time."""

import numpy as np
import pytest

from bench import baselines, latency, rows
from hpe_core.errors import HpeError


def test_turns_of_the_same_ratio_have_an_interval_without_width():
    others = np.array([2.0, 3.0, 4.0, 3.0, 2.0])
    ratio, ends = latency.ratio_interval(0.5 * others, others)
    assert ratio == 0.5 and ends == pytest.approx([0.5, 0.5])


def test_the_interval_of_five_turns_is_students_with_four_degrees_of_freedom():
    ratios = np.exp([-0.1, -0.1, 0.0, 0.1, 0.1])
    ratio, (low, high) = latency.ratio_interval(ratios, np.ones(5))
    half = 2.776 * 0.1 / np.sqrt(5)  # the standard deviation of the logarithms is 0.1
    assert (low, high) == (pytest.approx(np.exp(-half), rel=1e-3), pytest.approx(np.exp(half), rel=1e-3))
    assert ratio == pytest.approx(ratios.mean())


def test_every_baseline_says_what_it_does(tmp_path):
    assert set(baselines.makers(tmp_path, 1, 1)) == set(baselines.FUNCTION)
    assert set(baselines.FUNCTION) - set(baselines.makers(tmp_path, 1, 4)) == {
        "OpNet loop",
        "OpNet localizer every frame",
    }
    lines = latency.equal_function(["hpe_ros", "hpe_ros fusion", "hpe_ros fusion every frame", "MediaPipe video"])
    assert lines[1].startswith("hpe_ros ") and "every frame  " in lines[1]  # head6dof follows no crops
    assert "every 0.2 s" in lines[2] and "every frame  " in lines[3] and "468, with depth" in lines[4]


def test_turns_are_means_of_their_frames_and_a_pipeline_may_time_itself():
    class Clock:
        def run(self, frame):
            return 1, {"total": 0.002 * frame}

        def forget(self):
            pass

    frames = [0] * latency.WARM_UP + [1] * latency.BLOCK + [3] * latency.BLOCK
    found, turns = latency.measure({"a": Clock()}, frames)
    # the last four frames of a turn are the first of the next, which do not count there
    assert turns["a"] == pytest.approx([2.0, 6.0]) and found[0]["mean_ms"] == pytest.approx(4.0)


def test_photos_are_forgotten_before_the_next_one():
    class Album:
        seen = most = 0

        def run(self, frame):
            self.seen += 1
            self.most = max(self.most, self.seen)
            return 1, {}

        def forget(self):
            self.seen = 0

    frames = [0] * (latency.WARM_UP + latency.BLOCK)
    video, album = Album(), Album()
    latency.measure({"a": video}, frames)
    latency.measure({"a": album}, frames, photos=True)
    assert (video.most, album.most) == (len(frames), 1)


def test_fewer_than_five_turns_are_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["latency", "--frames", "59"])
    with pytest.raises(SystemExit):
        latency.main()
    assert "at least 60" in capsys.readouterr().err


def test_rows_are_not_added_under_other_columns(tmp_path):
    path = tmp_path / "results.csv"
    rows.append(path, [{"a": 1, "b": 2}])
    rows.append(path, [{"a": 3, "b": 4}])
    assert path.read_text().split() == ["a,b", "1,2", "3,4"]
    with pytest.raises(HpeError, match="has the columns a, b, got a, c"):
        rows.append(path, [{"a": 1, "c": 2}])
