"""Warm workers under a real snakemake with fake stages: slots, cards, failures, and how a run may end."""

import contextlib
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.warm.harness import FakeWorkflow, wait_for

WARM_AND_COLD = pytest.mark.parametrize(
    "warm", [pytest.param(True, id="warm"), pytest.param(False, id="cold", marks=pytest.mark.slow)]
)
# With our executor, with Snakemake's local one and clients, and with a process for every job.
ALL_WAYS = pytest.mark.parametrize(
    ("executor", "warm"),
    [
        pytest.param("regionflow", True, id="executor"),
        pytest.param("local", True, id="client", marks=pytest.mark.slow),
        pytest.param("local", False, id="cold", marks=pytest.mark.slow),
    ],
)
COMPLETE = re.compile(r"image\d{3}\n(second\n)?|image\d{3} (cpu|cuda)\n")


@pytest.fixture
def fake(tmp_path: Path):
    """Makes the fake workflow on a machine with these cards; kills what a failed test leaves."""
    made: list[FakeWorkflow] = []

    def make(cards: str = "", executor: str = "regionflow") -> FakeWorkflow:
        made.append(FakeWorkflow(tmp_path, cards, executor))
        return made[-1]

    yield make
    for workflow in made:
        for pid in workflow.processes():
            with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
                os.kill(pid, signal.SIGKILL)


def assert_complete(workflow: FakeWorkflow, images: int) -> None:
    """All files are there, none of them temporary or half-written."""
    outputs = workflow.outputs()
    assert len(outputs) == 3 * images
    assert all(COMPLETE.fullmatch(text) for text in outputs.values())


def assert_over(workflow: FakeWorkflow) -> None:
    """The run is over, soon: no process of ours, no file under a final name that is not complete, no temporary one."""
    wait_for(lambda: not workflow.processes(), seconds=5)
    for name, text in workflow.outputs().items():
        assert not name.startswith("."), f"{name} was left behind"
        assert COMPLETE.fullmatch(text), f"{name} is half-written: {text!r}"


def test_eight_slots_on_four_cards_are_never_shared_over_200_jobs(fake) -> None:
    workflow = fake(cards="0,1,2,3")
    hold = workflow.directory / "hold"  # until all slots work at once, however busy the machine is
    hold.touch()
    process = workflow.start("--cores", "8", "--resources", "gpu=8", "--config", "images=200", "hold=hold")
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 8)
    hold.unlink()
    console = workflow.directory / "console.txt"
    assert process.wait(300) == 0, console.read_text()  # a stage that meets another one in its slot raises
    assert_complete(workflow, 200)
    assert workflow.loads() == [(f"gpu-{slot}", str(slot % 4)) for slot in range(8)]
    assert console.read_text().count("regionflow: 8 GPU slots on cards 0, 1, 2, 3; 8 CPU slots") == 1
    assert_over(workflow)


def test_without_resources_each_visible_card_is_a_slot_and_no_more_jobs_start(fake) -> None:
    workflow = fake(cards="2,5")
    run = workflow.run("--cores", "8", "--config", "images=12")
    assert run.returncode == 0, run.stderr
    assert workflow.loads() == [("gpu-0", "2"), ("gpu-1", "5")]


@pytest.mark.parametrize("arguments", [(), ("--resources", "gpu=0")], ids=["no card", "gpu=0"])
def test_without_cards_models_use_all_the_cores(fake, arguments) -> None:
    workflow = fake(cards="0" if arguments else "")
    hold = workflow.directory / "hold"
    hold.touch()
    process = workflow.start("--cores", "3", *arguments, "--config", "images=3", "hold=hold")
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 3)
    hold.unlink()
    assert process.wait(60) == 0
    assert workflow.loads() == [("cpu-0", ""), ("cpu-1", ""), ("cpu-2", "")]
    assert_complete(workflow, 3)


def test_resources_without_cards_limit_the_models(fake) -> None:
    workflow = fake()
    run = workflow.run("--cores", "4", "--resources", "gpu=1", "--config", "images=6")
    assert run.returncode == 0, run.stderr
    assert workflow.loads() == [("gpu-0", "")]
    assert "image000 cpu\n" in workflow.outputs().values()


