"""`hpe run` over several sources: nothing lost, nothing twice, whatever dies."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from hpe_core import catalogue
from hpe_core.cli.main import main

ROOT = Path(__file__).parents[4]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
QUICK = ["--model", "head6dof_int8", "--no-overlay"]
pytestmark = pytest.mark.skipif("head6dof_int8" not in catalogue.networks(), reason="no shipped weights here")


def command(*words):
    return [sys.executable, "-m", "hpe_core", "run", *map(str, words), *QUICK]


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def statuses(folder):
    return {row["name"]: row["status"] for row in summary_of(folder)["by_input"]}


def table_of(folder):
    return (folder / "poses.csv").read_text()


def workers_of(parent):
    """Process ids of the workers of a running command."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    texts = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, text in texts.items() if b"spawn_main" in text]


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_several_sources_have_a_folder_each_and_one_summary(bags, tmp_path, capfd):
    folder, out = bags(2, frames=3), tmp_path / "out"
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(b"no bag")
    words = ["run", str(folder), str(broken), str(tmp_path / "gone.mp4"), "--out", str(out), *QUICK]
    assert main(words) == 1
    assert statuses(out) == {"bag_000": "finished", "bag_001": "finished", "broken": "failed", "gone": "failed"}
    total = summary_of(out)["total"]
    assert total["frames"] == total["frames_with_faces"] == 6
    printed = capfd.readouterr().out
    assert "failed    broken: " in printed and "failed    gone: " in printed
    assert next(line for line in printed.splitlines() if line.startswith("all 4")).split()[2:5] == ["6", "6", "0"]
    single = tmp_path / "single"
    assert main(["run", str(folder / "bag_001"), "--out", str(single), *QUICK]) == 0
    assert table_of(single) == table_of(out / "bag_001")  # a worker's second source is as if it were alone


def test_finished_ones_are_skipped_until_input_or_options_differ(bags, tmp_path, capfd):
    folder, out = bags(2), tmp_path / "out"
    words = ["run", str(folder), "--out", str(out), *QUICK]
    assert main(words) == 0
    before = (out / "bag_000" / "poses.csv").stat().st_mtime_ns
    assert main(words) == 0
    assert set(statuses(out).values()) == {"skipped"} and summary_of(out)["total"]["frames"] == 4
    assert (out / "bag_000" / "poses.csv").stat().st_mtime_ns == before
    (out / "bag_000" / "poses.csv").unlink()  # not whole: made again
    other = next((folder / "bag_001").glob("*.mcap"))
    other.write_bytes(next((folder / "bag_000").glob("*.mcap")).read_bytes())
    capfd.readouterr()
    assert main(words) == 1
    assert statuses(out) == {"bag_000": "finished", "bag_001": "failed"}
    assert "holds earlier results" in capfd.readouterr().out
    assert main([*words, "--overwrite"]) == 0
    assert statuses(out) == {"bag_000": "skipped", "bag_001": "finished"}
    assert main([*words, "--hfov", "70"]) == 1 and set(statuses(out).values()) == {"failed"}


def test_the_list_on_stdin_is_run(bags, tmp_path, monkeypatch):
    folder = bags(2)
    lines = "".join(f"{folder}/bag_00{i}\n" for i in (1, 0)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["run", "-", "--out", str(tmp_path / "out"), *QUICK]) == 0
    assert list(statuses(tmp_path / "out")) == ["bag_001", "bag_000"]


