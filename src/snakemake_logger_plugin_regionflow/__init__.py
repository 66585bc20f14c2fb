"""Snakemake's console for people with many images: `snakemake --logger regionflow`, which profiles/default sets.

A run in shards shows the jobs of its inner runs, which tell it how far they are (regionflow.run.shard_progress).

In place of ten lines for every job it shows how far each stage is: a table that stays at the foot of a terminal, or
a line every half minute where stderr is a file. Warnings, errors with their logs, and what a run says at its
begin and end are printed as ever, and .snakemake/log holds every line that Snakemake would have printed.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from regionflow.formats.shards import WHOLE_SET
from regionflow.run import turns
from regionflow.run.downloads import Downloads
from regionflow.run.inner import Inner
from regionflow.run.progress import Tally, stages_of
from regionflow.run.shard_progress import SHARDS, report
from regionflow.run.termination import terminate_in_a_thread
from regionflow.weights.progress import under_way

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 0.05
_PER_JOB = {LogEvent.JOB_INFO, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS, LogEvent.SHELLCMD}


class UnhurriedQueue:
    """What is logged, for the thread of the console, which looks for it some times a second.

    To wake it for every line, as queue.Queue does, costs the thread that schedules a tenth of its time.
    """

    def __init__(self, size: int = -1) -> None:
        self._records: deque[Any] = deque()

    def put_nowait(self, record: Any) -> None:
        """Add a record; there is always room."""
        self._records.append(record)

    def get(self, block: bool = True) -> Any:
        """The next record; waits for one. Raises queue.Empty without `block` where there is none."""
        while True:
            try:
                return self._records.popleft()
            except IndexError:
                if not block:
                    raise queue.Empty from None
                time.sleep(_SECONDS_BETWEEN_LOOKS)


class LogHandler(LogHandlerBase):
    """Counts jobs by what Snakemake logs about them, and prints the rest."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        # Here, since every run of ours has this logger, the inner ones too: the handler is set later.
        from snakemake import logging as snakemakes
        from snakemake.scheduling import job_scheduler  # which itself looks for plugins when it is imported

        terminate_in_a_thread(job_scheduler.JobScheduler)
        vars(snakemakes)["Queue"] = UnhurriedQueue  # made after its handlers
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self._plain = ColorizingTextHandler(nocolor=self.common_settings.nocolor, stream=self.stream)
        self._console = Console(file=self.stream, no_color=self._plain.nocolor, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._tally: Tally | None = None
        self._printed = self._last = 0.0  # when the count was shown, and when something was last logged
        self._told_over = False
        self._inner = Inner.current()
        self._reported = 0.0  # when an inner run last told the outer one
        self._jobs: dict[int, tuple[str, str]] = {}  # phase and shard of the jobs of an outer run
        self._downloads = Downloads()
        self._over = threading.Event()
        self._clock: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Count, show, or print."""
        event = getattr(record, "event", None)
        if self.common_settings.dryrun or self.common_settings.verbose:
            self._print(record)
            return
        self._last = record.created
        self._count(event, record)
        if event == LogEvent.PROGRESS:
            self._show(record.created)
        elif event not in _PER_JOB and not _is_chatter(record):
            self._print(record)

    def _count(self, event: LogEvent | None, record: logging.LogRecord) -> None:
        fields = record.__dict__
        if event == LogEvent.RUN_INFO and "stats" in fields:
            self._tally, self._printed = Tally(stages_of(fields["stats"]), record.created), record.created
            self._start_clock()
        elif self._tally is None:
            return
        elif event == LogEvent.JOB_INFO:
            self._tally.started(fields["jobid"], fields["rule_name"], record.created)
            self._shard_started(fields["jobid"], dict(fields.get("wildcards") or {}))
        elif event == LogEvent.JOB_FINISHED:
            self._tally.finished(fields["job_id"], record.created)
            if fields["job_id"] in self._jobs:
                SHARDS.finished.add(self._jobs[fields["job_id"]])
        elif event == LogEvent.JOB_ERROR:
            self._tally.lost(fields["jobid"])
        if self._inner is not None:
            self._tell_outer_run(self._inner, record.created)

    def _shard_started(self, job: int, wildcards: dict[str, str]) -> None:
        key = wildcards.get("phase", ""), wildcards.get("shard", WHOLE_SET)
        if key not in SHARDS.expected:
            return
        self._jobs[job] = key
        SHARDS.running.add(key)

    def _start_clock(self) -> None:
        """Inner runs and downloads go on while nothing is logged here."""
        if self._clock is None:
            self._clock = threading.Thread(target=self._look_now_and_then, daemon=True)
            self._clock.start()

    def _look_now_and_then(self) -> None:
        run = os.environ.get("REGIONFLOW_RUN_DIR")
        while not self._over.wait(1.0):
            now = time.time()
            downloads = under_way(None if run is None else Path(run), now)
            with self.lock or threading.Lock():
                if self._downloads.look(downloads) or SHARDS.running:
                    self._show(now)

    def _tell_outer_run(self, inner: Inner, now: float) -> None:
        assert self._tally is not None
        left = sum(self._tally.total.values()) - sum(self._tally.done.values())
        if left <= int(os.environ.get("REGIONFLOW_CPU_SLOTS", "1")):
            turns.pass_on()
        if now - self._reported > 1.0 or not left:
            self._reported = now
            with suppress(OSError):
                report(inner, self._tally)

    def _show(self, now: float) -> None:
        if self._tally is None:
            return
        tally, images = self._shown()
        over = tally.all_done() and not self._told_over
        self._told_over = tally.all_done()
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            if over or now - self._printed > 0.2:
                self._printed = now
                table = tally.table(now, images)
                downloads = [] if over or self._downloads.are_none else [self._downloads.table()]
                self._live.update(Group(table, *downloads), refresh=True)
        elif over or now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            more = "; ".join(filter(None, [images, self._downloads.line()]))
            self._console.print(tally.line(now, more), markup=False)

    def _shown(self) -> tuple[Tally, str]:
        """What is counted: the jobs of this run, or of all its inner runs, and how many images are through."""
        assert self._tally is not None
        if not SHARDS.expected:
            return self._tally, ""
        tally = SHARDS.tally(self._tally.begin)
        tally.failed |= {-job for job in self._tally.failed}
        return tally, SHARDS.images()

    def _print(self, record: logging.LogRecord) -> None:
        if self._live is None:
            self._plain.setFormatter(self.formatter)
            self._plain.emit(record)
        elif text := self.format(record):
            self._console.print(Text.from_ansi(self._plain.decorate(record, text)))

    def close(self) -> None:
        """Take the table from the terminal and leave the last count."""
        self._over.set()
        if self._live is not None:
            self._live.stop()
        if self._tally is not None:
            tally, images = self._shown()
            if self._live is not None or not tally.all_done():
                self._console.print(tally.line(self._last, images, over=True), markup=False)
        self._live = self._tally = None
        super().close()


def _is_chatter(record: logging.LogRecord) -> bool:
    """What the scheduler says every time it looks for jobs."""
    return (
        record.levelno <= logging.INFO and record.module == "job_scheduler" and record.getMessage().startswith("Select")
    )
