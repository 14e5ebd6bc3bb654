"""The benches of the node: their arithmetic, and a short run on a real graph."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench():
    """load(name) -> module bench.<name>."""

    def load(name):
        sys.path.insert(0, str(ROOT))  # the modules import each other as bench.<name>
        try:
            return importlib.import_module(f"bench.{name}")
        finally:
            sys.path.remove(str(ROOT))

    return load


def test_growth_is_the_slope_after_warm_up(bench):
    soak, times = bench("soak"), np.arange(0.0, 1801.0, 5.0)
    memory = 170.0 + 2.0 * times / 3600.0 - 15.0 * (times < 300.0)
    slope, error = soak.growth_mb_per_hour(times.tolist(), memory.tolist())
    assert slope == pytest.approx(2.0)
    assert error < 1e-6


def test_a_run_too_short_has_no_growth(bench):
    assert np.isnan(bench("soak").growth_mb_per_hour([0.0, 5.0], [150.0, 160.0])[0])


def test_a_scene_of_four_shows_the_middle_of_the_image_four_times(bench):
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    rig = bench("ros_rig")
    assert np.array_equal(rig.scene(image, 640, 480, 1), image)
    four = rig.scene(image, 1280, 720, 4)
    assert four.shape == (720, 1280, 3)
    assert np.array_equal(four[:360, :640], four[360:, 640:])


def test_shares_are_parts_of_the_way_from_stamp_to_publish(bench):
    values = {"stamp_to_publish_ms": "10.00/20.00", "stamp_age_ms": "2.00/3.00", "inference_ms": "4.00/5.00"}
    values |= {
        "refinement_ms": "1.00/1.00",
        "preprocess_ms": "0.50/0.60",
        "tracking_ms": "0.50/0.60",
        "node_ms": "2.00/2.00",
    }
    shares = bench("ros_latency").shares(values)
    assert shares == {"share_transport": 0.2, "share_network": 0.5, "share_core": 0.1, "share_node": 0.2}


@pytest.mark.ros
@pytest.mark.parametrize("options", [["--minutes", "0.1", "--answered", "0.3"], ["--cycles", "2"]])
def test_a_short_soak_on_a_real_graph_ends_well(options, tmp_path):
    if importlib.util.find_spec("rclpy") is None:
        pytest.skip("no rclpy in this Python")
    command = [sys.executable, "-m", "bench.soak", *options, "--out", str(tmp_path / "soak.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    if "--minutes" in options:
        assert "180 images sent" in done.stdout
        assert len((tmp_path / "soak.csv").read_text().splitlines()) > 2
