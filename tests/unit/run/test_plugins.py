"""What our plugins rely on inside Snakemake, and what the scheduler chooses."""

import inspect
import logging
import logging.handlers
import queue
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake.common
import snakemake.logging
import snakemake.rules
from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

import snakemake_scheduler_plugin_regionflow as plugin
from regionflow.run.dispatch import Paces
from regionflow.run.handover import RUN
from snakemake_executor_plugin_regionflow import Executor, internals
from snakemake_executor_plugin_regionflow.internals import with_bell, without_rate_limit
from snakemake_logger_plugin_regionflow import UnhurriedQueue

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("rate", "stays"), [("100/1s", False), ("5/1s", True), ("100/1m", True)])
def test_only_the_default_rate_is_lifted(rate: str, stays: bool) -> None:
    limiter = JobRateLimiter(MaxJobsPerTimespan.parse_choice(rate))
    scheduler = SimpleNamespace(job_rate_limiter=limiter, resources={"_job_count": 7})
    without_rate_limit(scheduler)
    assert (scheduler.job_rate_limiter is limiter) == stays
    assert scheduler.resources["_job_count"] == (7 if stays else sys.maxsize)
    without_rate_limit(SimpleNamespace())


class FakeJob(SimpleNamespace):
    """A job with one core and no inputs."""

    __hash__ = object.__hash__

    def is_group(self) -> bool:
        return False


def job(rule: str, number: int, priority: int = 0, cores: int = 1) -> Any:
    return FakeJob(
        rule=SimpleNamespace(name=rule),
        wildcards_dict={"image": str(number)},
        threads=cores,
        resources={},
        priority=priority,
        input=[],
        scheduler_resources={"_cores": cores},
    )


def chosen(
    patch: pytest.MonkeyPatch,
    seconds: dict[str, float],
    jobs: list[Any],
    running: list[Any],
    *,
    cores: int = 2,
    count: int = sys.maxsize,
) -> list[Any]:
    """What is chosen with so many cores, where jobs of rules take so long; `count` jobs may start."""
    patch.setattr(plugin, "PACES", Paces({(rule, (), 1, None): pace for rule, pace in seconds.items()}))
    within = SimpleNamespace(global_resources={"_cores": cores, "_nodes": sys.maxsize}, running=running)
    dag: Any = SimpleNamespace(workflow=SimpleNamespace(scheduler=within))
    scheduler = plugin.Scheduler(dag, None, None)  # type: ignore[arg-type]
    return list(scheduler.select_jobs(jobs, jobs, {"_cores": 0, "_job_count": count}, {}))


def test_long_jobs_and_those_that_nobody_knows_are_not_chosen_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("new", i) for i in range(9)] + [job("long", i) for i in range(9)]
    assert len(chosen(monkeypatch, {"long": 5.0}, jobs, [])) == 2
    assert len(chosen(monkeypatch, {"long": 5.0}, jobs, jobs[:1])) == 1
    assert chosen(monkeypatch, {"long": 5.0}, jobs, jobs[:2]) == []


def test_short_jobs_are_chosen_ahead_and_the_urgent_ones_first(monkeypatch: pytest.MonkeyPatch) -> None:
    short = [job("short", i) for i in range(99)]
    urgent = job("new", 0, priority=1)
    made = chosen(monkeypatch, {"short": 0.03}, [*short, urgent], [])
    assert made[0] is urgent
    assert len(made) == 1 + 20  # one core, two requests of ten
    assert len(chosen(monkeypatch, {"short": 0.03}, short, short[:25])) == 15


def test_what_needs_more_cores_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = job("wide", 0, cores=2)
    assert chosen(monkeypatch, {}, [wide], [job("new", 0)]) == []
    assert chosen(monkeypatch, {}, [wide], []) == [wide]


def test_without_limits_everything_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("new", i) for i in range(9)]
    assert chosen(monkeypatch, {}, jobs, [], cores=sys.maxsize) == jobs


def test_no_more_are_chosen_than_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("short", i) for i in range(9)]
    assert len(chosen(monkeypatch, {"short": 0.03}, jobs, [], count=3)) == 3
    assert chosen(monkeypatch, {"short": 0.03}, jobs, [], count=0) == []


def test_remaining_jobs_are_looked_for_when_somebody_asks() -> None:
    asked = []

    class Internal:
        @property
        def remaining_jobs(self) -> list[int]:
            asked.append(self)
            return [1, 2, 3]

    internals.look_for_remaining_when_asked(Internal)
    internals.look_for_remaining_when_asked(Internal)
    remaining = Internal().remaining_jobs
    assert not asked
    assert list(remaining) == [1, 2, 3] and len(remaining) == 3 and remaining[1:] == [2, 3]
    assert len(asked) == 1
    internals.look_for_remaining_when_asked(JobScheduler)
    internal: Any = object.__new__(JobScheduler)
    jobs = ["running", "over", "failed", "left"]
    dag = SimpleNamespace(needrun_jobs=lambda: jobs, finished=lambda job: job == "over")
    internal.workflow, internal.running, internal.failed = SimpleNamespace(dag=dag), {"running"}, {"failed"}
    assert list(internal.remaining_jobs) == ["left"]


