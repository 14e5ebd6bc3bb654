"""Twenty minutes at 30 Hz within 500 MB; bags spread over Dask workers give the same results."""

import json
import subprocess
import sys

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.evaluation.report.results import results_json
from hpe_core.evaluation.streams.bag_evaluation import Job
from hpe_core.evaluation.streams.parallel import evaluate_bags
from hpe_core.geometry import frames, so3
from hpe_core.io.message_types import extended_typestore

FRAMES, MAX_MB = 36_000, 500
POSE = "geometry_msgs/msg/PoseStamped"


@pytest.fixture
def long_bag(synthetic, tmp_path):
    """PoseStamped /truth and /est over 20 minutes; the messages are one template with its numbers replaced."""
    stamps, R, t = synthetic.motion(FRAMES / 30)
    assert len(stamps) == FRAMES
    noise = so3.matrix_from_rotvec(np.radians(np.random.default_rng(0).normal(0, 1.0, (FRAMES, 3))))
    template = bytearray(extended_typestore().serialize_cdr(synthetic.pose_stamped(stamps[0], R[0], t[0]), POSE))
    with Writer(tmp_path / "long", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, rotations in (("/truth", R), ("/est", R @ noise)):
            connection = writer.add_connection(topic, POSE, typestore=extended_typestore())
            numbers = np.concatenate([t, so3.quat_from_matrix(frames.face_from_head(rotations))], -1)
            for stamp, row in zip(stamps.tolist(), numbers, strict=True):
                template[4:8] = (stamp // 10**9).to_bytes(4, "little")
                template[8:12] = (stamp % 10**9).to_bytes(4, "little")
                template[-56:] = row.tobytes()
                writer.write(connection, stamp, bytes(template))
    return tmp_path / "long"


MEASURE = """
import sys
from pathlib import Path
from hpe_core.cli.main import main
code = main(sys.argv[1:])
# getrusage would report the peak of the test process, which a child inherits
peak_kb = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print("used", int(peak_kb) / 1024)
sys.exit(code)
"""


def test_twenty_minutes_of_poses_are_evaluated_in_little_memory(long_bag, tmp_path):
    arguments = ["eval", "bag", long_bag, "--estimate", "e=/est", "--ground-truth", "/truth", "--out", tmp_path / "out"]
    command = [sys.executable, "-c", MEASURE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    peak_mb = float(done.stdout.rsplit("used", 1)[1])
    found = json.loads((tmp_path / "out" / "results.json").read_text())["bags"][0]["estimates"]["e"]
    assert found["detection"]["matched"] == FRAMES
    assert found["stability"]["jitter"]["rotation_deg_per_axis"] == pytest.approx(1.0, rel=0.02)
    assert peak_mb < MAX_MB


def test_two_dask_workers_give_what_one_process_gives(pose_bag, synthetic):
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not here: --cluster was NOT tried (pip install distributed)"
    )
    stamps, R, t = synthetic.motion(3)
    bags = {}
    for i in range(4):
        wrong = R @ so3.matrix_from_rotvec(np.radians([0.0, float(i), 0.0]))
        bags[f"b{i}"] = pose_bag({"/truth": (stamps, R, t), "/est": (stamps, wrong, t)}, name=f"b{i}")
    bags["gone"] = bags["b0"].with_name("gone")
    good = Job(estimates=("/est",), truth="/truth")
    job = Job(estimates=("/est", "tf:a/b"), truth="/truth")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with_dask, failed = evaluate_bags(
            bags, Job(estimates=("/est",), truth="/truth"), cluster=cluster.scheduler_address
        )
        assert set(evaluate_bags(bags, job, cluster=cluster.scheduler_address)[1]) == set(bags)  # no TF in any
    alone, failed_alone = evaluate_bags(bags, good)
    assert [r.name for r in with_dask] == ["b0", "b1", "b2", "b3"]
    assert [results_json(r.summary) for r in with_dask] == [results_json(r.summary) for r in alone]
    assert failed == failed_alone == {"gone": "gone does not exist"}


def test_a_scheduler_that_does_not_answer_is_one_line(pose_bag, synthetic, monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not here: --cluster was NOT tried (pip install distributed)")
    bag = pose_bag({"/est": synthetic.motion(1)})
    monkeypatch.setattr("hpe_core.spread.ANSWER_S", 1)
    with pytest.raises(HpeError, match="no Dask scheduler answers at tcp://127"):
        evaluate_bags({"bag": bag}, Job(estimates=("/est",)), cluster="tcp://127.0.0.1:9")


def test_without_dask_the_option_says_what_to_install(pose_bag, synthetic, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    bag = pose_bag({"/est": synthetic.motion(1)})
    arguments = ["eval", "bag", str(bag), "--estimate", "/est", "--cluster", "tcp://127.0.0.1:9"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "pip install" in capsys.readouterr().err
