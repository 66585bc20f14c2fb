"""What costs Snakemake's scheduling more time the more jobs there are, and what is done instead.

None of this is public in Snakemake: tested, and pinned below 10.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, overload

from regionflow.run.bell import Bell

_DEFAULT_RATE = (100, 1)  # jobs, seconds


def without_rate_limit(scheduler: Any) -> None:
    """Start jobs as they come, if nobody asked for another rate than Snakemake's 100 a second.

    That limit is meant for clusters. It starts a timer in every round of scheduling, which is another round one second
    later, with another timer: after a thousand jobs there are a thousand rounds a second.
    """
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == _DEFAULT_RATE:
        scheduler.job_rate_limiter = None
        scheduler.resources["_job_count"] = sys.maxsize


def with_bell(scheduler: Any) -> Bell:
    """Have one round made for all jobs that are over, not one for each. Returns the scheduler's bell, made once."""
    if not isinstance(scheduler._open_jobs, Bell):
        scheduler._open_jobs = Bell()
    bell: Bell = scheduler._open_jobs
    return bell


def look_for_pipes_once(job: type[Any]) -> None:
    """Have a job know which of its inputs are pipes or of services, and not ask all jobs before it for each.

    Of the target `all` of 3,000 images that took a minute: 24,000 files, 21,000 jobs. job: snakemake.jobs.Job; a second
    call changes nothing.
    """
    if hasattr(job.is_pipe_or_service_input, "regionflow"):
        return
    last: tuple[Any, set[str]] | None = None

    def is_one(self: Any, path: str) -> bool:
        nonlocal last
        known = last
        if known is None or known[0] is not self:
            before = self.dag.dependencies[self].items()
            known = last = self, {file for one, files in before for file in files if file in one.pipe_or_service_output}
        return path in known[1]

    is_one.regionflow = True  # type: ignore[attr-defined]
    job.is_pipe_or_service_input = is_one


class Remaining(Sequence[Any]):
    """The jobs that have not run yet, looked for when somebody asks for them."""

    def __init__(self, look: Callable[[], Sequence[Any]]) -> None:
        self._look = look

    @cached_property
    def _jobs(self) -> Sequence[Any]:
        return self._look()

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._jobs[index]


def look_for_remaining_when_asked(scheduler: type[Any]) -> None:
    """Have no list of all remaining jobs made in every round: we do not ask for it, and it took most of the time.

    scheduler: snakemake.scheduling.job_scheduler.JobScheduler; a second call changes nothing.
    """
    look = scheduler.remaining_jobs.fget
    if not hasattr(look, "regionflow"):
        when_asked: Any = lambda self: Remaining(lambda: look(self))  # noqa: E731
        when_asked.regionflow = True
        scheduler.remaining_jobs = property(when_asked)
