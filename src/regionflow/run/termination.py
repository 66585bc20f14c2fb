"""Ending Snakemake with SIGTERM.

Its handler takes a lock that the interrupted code may hold: then the process waits for itself for ever (Snakemake
9.27: JobScheduler.exit_gracefully). A cluster's cancelling, a time limit and the end of an outer run all send SIGTERM.
"""

import functools
import threading
from typing import Any


def terminate_in_a_thread(scheduler: type[Any]) -> None:
    """Have the class's handler of SIGTERM run in a thread, which can wait for the lock until the main thread is out.

    scheduler: snakemake.scheduling.job_scheduler.JobScheduler, before one is made; a second call changes nothing.
    """
    handler = scheduler.exit_gracefully
    if hasattr(handler, "__wrapped__"):
        return

    @functools.wraps(handler)
    def in_a_thread(self: Any, *args: Any) -> None:
        threading.Thread(target=handler, args=(self, *args), daemon=True).start()

    scheduler.exit_gracefully = in_a_thread
