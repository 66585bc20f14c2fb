"""Kills: no process, temporary file or directory outlives a run, native code included, and the results are the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from regionflow.base.remember import remembered
from workflow.warm.harness import FakeWorkflow, wait_for

SECONDS = 10
VICTIMS = ("snakemake", "client.py", "regionflow.run.resident", "watcher.py")


@pytest.fixture
def workflow(tmp_path, request):
    """The fake workflow with the executor of the test, and with a temporary folder whose name sockets can have."""
    made = FakeWorkflow(tmp_path, cards="", executor=getattr(request, "param", "local"))
    made.environ["TMPDIR"] = tempfile.mkdtemp(prefix="rf-", dir="/tmp")
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made.environ["TMPDIR"])


def kill(workflow: FakeWorkflow, who: str) -> None:
    """SIGKILL of one process or, for "all" and "everything", of all but the watchers and of all."""
    names = {"all": VICTIMS[:3], "everything": VICTIMS}.get(who, (who,))
    # Their command line names the resident's as well.
    spared = [] if "watcher.py" in names else workflow.processes(of="watcher.py")
    victims = [pid for name in names for pid in workflow.processes(of=name) if pid not in spared]
    for pid in victims if who in ("all", "everything") else victims[:1]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def left(workflow: FakeWorkflow) -> list[str]:
    """Processes, temporary files and directories of runs that are still there."""
    hidden = [str(path) for path in (workflow.directory / "out").glob(".*")]
    folders = [str(path) for path in Path(workflow.environ["TMPDIR"]).glob("regionflow-*")]
    return [*map(str, workflow.processes()), *hidden, *folders]


def gone(workflow: FakeWorkflow) -> None:
    """Nothing is left after at most ten seconds."""
    deadline = time.monotonic() + SECONDS
    while remains := left(workflow):
        assert time.monotonic() < deadline, remains
        time.sleep(0.05)


def finish(workflow: FakeWorkflow, images: int) -> dict[str, str]:
    """Run to the end after a kill; nothing is left then, whatever the kill was."""
    workflow.unlock()
    run = workflow.run("--cores", "3", "--keep-going", "--config", f"images={images}")
    assert run.returncode == 0, run.stdout + run.stderr
    gone(workflow)
    return workflow.outputs()


def complete(images: int) -> dict[str, str]:
    """What an uninterrupted run gives."""
    names = [f"image{i:03d}" for i in range(images)]
    return {
        f"{name}.{kind}.txt": text
        for name in names
        for kind, text in (("first", f"{name}\n"), ("extra", f"{name} cpu\n"), ("second", f"{name}\nsecond\n"))
    }


@pytest.mark.parametrize(
    ("workflow", "who"),
    [
        ("regionflow", "snakemake"),
        ("local", "client.py"),
        ("regionflow", "everything"),
        pytest.param("local", "snakemake", marks=pytest.mark.slow),
        pytest.param("local", "everything", marks=pytest.mark.slow),
    ],
    indirect=["workflow"],
)
def test_a_kill_while_native_code_is_busy_leaves_nothing(workflow, who):
    hold = workflow.directory / "hold"
    hold.touch()
    process = workflow.start("--cores", "2", "--config", "images=2", "hold=hold", "native=1")
    wait_for(lambda: len(list(workflow.directory.glob("holding-*"))) == 2)
    assert left(workflow)
    hold.unlink()
    kill(workflow, who)
    if who == "client.py":  # one job fails; the other is busy until the run is ended too
        wait_for(lambda: len(workflow.processes(of="client.py")) == 1, SECONDS)
        kill(workflow, "snakemake")
    process.wait(60)
    if who == "everything":  # nobody is left to clear up: the next start does
        wait_for(lambda: not workflow.processes(), SECONDS)
    else:
        gone(workflow)
    assert finish(workflow, 2) == complete(2)


@pytest.mark.parametrize("workflow", ["regionflow", pytest.param("local", marks=pytest.mark.slow)], indirect=True)
def test_a_resident_that_loses_its_watcher_ends_with_it(workflow):
    hold = workflow.directory / "hold"
    hold.touch()
    process = workflow.start("--cores", "1", "--config", "images=1", "hold=hold", "native=1")
    wait_for(lambda: bool(list(workflow.directory.glob("holding-*"))))
    hold.unlink()
    kill(workflow, "watcher.py")
    assert process.wait(60) == 1  # the job failed
    gone(workflow)
    assert finish(workflow, 1) == complete(1)


def test_a_finished_run_leaves_nothing_warm_or_cold(workflow):
    for warm in (True, False):
        assert workflow.run("--cores", "2", "--config", "images=1", f"warm={warm}").returncode == 0
        gone(workflow)
        workflow.clear()


def test_what_a_killed_process_was_remembering_is_cleared_by_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / ".snakemake").mkdir()
    for name in (
        f"regionflow.{ended.pid}.json",
        f"regionflow.{ended.pid}.json.part",
        f"regionflow.{os.getppid()}.json",
    ):
        (tmp_path / ".snakemake" / name).touch()
    assert remembered("key", 1, lambda: "value") == remembered("key", 1, lambda: "other") == "value"
    kept = {path.name for path in (tmp_path / ".snakemake").iterdir()}
    assert kept == {"regionflow.json", f"regionflow.{os.getppid()}.json"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_seeded_kills_of_a_run_of_twelve_images(workflow, seed):
    dice = random.Random(seed)
    hold, native = workflow.directory / "hold", seed % 3 == 0
    who = ("snakemake", "client.py", "regionflow.run.resident", "all", "everything")[seed % 5]
    arguments = ["--cores", "3", "--keep-going", "--config", "images=12"]
    if native:
        hold.touch()
        arguments += ["hold=hold", "native=1"]
    process = workflow.start(*arguments)
    wait_for(lambda: bool(workflow.processes(of="client.py")) or process.poll() is not None)
    if native:
        wait_for(lambda: bool(list(workflow.directory.glob("holding-*"))))
    time.sleep(dice.uniform(0, 0.5 if native else 2))  # the moment of the kill is what is drawn
    hold.unlink(missing_ok=True)
    kill(workflow, who)
    if who in ("client.py", "regionflow.run.resident") and native:
        kill(workflow, "snakemake")  # else the other residents sleep on
    process.wait(120)
    if who == "everything":
        wait_for(lambda: not workflow.processes(), SECONDS)
    elif (
        who == "all"
    ):  # a client that dies before it has started a watcher leaves the run's directory to the next start
        wait_for(lambda: not [path for path in left(workflow) if "/regionflow-" not in path], SECONDS)
    else:
        gone(workflow)
    assert finish(workflow, 12) == complete(12)
