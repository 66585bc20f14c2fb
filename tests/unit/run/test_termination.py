"""SIGTERM in the middle of what Snakemake does under its lock."""

import os
import signal
import threading
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

from regionflow.run.termination import terminate_in_a_thread


def test_sigterm_while_the_lock_is_held_ends_the_run_afterwards() -> None:
    """With Snakemake's own handler this test would wait for ever, as a run in shards did."""

    class Scheduler(JobScheduler):
        exit_gracefully = JobScheduler.exit_gracefully

    terminate_in_a_thread(Scheduler)
    terminate_in_a_thread(Scheduler)
    scheduler: Any = object.__new__(Scheduler)
    scheduler._lock, scheduler._open_jobs, scheduler._user_kill = threading.Lock(), threading.Semaphore(0), None
    before = signal.signal(signal.SIGTERM, scheduler.exit_gracefully)
    try:
        with scheduler._lock:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert scheduler._user_kill is None
        assert scheduler._open_jobs.acquire(timeout=60) and scheduler._open_jobs.acquire(timeout=60)
        assert scheduler._user_kill == "graceful"
    finally:
        signal.signal(signal.SIGTERM, before)
