"""Three things at once: items are read by threads, a card works on those before, another thread ends those before them.

The thread that calls is the only one that speaks to the card. Order is kept, and memory is bounded: no more items are
read than `most` of which the card has not begun with, and the card gets no more than that at a time.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from regionflow.base.later import Beside, Later

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")
T = TypeVar("T")

READERS = 2
"""Threads that read: decoders leave Python's lock to others, and one may be slower than a card."""
MOST_BYTES = 1 << 30
"""Of what was read and not begun with, and of what the card gets at a time."""
MOST_WAITING = 8
"""Works of the host that wait for their thread; the card's waits where there are more."""


@dataclass(frozen=True)
class Steps(Generic[I, R, T]):
    """What is done with an item; each step deals with its own failures, and what it raises ends everything.

    read: in any thread; None where nothing is left to do.
    size: bytes of what was read.
    begin: begin with some; for each of those that did not fail, in their order, what was read and a function that does
        what is left of the card's work and gives work of the host to its argument (None where it failed).
    end: in the thread of the host, with the result of that.
    """

    read: Callable[[I], R | None]
    size: Callable[[R], int]
    begin: Callable[[Sequence[R]], Sequence[tuple[R, Callable[[Beside], Later[T] | None]]]]
    end: Callable[[R, Later[T]], None]


def run(steps: Steps[I, R, T], items: Iterable[I], most: int) -> None:
    """Do all steps for all items.

    Whatever has been read when the card is free goes to it, `most` at a time; the card has the next ones before the
    results of those before are waited for.
    """
    readers, host = ThreadPoolExecutor(READERS, "read"), _Host()
    ends: deque[Later[None]] = deque()
    try:
        reading = _Reading(readers, steps, items, most)
        begun: Sequence[tuple[R, Callable[[Beside], Later[T] | None]]] = ()
        while reading.has_more() or begun:
            some = reading.take(wait=not begun)
            before, begun = begun, steps.begin(some) if some else ()
            for read, on_card in before:
                later = on_card(host)
                if later is not None:
                    ends.append(host(partial(steps.end, read, later)))
                while len(ends) > MOST_WAITING:
                    ends.popleft()()
        while ends:
            ends.popleft()()
    finally:
        readers.shutdown(cancel_futures=True)
        host.shutdown()


class _Reading(Generic[I, R, T]):
    """Items that are being read, ahead of those that are taken."""

    def __init__(self, readers: ThreadPoolExecutor, steps: Steps[I, R, T], items: Iterable[I], most: int) -> None:
        self._readers, self._steps, self._items, self._most = readers, steps, iter(items), most
        self._reading: deque[Future[R | None]] = deque()
        self._ended = False
        self._fill()

    def has_more(self) -> bool:
        """Whether there are items that were not taken."""
        return bool(self._reading)

    def take(self, wait: bool) -> list[R]:
        """Those that have been read, in order; `wait` for one at least, if there is one."""
        some: list[R] = []
        while self._reading and len(some) < self._most and (self._reading[0].done() or (wait and not some)):
            read = self._reading.popleft().result()
            if read is not None:
                some.append(read)
                self._most = max(1, min(self._most, MOST_BYTES // max(1, self._steps.size(read))))
            self._fill()
        return some

    def _fill(self) -> None:
        while not self._ended and len(self._reading) < self._most:
            for item in self._items:
                self._reading.append(self._readers.submit(self._steps.read, item))
                break
            else:
                self._ended = True


class _Host:
    """One thread for the work of the host, in the order in which it comes."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "host")
        self._room = threading.Semaphore(MOST_WAITING)

    def __call__(self, work: Callable[[], T], /) -> Later[T]:
        """Begin with it when there is room."""
        self._room.acquire()
        return self._thread.submit(self._do, work).result

    def shutdown(self) -> None:
        """Wait for what it is doing; there is more only after a failure."""
        self._thread.shutdown(cancel_futures=True)

    def _do(self, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            self._room.release()