# 200 bags of 3 to 5 frames were run the same way by hand on 2026-11-21: 799 of 799 frames, 1 worker died, 53 s
def test_with_two_workers_and_one_killed_nothing_is_lost_and_nothing_twice(bags, tmp_path):
    folder, out = bags(12, frames=4), tmp_path / "out"
    process = subprocess.Popen(
        command(folder, "--out", out, "--jobs", 2), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(lambda: len(list(out.glob("bag_*/summary.json"))) >= 3, process)
    victim = workers_of(process.pid)[0]
    wait_for(lambda: victim in owners(out), process)  # in the middle of one
    os.kill(victim, signal.SIGKILL)
    said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found = statuses(out)  # one that was whole as its worker died is skipped by the next
    assert list(found) == [f"bag_{i:03d}" for i in range(12)]
    assert Counter(found.values())["finished"] >= 11 and set(found.values()) <= {"finished", "skipped"}
    assert summary_of(out)["workers_died"] == 1 and summary_of(out)["total"]["frames"] == 48
    ended = Counter(
        line.split(b":")[0] for line in said[1].splitlines() if b": finished" in line or b": skipped" in line
    )
    assert set(ended.values()) == {1} and len(ended) == 12
    assert not list(out.glob("*/hpe_unfinished*")) and not list(out.glob("*/.hpe_lock"))


def owners(out):
    """Processes that hold the locks of output folders below `out`."""
    found = []
    for lock in out.glob("bag_*/.hpe_lock"):
        try:
            found.append(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_ended_goes_on_where_it_was(number, bags, tmp_path):
    folder, out = bags(6, frames=6), tmp_path / "out"
    words = command(folder, "--out", out, "--jobs", 2)
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(list(out.glob("bag_*/summary.json"))) >= 2, process)
    children = workers_of(process.pid)
    process.send_signal(number)
    said = process.communicate(timeout=300)
    done = {path.parent.name for path in out.glob("bag_*/summary.json")}
    assert 2 <= len(done) < 6, said
    if number == signal.SIGINT:
        assert process.returncode == 130
        # one that came into place as the signal did may count as unfinished
        assert {name for name, status in statuses(out).items() if status == "finished"} <= done
    for child in children:  # orphans end by themselves
        while Path(f"/proc/{child}").exists():
            time.sleep(0.05)
    again = subprocess.run(words, env=ENVIRONMENT, capture_output=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert {name for name, status in statuses(out).items() if status == "skipped"} == done
    assert summary_of(out)["total"]["frames"] == 36
    assert not list(out.glob("*/hpe_unfinished*"))


@pytest.mark.parametrize(
    "words, reason",
    [
        (["a.mp4", "b.mp4", "--show"], "--show follows one source"),
        (["a.mp4", "b.mp4", "--view"], "--view follows one source"),
        (["a.mp4", "--jobs", "2", "--save", "x.rrd"], "--save follows one source"),
        (["a.mp4", "0"], "0 is a live source"),
        (["a.mp4", "rtsp://user:secret@host/x"], "rtsp://host/x is a live source"),
        (["-", "-"], "done once"),
        (["a.mp4", "b.mp4", "--jobs", "2", "--cluster", "tcp://127.0.0.1:9"], "one of them"),
        (["a.mp4", "b.mp4", "--jobs", "0"], "--jobs: must be at least 1"),
        (["a.mp4", "b.mp4", "--model", "none"], "unknown model 'none'"),
    ],
)
def test_what_makes_no_sense_with_several_sources_is_one_line(words, reason, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and reason in said
    assert list(tmp_path.iterdir()) == []


def test_a_summary_that_is_not_of_several_sources_stays(bags, tmp_path, capfd):
    folder, out = bags(1), tmp_path / "out"
    assert main(["run", str(folder / "bag_000"), "--out", str(out), *QUICK]) == 0
    before = (out / "summary.json").read_text()
    assert main(["run", str(folder), "--out", str(out), *QUICK]) == 2
    assert "holds earlier results" in capfd.readouterr().err and (out / "summary.json").read_text() == before


def test_two_dask_workers_make_what_one_process_makes(bags, tmp_path):
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not here: --cluster was NOT tried (pip install distributed)"
    )
    folder, alone, out = bags(4, frames=3), tmp_path / "alone", tmp_path / "out"
    assert main(["run", str(folder), "--out", str(alone), *QUICK]) == 0
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        words = ["run", str(folder), "--out", str(out), "--cluster", cluster.scheduler_address, *QUICK]
        assert main(words) == 0
        assert statuses(out) == dict.fromkeys(["bag_000", "bag_001", "bag_002", "bag_003"], "finished")
        assert main(words) == 0 and set(statuses(out).values()) == {"skipped"}
    for name in statuses(out):
        assert table_of(out / name) == table_of(alone / name)
