"""Rings that wake the thread that schedules: none is lost, many are one, and some can wait."""

import inspect
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from snakemake.scheduling import job_scheduler

from regionflow.run.bell import Bell

LONG = 3600.0


class Waiter:
    """A thread that waits for the bell once."""

    def __init__(self, bell: Bell) -> None:
        self._pool = ThreadPoolExecutor(1)
        begun = threading.Event()
        self.woken: Future[None] = self._pool.submit(lambda: (begun.set(), bell.acquire())[1])
        assert begun.wait(60)

    def wakes(self) -> None:
        """Wait until it has been woken."""
        self.woken.result(timeout=60)
        self._pool.shutdown()


def quiet(patience: float = LONG) -> Bell:
    """A bell whose first ring, that of its making, has been answered."""
    bell = Bell(patience)
    bell.acquire()
    return bell


def test_many_rings_are_answered_at_once() -> None:
    bell = quiet()
    for _ in range(5):
        bell.release()
    bell.acquire()
    waiter = Waiter(bell)
    assert not waiter.woken.done()
    bell.release()
    waiter.wakes()


def test_rings_that_can_wait_are_answered_with_the_next_that_cannot() -> None:
    bell = quiet()
    waiter = Waiter(bell)
    with bell.patient():
        bell.release()
        bell.release()
    assert not waiter.woken.done()
    bell.release()
    waiter.wakes()


def test_rings_that_can_wait_are_answered_when_something_is_idle() -> None:
    bell = quiet()
    waiter = Waiter(bell)
    bell.hurry()  # nothing has rung
    assert not waiter.woken.done()
    with bell.patient():
        bell.release()
    bell.hurry()
    waiter.wakes()


def test_rings_that_can_wait_do_not_wait_for_ever() -> None:
    bell = quiet(patience=0.001)
    with bell.patient():
        bell.release()
    bell.acquire()


def test_patience_is_that_of_a_thread() -> None:
    bell = quiet()
    with bell.patient():
        other = threading.Thread(target=bell.release)
        other.start()
        other.join()
    bell.acquire()


def test_patience_ends_with_a_failure() -> None:
    bell = quiet()
    with pytest.raises(ZeroDivisionError), bell.patient():
        1 / 0  # noqa: B018
    bell.release()
    bell.acquire()


def test_snakemake_uses_nothing_else_of_its_semaphore() -> None:
    uses = set(re.findall(r"_open_jobs\.?\w*", inspect.getsource(job_scheduler)))
    assert uses == {"_open_jobs", "_open_jobs.release", "_open_jobs.acquire"}
    assert "_open_jobs = threading.Semaphore(0)" in inspect.getsource(job_scheduler)
