"""What wakes the thread that schedules: many rings are one round, and those that can wait do for a moment.

Snakemake's scheduler waits at a semaphore that every job's end releases, and so makes a round for each. A round looks
at all jobs that are left. With 20,000 jobs of milliseconds rounds took more time than the jobs.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

PATIENCE = 0.2
"""Seconds that a ring waits for others where there is more to do; what a resident is given lasts longer."""


class Bell:
    """A semaphore that counts to one, with rings that need no answer at once; it has rung when it is made.

    Args:
        patience: how many seconds those rings wait at most.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._rung = True
        self._since: float | None = None  # when the first ring came that can wait
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Rings of this thread within the block can wait."""
        self._of_thread.patient = True
        try:
            yield
        finally:
            self._of_thread.patient = False

    def release(self) -> None:
        """Ring."""
        with self._changed:
            if not getattr(self._of_thread, "patient", False):
                self._rung = True
            elif self._since is None:
                self._since = time.monotonic()
            else:
                return
            self._changed.notify()

    def hurry(self) -> None:
        """Ring, if there are rings that wait."""
        with self._changed:
            if self._since is not None:
                self._rung = True
                self._changed.notify()

    def acquire(self) -> None:
        """Wait until it has rung; all rings until then are answered."""
        with self._changed:
            while not self._rung:
                left = None if self._since is None else self._since + self._patience - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            self._rung, self._since = False, None