def test_a_job_knows_which_inputs_are_pipes_without_asking_all_jobs_for_each() -> None:
    asked: list[int] = []

    class Internal:
        is_pipe_or_service_input = Job.is_pipe_or_service_input

        def __init__(self, files: dict[str, bool]) -> None:
            one = SimpleNamespace(pipe_or_service_output={file for file, pipe in files.items() if pipe})
            self.files = files
            self.dag = SimpleNamespace(dependencies={self: Counted({FakeJob(**vars(one)): set(files)})})

    class Counted(dict[Any, set[str]]):
        def items(self) -> Any:
            asked.append(1)
            return super().items()

    internals.look_for_pipes_once(Internal)
    internals.look_for_pipes_once(Internal)
    for files in ({f"{i}": i == 7 for i in range(50)}, {f"{i}": i == 3 for i in range(50)}):
        made = Internal(files)
        assert {file for file in files if made.is_pipe_or_service_input(file)} == {f for f in files if files[f]}
        assert not made.is_pipe_or_service_input("of nobody")
    assert len(asked) == 2
    assert "is_pipe_or_service_input" in inspect.getsource(Job.prepare)


@pytest.mark.parametrize(("error", "waiting", "at_once"), [("", True, False), ("", False, True), ("why", True, True)])
def test_a_job_that_is_over_can_wait_for_others_while_there_is_more_to_do(
    error: str, waiting: bool, at_once: bool
) -> None:
    executor: Any = object.__new__(Executor)
    scheduler = SimpleNamespace(_open_jobs=None)
    bell = with_bell(scheduler)
    assert scheduler._open_jobs is bell is with_bell(scheduler)
    bell.acquire()
    executor.workflow = SimpleNamespace(scheduler=scheduler)
    executor._cancelled, executor._residents = False, SimpleNamespace(has_waiting=waiting)
    executor.report_job_success = lambda info: bell.release()
    executor.report_job_error = lambda info, msg: bell.release()
    executor._told(SimpleNamespace(job=None), error)
    assert bell._rung == at_once
    bell.hurry()
    bell.acquire()


@pytest.mark.parametrize(("shell", "wanted", "logged"), [(RUN, False, None), (RUN, True, RUN), ("own", False, "own")])
def test_the_shell_command_of_a_resident_is_logged_where_somebody_wants_to_see_it(
    shell: str, wanted: bool, logged: str | None
) -> None:
    rule = SimpleNamespace(shellcmd=shell)
    seen: list[str | None] = []
    started: Any = SimpleNamespace(rule=rule, is_group=lambda: False, log_info=lambda: seen.append(rule.shellcmd))
    executor: Any = object.__new__(Executor)
    executor.workflow = SimpleNamespace(output_settings=SimpleNamespace(printshellcmds=wanted))
    executor.printjob(started)
    assert seen == [logged]
    assert rule.shellcmd == shell


def test_the_console_gets_every_line_in_order() -> None:
    got: list[Any] = []
    handler = logging.Handler()
    handler.emit = lambda record: got.append(record.msg)  # type: ignore[method-assign]
    lines: Any = UnhurriedQueue()
    with pytest.raises(queue.Empty):
        lines.get(block=False)
    listener = logging.handlers.QueueListener(lines, handler)
    listener.start()
    for number in range(100):
        lines.put_nowait(logging.makeLogRecord({"msg": number}))
    listener.stop()
    assert got == list(range(100))


def test_snakemake_has_the_queue_that_the_console_replaces() -> None:
    assert issubclass(vars(snakemake.logging)["Queue"], queue.Queue | UnhurriedQueue)


@pytest.mark.parametrize("cancelled", [True, False])
def test_what_ctrl_c_has_ended_is_no_error_to_tell_of(cancelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    executor: Any = object.__new__(Executor)
    executor._cancelled, executor.workflow = cancelled, SimpleNamespace(linemaps={})
    told: list[str] = []
    monkeypatch.setattr(executor, "handle_job_error", lambda job: told.append("handled"))
    monkeypatch.setattr(executor, "report_job_error", lambda job: told.append("reported"))
    ended: Future[None] = Future()
    ended.set_exception(WorkflowError("killed"))
    executor._callback(SimpleNamespace(job=None), ended)
    assert told == ["handled" if cancelled else "reported"]


def test_parameters_of_functions_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (snakemake.common, snakemake.rules):
        monkeypatch.setattr(module, "get_function_params", snakemake.common.get_function_params)
    rules: dict[str, Any] = {"workflow": SimpleNamespace(modifier_stack=[None])}
    exec((ROOT / "rules/internals.smk").read_text(), rules)
    rules["look_at_parameters_once"]()
    rules["look_at_parameters_once"]()
    told = {"attempt": 2, "threads": 3}
    for function, expected in ((lambda wildcards, attempt: 0, {"attempt": 2}), (lambda wildcards, **more: 0, told)):
        assert snakemake.common.get_input_function_aux_params(function, told) == expected
        with monkeypatch.context() as without:
            without.setattr(inspect, "signature", None)
            assert snakemake.common.get_input_function_aux_params(function, told) == expected
            assert "wildcards" in snakemake.rules.get_function_params(function)