@pytest.mark.parametrize("slots", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_warm_and_cold_make_equal_files(fake, slots: int) -> None:
    workflow = fake(cards="0")
    arguments = ("--cores", str(slots), "--resources", f"gpu={slots}", "--config", "images=8")
    assert workflow.run(*arguments).returncode == 0
    warm, loads = workflow.outputs(), workflow.loads()
    workflow.clear()
    run = workflow.run(*arguments, "warm=False")
    assert run.returncode == 0, run.stderr
    assert workflow.outputs() == warm
    assert (len(loads), len(workflow.loads())) == (slots, 8)
    assert "a cold process for each job" in run.stderr


@ALL_WAYS
def test_a_failed_job_shows_its_traceback_in_its_log_and_on_the_console(fake, executor: str, warm: bool) -> None:
    workflow = fake(executor=executor)
    arguments = ("--cores", "2", "--keep-going", "--config", "images=6", f"warm={warm}")
    run = workflow.run(*arguments, "bad=image003")
    assert run.returncode == 1
    log = (workflow.directory / "logs/first/image003.log").read_text()
    assert "ValueError: image003 is bad" in log and "working on image003" in log
    assert "ValueError: image003 is bad" in run.stderr
    assert_over(workflow)
    assert len(workflow.outputs()) == 3 * 5
    assert workflow.run(*arguments).returncode == 0
    assert_complete(workflow, 6)


@ALL_WAYS
def test_a_worker_that_dies_fails_its_job_only_and_a_retry_succeeds(fake, executor: str, warm: bool) -> None:
    workflow = fake(executor=executor)
    arguments = ("--cores", "2", "--keep-going", "--config", "images=6", f"warm={warm}", "deadly=image002")
    run = workflow.run(*arguments)
    assert run.returncode == 1
    assert re.search(r"The worker of slot cpu-\d died during the job", run.stderr)
    assert_over(workflow)
    assert len(workflow.outputs()) == 3 * 5
    workflow.clear()
    (workflow.directory / "died.txt").unlink()
    run = workflow.run(*arguments, "--retries", "1")
    assert run.returncode == 0, run.stderr
    assert_complete(workflow, 6)


@ALL_WAYS
def test_a_user_error_is_not_tried_again_in_its_run_but_one_of_the_moment_is(fake, executor: str, warm: bool) -> None:
    workflow = fake(executor=executor)
    wrong = ("refused=image001+image002", "passing=image002")
    arguments = ("--cores", "2", "--keep-going", "--retries", "2", "--config", "images=4", f"warm={warm}")

    def tries(image: str) -> int:
        return (workflow.directory / f"tried-{image}.txt").read_text().count("tried")

    for runs in (1, 2):  # a new run asks again: the file may have been mended
        assert workflow.run(*arguments, *wrong).returncode == 1
        assert (tries("image001"), tries("image002")) == (runs, 3 * runs)
    log = (workflow.directory / "logs/first/image001.log").read_text()
    assert log.startswith("error: image001 has weights of another model\n(Not tried again:")
    assert "Not tried again" not in (workflow.directory / "logs/first/image002.log").read_text()
    assert_over(workflow)
    assert workflow.run(*arguments).returncode == 0
    assert_complete(workflow, 4)


def test_rules_of_the_user_and_what_needs_a_shell_run_as_ever(fake) -> None:
    workflow = fake()
    run = workflow.run("--cores", "2", "out/image000.measured.txt", "out/image000.second.txt", "--config", "images=1")
    assert run.returncode == 0, run.stderr
    outputs = workflow.outputs()
    assert outputs["own.txt"] == "1\n" and outputs["image000.measured.txt"] == "1\nsecond\n"
    assert outputs["image000.benchmark.txt"].startswith("s\th:m:s\t")


def test_an_allocation_of_a_cluster_loads_once_and_uses_its_card(fake) -> None:
    workflow = fake(cards="1")  # as Slurm sets it
    jobs = [f"first:image=image{number:03d}" for number in range(5)]
    inner = ["--mode", "remote", "--force", "--nolock", "--no-hooks", "--target-files-omit-workdir-adjustment"]
    run = workflow.run("--target-jobs", *jobs, "--allowed-rules", "first", "--cores", "2", *inner)
    assert run.returncode == 0, run.stderr
    assert workflow.loads() == [("gpu-0", "1")]
    assert len(workflow.outputs()) == 2 * 5
    assert run.stderr.count("regionflow: 1 GPU slot on card 1") == 1
    assert_over(workflow)


def test_the_default_profile_shows_progress_and_failures_but_not_each_job(fake) -> None:
    workflow = fake()
    workflow.profile = ["--workflow-profile", str(Path(__file__).parents[2] / "profiles/default")]
    run = workflow.run("--cores", "2", "--config", "images=5", "bad=image003")
    assert run.returncode == 1
    assert re.search(r"^8/10 jobs, 1 failed", run.stderr.splitlines()[-1])
    assert "ValueError: image003 is bad" in run.stderr
    assert "Finished jobid" not in run.stderr
    (log,) = (workflow.directory / ".snakemake/log").glob("*.log")
    assert log.read_text().count("Finished jobid") == 8
    assert log.read_text().count("Error in rule first") == 2  # profile: one retry


def _signal(number: int) -> Callable[[FakeWorkflow, int, int], None]:
    return lambda workflow, snakemake, keyboard: os.kill(snakemake, number)


def _press_ctrl_c(workflow: FakeWorkflow, snakemake: int, keyboard: int) -> None:
    os.write(keyboard, b"\x03")


def _close_terminal(workflow: FakeWorkflow, snakemake: int, keyboard: int) -> None:
    os.close(keyboard)


def _kill_both(workflow: FakeWorkflow, snakemake: int, keyboard: int) -> None:
    for pid in (snakemake, *workflow.processes(of="client.py")):
        os.kill(pid, signal.SIGKILL)


@ALL_WAYS
@pytest.mark.parametrize(
    ("end", "jobs_finish"),
    [
        pytest.param(_press_ctrl_c, False, id="Ctrl-C"),
        pytest.param(_close_terminal, False, id="terminal closed"),
        pytest.param(_signal(signal.SIGTERM), True, id="SIGTERM"),
        pytest.param(_signal(signal.SIGHUP), False, id="SIGHUP"),
        pytest.param(_signal(signal.SIGKILL), False, id="SIGKILL"),
        pytest.param(_kill_both, False, id="SIGKILL of snakemake and its jobs"),
    ],
)
def test_nothing_is_left_however_the_run_ends(fake, end, jobs_finish: bool, executor: str, warm: bool) -> None:
    workflow = fake(executor=executor)
    arguments = ("--cores", "2", "--config", "images=4", f"warm={warm}")
    hold = workflow.directory / "hold"
    hold.touch()
    process, keyboard = workflow.start_in_terminal(*arguments, "hold=hold")
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 2)
    end(workflow, process.pid, keyboard)
    if jobs_finish:  # snakemake waits for running jobs
        hold.unlink()
    assert process.wait(30) != 0
    assert_over(workflow)
    hold.unlink(missing_ok=True)
    workflow.unlock()  # a killed snakemake leaves its lock
    run = workflow.run(*arguments)
    assert run.returncode == 0, run.stderr
    assert_complete(workflow, 4)


@pytest.mark.parametrize(
    ("who", "executor", "warm"),
    [
        ("regionflow.run.resident", "regionflow", True),
        ("client.py", "local", True),
        pytest.param("regionflow.run.resident", "local", True, marks=pytest.mark.slow),
        pytest.param("client.py", "local", False, marks=pytest.mark.slow),
        pytest.param("regionflow.run.resident", "local", False, marks=pytest.mark.slow),
    ],
)
def test_kill_of_one_job_or_worker_leaves_the_rest_working(fake, who: str, executor: str, warm: bool) -> None:
    workflow = fake(executor=executor)
    arguments = ("--cores", "2", "--keep-going", "--config", "images=6", f"warm={warm}")
    hold = workflow.directory / "hold"
    hold.touch()
    process = workflow.start(*arguments, "hold=hold")
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 2)
    victim = workflow.processes(of=who)[0]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 3)
    hold.unlink()
    assert process.wait(60) == 1
    assert_over(workflow)
    assert len(workflow.outputs()) == 3 * 5
    assert workflow.run(*arguments).returncode == 0
    assert_complete(workflow, 6)
