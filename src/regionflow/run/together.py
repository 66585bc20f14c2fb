"""Several jobs at once in one process: a stage that can work on them together, and what it is given for that.

An adapter with `run_together(jobs, working)` is given the jobs of a request in place of `run(job)` for each, where
there is a card. All that it does for one job stands in `with working(job):`, so that it prints to that job's log and
fails that job alone; `working.done(job)` says that its outputs are written.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from regionflow.run.job import Job

AT_A_TIME = 16
"""Jobs whose images are in memory at once, twice: the card works on some while others are read and written."""

T = TypeVar("T")
Begun = Callable[[], None]


class Working(Protocol):
    """What a job prints and raises within the block is its own."""

    def __call__(self, job: Job) -> AbstractContextManager[None]:
        """The block in which something is done for the job; it ends quietly where the job fails."""
        ...

    def done(self, job: Job) -> None:
        """The outputs of the job are written."""
        ...


def in_turn(jobs: Sequence[Job], begin: Callable[[Sequence[Job]], Begun], at_a_time: int = AT_A_TIME) -> None:
    """Begin with some jobs, and finish those before while a card works on them."""
    before: Begun = lambda: None  # noqa: E731
    for first in range(0, len(jobs), at_a_time):
        begun = begin(jobs[first : first + at_a_time])
        before()
        before = begun
    before()
