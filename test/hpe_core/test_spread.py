"""Tasks over processes: each is done, also when workers die."""

import importlib
import sys

import pytest

from hpe_core.errors import HpeError
from hpe_core.spread import MOST_DEATHS, Watch, spread

WORK = """
import os, signal

def square_or_die(task, progress):
    # n -> n * n; a negative n kills the worker as long as there is no file at `path`, which it makes
    number, path = task
    if number < 0 and not os.path.exists(path):
        if path:
            open(path, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 99:
        raise ValueError("ninety-nine")
    progress(1, 1)
    return number * number
"""


@pytest.fixture
def square_or_die(tmp_path, monkeypatch):
    """A function that other processes can import."""
    (tmp_path / "work_of_test_spread.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("work_of_test_spread")
    yield module.square_or_die
    del sys.modules["work_of_test_spread"]


class Deaths(Watch):
    def __init__(self):
        self.of = []

    def died(self, index):
        self.of.append(index)


def test_a_task_whose_worker_dies_is_done_by_another_and_no_task_twice(square_or_die, tmp_path):
    tasks, watch = [(n if n != 3 else -3, str(tmp_path / "died")) for n in range(8)], Deaths()
    found = list(spread(square_or_die, tasks, 2, watch=watch))
    assert sorted(found) == [(n, n * n) for n in range(8)]
    assert watch.of == [3]


def test_a_task_that_kills_every_worker_fails_alone(square_or_die):
    watch = Deaths()
    found = dict(spread(square_or_die, [(-1, ""), (2, "")], 1, watch=watch))
    assert found[1] == 4 and isinstance(found[0], HpeError) and "died 3 times" in str(found[0])
    assert watch.of == [0] * MOST_DEATHS


def test_what_a_task_raises_is_raised(square_or_die, capfd):
    with pytest.raises(ValueError, match="ninety-nine"):
        list(spread(square_or_die, [(99, "")], 1))


def test_once_stopped_no_further_task_is_started(square_or_die):
    class Stop(Watch):
        def stops(self):
            return True

    assert list(spread(square_or_die, [(1, ""), (2, "")], 2, watch=Stop())) == []
