"""A scheduler that chooses short jobs for residents before there is room, so that a resident never waits for the next.

`scheduler: regionflow`, which profiles/default sets. It chooses as Snakemake's greedy one does, jobs with higher
priority and larger inputs first, but for our executor a job of a kind that takes milliseconds counts as a part of a job
only: of the request of several in which the executor passes it on. No more run at the same time than --cores and
--resources allow, for the executor sees to that. With another executor, and of long jobs, nothing is chosen ahead.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake_interface_scheduler_plugins.base import SchedulerBase

from regionflow.run.dispatch import PACES
from snakemake_executor_plugin_regionflow import kind_of


class Scheduler(SchedulerBase):
    """Chooses the jobs to run next."""

    def select_jobs(
        self,
        selectable_jobs: Sequence[Any],
        remaining_jobs: Sequence[Any],
        available_resources: Mapping[str, int | str],
        input_sizes: Mapping[Any, int],
    ) -> Sequence[Any]:
        """As many of the jobs that could start as there is room for, the most urgent first."""
        scheduler = self.dag.workflow.scheduler
        room = {name: float(limit) for name, limit in scheduler.global_resources.items() if limit != sys.maxsize}
        for job in scheduler.running:
            _take(room, job)
        chosen: list[Any] = []
        most = int(available_resources.get("_job_count", sys.maxsize))  # what a limit of jobs per second leaves
        if room.get("_cores", 1) > 0:
            for job in sorted(selectable_jobs, key=lambda job: _urgency(job, input_sizes), reverse=True):
                if len(chosen) < most and _fits(room, job):
                    _take(room, job)
                    chosen.append(job)
                    if room.get("_cores", 1) <= 0:
                        break
        return chosen


def _urgency(job: Any, input_sizes: Mapping[Any, int]) -> tuple[Any, ...]:
    temporary = sum(input_sizes[file] or 0 for file in job.input if file.is_flagged("temp"))
    return job.priority, temporary, sum(input_sizes[file] or 0 for file in job.input)


def _share(job: Any) -> float:
    """The part of a slot that a job takes up."""
    return 1.0 if job.is_group() else 1.0 / PACES.ahead(kind_of(job))


def _fits(room: Mapping[str, float], job: Any) -> bool:
    share, needs = _share(job), job.scheduler_resources
    return all(needs.get(name, 0) * share <= free + 1e-9 for name, free in room.items())


def _take(room: dict[str, float], job: Any) -> None:
    share, needs = _share(job), job.scheduler_resources
    for name in room:
        room[name] -= needs.get(name, 0) * share
