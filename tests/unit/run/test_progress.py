"""The count of a run: what is done, how long the rest takes, what has failed."""

import io
import logging
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from regionflow.run.progress import Tally, duration, stages_of
from snakemake_logger_plugin_regionflow import LogHandler


def half_done() -> Tally:
    """Ten masks of which five took 4 s each, two at a time, and ten regions of which none is done, at 10 s."""
    tally = Tally({"masks": 10, "regions": 10}, begin=0.0)
    for job in range(5):
        tally.started(job, "masks", now=2.0 * job)
        tally.finished(job, now=2.0 * job + 4.0)
    return tally


def test_time_left_is_the_work_left_at_the_present_parallelism() -> None:
    # 5 masks at 4 s; 10 regions of unknown cost, so 4 s as well; 20 s of work were done in 10 s.
    assert half_done().seconds_left(now=10.0) == pytest.approx((5 * 4 + 10 * 4) / 2)


def test_a_stage_counts_by_its_own_mean() -> None:
    tally = half_done()
    tally.started(100, "regions", now=10.0)
    tally.finished(100, now=10.5)
    left = tally.seconds_left(now=10.5)
    assert left == pytest.approx((5 * 4 + 9 * 0.5) * 10.5 / 20.5)


def test_no_time_left_is_claimed_before_anything_is_done() -> None:
    assert Tally({"masks": 2}, begin=0.0).seconds_left(now=1.0) is None


def test_a_failure_counts_until_its_retry_succeeds() -> None:
    tally = half_done()
    for job in (10, 11):
        tally.started(job, "regions", now=10.0)
        tally.lost(job)
    assert tally.summary(now=10.0).endswith("2 failed")
    tally.started(10, "regions", now=11.0)
    tally.finished(10, now=12.0)
    assert tally.summary(now=12.0).endswith("1 failed")


def test_line_and_table_tell_done_of_total_and_images_per_second() -> None:
    tally = half_done()
    assert tally.line(now=10.0) == "5/20 jobs, 30 s left, 0 failed; masks 5/10 (0.5/s)"
    assert tally.line(now=10.0, over=True) == "5/20 jobs, 0 failed; masks 5/10 (0.5/s)"
    screen = Console(file=io.StringIO(), width=100)
    screen.print(tally.table(now=10.0))
    assert "masks" in screen.file.getvalue() and "5/10 0.5/s" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_the_target_that_only_collects_is_no_stage() -> None:
    assert stages_of({"masks": 3, "all": 1, "total": 4}) == {"masks": 3}


@pytest.mark.parametrize(("seconds", "text"), [(12.3, "12 s"), (200, "3 min"), (9000, "2.5 h")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_console_gets_a_line_now_and_then_and_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    settings = SimpleNamespace(stdout=False, nocolor=True, dryrun=False, verbose=False)
    handler = LogHandler(settings, None)
    handler.setFormatter(logging.Formatter("%(message)s"))

    def log(message: str, at: float, level: int = logging.INFO, **fields: object) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
        record.__dict__.update(fields, created=at)
        handler.handle(record)

    log("Job stats", 0.0, event=LogEvent.RUN_INFO, stats={"masks": 100, "total": 100})
    for job in range(100):
        log("rule masks", float(job), event=LogEvent.JOB_INFO, jobid=job, rule_name="masks")
        log("Finished jobid", job + 1.0, event=LogEvent.JOB_FINISHED, job_id=job)
        log("steps", job + 1.0, event=LogEvent.PROGRESS, done=job + 1, total=100)
    log("Error in rule masks", 101.0, logging.ERROR, event=LogEvent.JOB_ERROR, jobid=7, rule_name="masks")
    handler.close()
    assert stream.getvalue().splitlines() == [
        "Job stats",
        "31/100 jobs, 69 s left, 0 failed; masks 31/100 (1.0/s)",
        "62/100 jobs, 38 s left, 0 failed; masks 62/100 (1.0/s)",
        "93/100 jobs, 7 s left, 0 failed; masks 93/100 (1.0/s)",
        "100/100 jobs, 0 failed",
        "Error in rule masks",
    ]
