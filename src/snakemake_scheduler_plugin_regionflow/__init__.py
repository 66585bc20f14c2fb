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

    def __post_init__(self) -> None:
        self._urgencies: dict[Any, tuple[Any, ...]] = {}  # of ready jobs that have not been chosen yet

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
            _take(room, _takes_up(job, room))
        chosen: list[Any] = []
        most = int(available_resources.get("_job_count", sys.maxsize))  # what a limit of jobs per second leaves
        if room.get("_cores", 1) > 0 and most > 0:
            for job in sorted(selectable_jobs, key=lambda job: self._urgency(job, input_sizes), reverse=True):
                takes = _takes_up(job, room)
                if all(part <= room[name] + 1e-9 for name, part in takes.items()):
                    _take(room, takes)
                    chosen.append(job)
                    if len(chosen) >= most or room.get("_cores", 1) <= 0:
                        break
        for job in chosen:
            del self._urgencies[job]
        return chosen

    def _urgency(self, job: Any, input_sizes: Mapping[Any, int]) -> tuple[Any, ...]:
        """What is larger for jobs to start earlier; a ready job is looked at in many rounds."""
        if job not in self._urgencies:
            temporary = sum(input_sizes[file] or 0 for file in job.input if file.is_flagged("temp"))
            self._urgencies[job] = job.priority, temporary, sum(input_sizes[file] or 0 for file in job.input)
        return self._urgencies[job]


def _takes_up(job: Any, room: Mapping[str, float]) -> dict[str, float]:
    """How much a job takes up of everything that there is only so much of; of a short one a part of what it needs."""
    share = 1.0 if job.is_group() else 1.0 / PACES.ahead(kind_of(job))
    needs = job.scheduler_resources
    return {name: needs.get(name, 0) * share for name in room}


def _take(room: dict[str, float], takes: Mapping[str, float]) -> None:
    for name, part in takes.items():
        room[name] -= part
