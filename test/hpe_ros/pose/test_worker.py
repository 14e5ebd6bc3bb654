"""The mailbox: newest frame wins, nothing queues, an exception costs one frame. No ROS needed."""

import threading
import time

import pytest

from hpe_ros.pose.worker import LatestFrameWorker


class Slow:
    """A handler that works only when told to."""

    def __init__(self):
        self.handled, self.errors, self.superseded = [], [], 0
        self.busy, self.go = threading.Event(), threading.Event()

    def __call__(self, item):
        self.busy.set()
        assert self.go.wait(5.0)
        if item == "bad":
            raise ValueError("a bad frame")
        self.handled.append(item)

    def on_superseded(self):
        self.superseded += 1


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def worker(slow):
    worker = LatestFrameWorker(slow, slow.errors.append, slow.on_superseded)
    yield worker
    slow.go.set()
    worker.stop()


def wait_until(condition):
    end = time.monotonic() + 5.0
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def test_of_five_frames_during_one_only_the_newest_is_worked_on(worker, slow):
    worker.put(0)
    assert slow.busy.wait(5.0)
    for item in (1, 2, 3, 4, 5):
        worker.put(item)
    slow.go.set()
    wait_until(lambda: len(slow.handled) == 2)
    assert slow.handled == [0, 5]
    assert slow.superseded == 4


def test_frames_that_come_slowly_are_all_worked_on(worker, slow):
    slow.go.set()
    for item in range(5):
        worker.put(item)
        wait_until(lambda item=item: slow.handled[-1:] == [item])
    assert slow.superseded == 0


def test_an_exception_is_handed_over_and_the_next_frame_is_worked_on(worker, slow):
    slow.go.set()
    worker.put("bad")
    wait_until(lambda: slow.errors)
    worker.put("good")
    wait_until(lambda: slow.handled == ["good"])
    assert [str(error) for error in slow.errors] == ["a bad frame"]


def test_stop_finishes_the_frame_in_hand_and_forgets_the_waiting_one(slow):
    worker = LatestFrameWorker(slow, slow.errors.append, slow.on_superseded)
    worker.put(0)
    assert slow.busy.wait(5.0)
    worker.put(1)
    threading.Timer(0.05, slow.go.set).start()
    worker.stop()
    assert slow.handled == [0]
