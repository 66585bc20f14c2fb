"""A scheduler that chooses short jobs for residents before there is room, so that a resident never waits for the next.

`scheduler: regionflow`, which profiles/default sets. It chooses as Snakemake's greedy one does, jobs with higher
priority and larger inputs first, but for our executor a job of a kind that takes milliseconds counts as a part of a job
only: of the request of several in which the executor passes it on. No more run at the same time than --cores and
--resources allow, for the executor sees to that. With another executor, and of long jobs, nothing is chosen ahead.
"""

import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from snakemake_interface_scheduler_plugins.base import SchedulerBase

from regionflow.run.dispatch import PACES
from snakemake_executor_plugin_regionflow import kind_of
from snakemake_executor_plugin_regionflow.internals import look_for_remaining_when_asked


class Shape(NamedTuple):
    """What matters of a job where room is looked for; there are few of them among very many jobs."""

    kind: Hashable  # None: not to be chosen ahead
    needs: tuple[float, ...]  # in the order of Room.names


class Ready(NamedTuple):
    """What is known of a job that could start; looked up once, as it is looked at in many rounds."""

    urgency: tuple[Any, ...]  # larger for jobs to start earlier
    shape: Shape


class Room:
    """What is left of everything that there is only so much of."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.names = tuple(limits)
        self._left = list(limits.values())
        self._takes: dict[Shape, tuple[float, ...]] = {}
        self._too_large: set[Shape] = set()

    def shape(self, job: Any) -> Shape:
        """The shape of a job."""
        needs = job.scheduler_resources
        return Shape(None if job.is_group() else kind_of(job), tuple(needs.get(name, 0) for name in self.names))

    def take(self, shape: Shape) -> None:
        """A job of that shape takes what it needs; of a kind that is short, a part."""
        self._left = [left - part for left, part in zip(self._left, self._taken_by(shape), strict=True)]

    def has(self, shape: Shape) -> bool:
        """Whether there is enough for a job of that shape. What is too large once is so for the rest of the round."""
        if shape in self._too_large:
            return False
        enough = all(part <= left + 1e-9 for left, part in zip(self._left, self._taken_by(shape), strict=True))
        if not enough:
            self._too_large.add(shape)
        return enough

    def is_full(self) -> bool:
        """Whether no core is left."""
        return "_cores" in self.names and self._left[self.names.index("_cores")] <= 0

    def _taken_by(self, shape: Shape) -> tuple[float, ...]:
        if shape not in self._takes:
            ahead = 1 if shape.kind is None else PACES.ahead(shape.kind)
            self._takes[shape] = tuple(need / ahead for need in shape.needs)
        return self._takes[shape]


class Scheduler(SchedulerBase):
    """Chooses the jobs to run next."""

    def __post_init__(self) -> None:
        from snakemake.scheduling.job_scheduler import JobScheduler  # which itself looks for plugins when imported

        look_for_remaining_when_asked(JobScheduler)
        self._ready: dict[Any, Ready] = {}  # jobs that could start and have not been chosen yet
        self._running: dict[Any, Shape] = {}

    def select_jobs(
        self,
        selectable_jobs: Sequence[Any],
        remaining_jobs: Sequence[Any],
        available_resources: Mapping[str, int | str],
        input_sizes: Mapping[Any, int],
    ) -> Sequence[Any]:
        """As many of the jobs that could start as there is room for, the most urgent first."""
        scheduler = self.dag.workflow.scheduler
        room = Room({name: float(limit) for name, limit in scheduler.global_resources.items() if limit != sys.maxsize})
        self._running = {job: self._running.get(job) or room.shape(job) for job in scheduler.running}
        for shape in self._running.values():
            room.take(shape)
        most = int(available_resources.get("_job_count", sys.maxsize))  # what a limit of jobs per second leaves
        if room.is_full() or most <= 0:
            return []
        chosen: list[Any] = []
        for job in sorted(selectable_jobs, key=lambda job: self._known(job, room, input_sizes).urgency, reverse=True):
            shape = self._ready[job].shape
            if room.has(shape):
                room.take(shape)
                chosen.append(job)
                if len(chosen) >= most or room.is_full():
                    break
        for job in chosen:
            self._running[job] = self._ready.pop(job).shape
        return chosen

    def _known(self, job: Any, room: Room, input_sizes: Mapping[Any, int]) -> Ready:
        """What is known of a job; a job that failed and is tried again is looked up again."""
        if job not in self._ready:
            temporary = sum(input_sizes[file] or 0 for file in job.input if file.is_flagged("temp"))
            size = sum(input_sizes[file] or 0 for file in job.input)
            self._ready[job] = Ready((job.priority, temporary, size), room.shape(job))
        return self._ready[job]
