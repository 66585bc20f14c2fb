"""Snakemake's local executor, but a job for a resident goes there without a shell and without a process of its own.

`executor: regionflow`, which profiles/default sets; `snakemake --executor local` does without. A job is taken whose
shell command is `regionflow.run.handover.RUN`, where nothing is asked for which a shell is needed: an environment, a
container, a benchmark, a shadow directory. All others go the way of the local executor (docs/run.md).
"""

import os
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.executors.local import Executor as LocalExecutor
from snakemake.executors.local import common_settings as common_settings
from snakemake.jobs import Job
from snakemake.settings.types import DeploymentMethod
from snakemake.shell import shell
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from regionflow.run.dispatch import Dispatcher, Work
from regionflow.run.handover import RUN
from snakemake_executor_plugin_regionflow.internals import look_for_pipes_once, with_bell, without_rate_limit

_BASH_PREFIX = "set -euo pipefail; "
_SWITCH_SECONDS = 0.001  # how long a thread that hears of a job's end waits for the one that schedules; Python: 0.005


def kind_of(job: Any) -> Hashable:
    """What jobs have in common that may go to a resident together: the rule and the variant, threads, TMPDIR."""
    names = tuple(item for item in job.wildcards_dict.items() if item[0] != "image")
    return job.rule.name, names, job.threads, job.resources.get("tmpdir")


class Executor(LocalExecutor):
    """Runs jobs on this machine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sys.setswitchinterval(_SWITCH_SECONDS)
        look_for_pipes_once(Job)
        self._residents: Dispatcher | None = None
        self._members: set[int] = set()  # jobs of groups, which must run at the same time
        self._cancelled = False

    @property
    def residents(self) -> Dispatcher:
        """Made when first needed: the scheduler, which knows how much there is of everything, is made after us."""
        if self._residents is None:
            limits = self.workflow.scheduler.global_resources
            limited = {name: value for name, value in limits.items() if value != sys.maxsize}
            self._residents = Dispatcher(limited, idle=with_bell(self.workflow.scheduler).hurry)
        return self._residents

    def run_jobs(self, jobs: Sequence[Any]) -> None:
        """Run jobs that were chosen at the same time."""
        without_rate_limit(self.workflow.scheduler)
        with_bell(self.workflow.scheduler)
        works = []
        for job in jobs:
            self.run_job_pre(job)
            if self.is_for_residents(job):
                works.append(self._submitted(job))
            else:
                self.run_job(job)
        if works:
            self.residents.submit(works)

    def printjob(self, job: Any) -> None:
        """Log a job that is about to start; its shell command, a page of JSON, only where somebody wants to see it."""
        if job.is_group() or job.rule.shellcmd != RUN or self.workflow.output_settings.printshellcmds:
            super().printjob(job)
            return
        job.rule.shellcmd = None
        try:
            super().printjob(job)
        finally:
            job.rule.shellcmd = RUN

    def is_for_residents(self, job: Any) -> bool:
        """Whether the job is one for a resident, and nothing about it needs a shell."""
        if job.is_group() or job.rule.shellcmd != RUN or os.environ.get("REGIONFLOW_WARM") != "1":
            return False
        deployed = self.workflow.deployment_settings.deployment_method
        return not (
            (DeploymentMethod.CONDA in deployed and job.conda_env_spec)
            or (DeploymentMethod.APPTAINER in deployed and job.container_img_url)
            or (DeploymentMethod.ENV_MODULES in deployed and job.env_modules)
            or job.benchmark is not None
            or job.is_shadow
            or (self.workflow.workflow_settings.cache is not None and job.rule.cache)
            or shell._process_prefix not in (None, "", _BASH_PREFIX)
        )

    def _submitted(self, job: Any) -> Work:
        """What Snakemake does with a job before it runs, and the job for the resident."""
        self.workflow.async_run(job.prepare())
        info = SubmittedJobInfo(job=job)
        self.report_job_submission(info)
        return Work(
            job=job.params.job.encode(),
            log=Path(job.log[0]),
            pool=job.params.client.rpartition(" ")[2],
            kind=kind_of(job),
            needs=self._needs(job),
            tmpdir=str(job.resources.get("tmpdir") or os.environ.get("TMPDIR", "")),
            told=lambda error: self._told(info, error),
        )

    def _needs(self, job: Any) -> Mapping[str, int]:
        """Of what there is a limit to, how much the job takes."""
        limits = self.workflow.scheduler.global_resources
        needs = job.scheduler_resources
        return {name: needs.get(name, 0) for name, limit in limits.items() if limit != sys.maxsize}

    def _told(self, info: SubmittedJobInfo, error: str) -> None:
        """A job of a resident is over."""
        if self._cancelled:
            self.handle_job_error(info.job)
        elif error:
            self.report_job_error(info, msg=error)
        elif self.residents.has_waiting:
            with with_bell(self.workflow.scheduler).patient():
                self.report_job_success(info)
        else:
            self.report_job_success(info)

    def run_group_job(self, job: Any) -> None:
        """Run the jobs of a pipe or of a service side by side."""
        self._members.update(id(member) for member in job)
        super().run_group_job(job)

    def cached_or_run(self, job: Any, run_func: Any, *args: Any) -> None:
        """Run a job that is none of a resident."""
        with self.residents.taken(self._needs(job), wait=id(job) not in self._members):
            super().cached_or_run(job, run_func, *args)

    def _callback(self, job_info: SubmittedJobInfo, future: Any) -> None:
        """A job that is none of a resident is over; that the user has ended it is no error to tell of."""
        if self._cancelled and future.exception() is not None:
            self.handle_job_error(job_info.job)
        else:
            super()._callback(job_info, future)

    def cancel(self) -> None:
        """End all jobs: the user has pressed Ctrl-C, or Snakemake has failed."""
        self._cancelled = True
        if self._residents is not None:
            self._residents.end()
        super().cancel()
