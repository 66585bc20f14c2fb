"""Jobs handed to residents from one process: several in a request, each with its own log, file, and failure."""

import json
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regionflow.formats.records import read_records
from regionflow.run import dispatch
from regionflow.run.dispatch import Dispatcher, Paces, Work
from regionflow.run.slots import Slots
from regionflow.run.watcher import alive, start_time

SOURCE = Path(__file__).parents[3] / "src"
ADAPTER = """
import fcntl, os, signal
from pathlib import Path

def run(job):
    with Path("alone").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two at once: BlockingIOError
        print("in", os.getpid())
        exec(job.options["do"])
        job.outputs["out"].write_text("done")
"""


class Run:
    """A run with a dispatcher and an adapter that does as it is told."""

    def __init__(self, directory: Path, cores: int) -> None:
        self.directory = directory
        self.dispatcher = Dispatcher({"_cores": cores})
        self.errors: dict[str, str] = {}
        self.pool = "cpu"
        self._told = threading.Condition()

    def submit(self, jobs: dict[str, str]) -> None:
        """Jobs by name, with what each does."""
        self.dispatcher.submit([self._work(name, do) for name, do in jobs.items()])

    def results(self, number: int) -> dict[str, str]:
        """The errors of jobs by name, when that many are over."""
        with self._told:
            assert self._told.wait_for(lambda: len(self.errors) == number, timeout=60)
        return self.errors

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def resident(self) -> int:
        """Process of the resident in the log of the first job that has one."""
        return int(next(self.directory.glob("*.log")).read_text().split()[1])

    def _work(self, name: str, do: str) -> Work:
        job = {"stage": "obey", "inputs": {}, "outputs": {"out": f"{name}.txt"}, "options": {"do": do}, "threads": 1}
        log, needs = self.directory / f"{name}.log", {"_cores": 1}
        told = lambda error: self._over(name, error)  # noqa: E731
        return Work(json.dumps(job).encode(), log, self.pool, "obey", needs, str(self.directory), told)

    def _over(self, name: str, error: str) -> None:
        with self._told:
            assert name not in self.errors
            self.errors[name] = error
            self._told.notify_all()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Two slots, one core, and requests of all that waits."""
    (tmp_path / "obey.py").write_text(ADAPTER)
    environment = {
        **Slots(cpu=2, gpu=0, cards=(), warm=True).environment(),
        "REGIONFLOW_RUN_DIR": str(tmp_path / "run"),
        "REGIONFLOW_SCRIPTS": str(tmp_path),
        "PYTHONPATH": str(SOURCE),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed is in a log at once, with it or without
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dispatch, "PACES", Paces({"obey": 0.001}))
    made = Run(tmp_path, cores=1)
    yield made
    made.dispatcher.end()


def test_each_job_of_a_request_has_its_log_its_file_and_its_failure(run: Run) -> None:
    run.submit({f"job{i}": "1 / 0" if i == 2 else f"print('I am {i}')" for i in range(6)})
    errors = run.results(6)
    assert errors == {f"job{i}": "the stage failed" if i == 2 else "" for i in range(6)}
    assert "ZeroDivisionError" in run.log("job2") and not (run.directory / "job2.txt").exists()
    for i in (0, 1, 3, 4, 5):
        assert f"I am {i}\n" in run.log(f"job{i}") and "models loaded: 0" in run.log(f"job{i}")
        assert (run.directory / f"job{i}.txt").read_text() == "done"
    assert not list(run.directory.glob(".*.tmp*"))


def test_a_resident_that_dies_fails_the_job_at_work_and_the_next_one_does_the_rest(run: Run) -> None:
    run.submit({f"job{i}": "os.kill(os.getpid(), signal.SIGKILL)" if i == 1 else "" for i in range(5)})
    errors = run.results(5)
    assert errors.pop("job1").startswith("The worker of slot cpu-")
    assert "died during the job" in run.log("job1")
    assert set(errors.values()) == {""}


def test_a_user_error_is_not_tried_again(run: Run) -> None:
    wrong = "from regionflow.base.errors import UserError; raise UserError('wrong weights')"
    run.submit({"job": wrong})
    assert run.results(1) == {"job": "wrong weights"}
    run.errors.clear()
    run.submit({"job": wrong})
    assert "Not tried again" in run.results(1)["job"]
    assert run.log("job").startswith("error: wrong weights\n(Not tried again")


def test_the_end_of_a_run_ends_the_job_at_work_and_those_that_wait(run: Run) -> None:
    run.submit({"busy": "open('begun', 'w'); signal.pause()"})
    deadline = threading.Event()
    while not (run.directory / "begun").exists():
        assert not deadline.wait(0.01)
    run.submit({"waiting": ""})
    resident = run.resident()
    name = f"{resident}-{start_time(resident)}"
    run.dispatcher.end()
    errors = run.results(2)
    assert "died during the job" in errors["busy"] and "run ended" in errors["waiting"]
    while alive(name):
        assert not deadline.wait(0.01)


def test_what_runs_elsewhere_takes_its_cores(run: Run) -> None:
    with run.dispatcher.taken({"_cores": 1}):
        run.submit({"job": ""})
        assert not run.errors
    assert run.results(1) == {"job": ""}


TOGETHER = """
import os, signal, threading
import numpy as np
from regionflow.base.errors import UserError
from regionflow.run.together import Steps

ALL_THREE = threading.Barrier(3, timeout=60)

def can_work_together(job):
    return True

def read(job):
    print("read", job.outputs["out"].stem)
    exec(job.options["do"])
    return np.zeros((1, 1, 3), np.uint8), job

def model(job):
    print("load the model")
    if "no model" in job.options["do"]:
        raise UserError("there is no such model")
    return "model"

def begin(model, images):
    if len(images) > 1 and any("alone" in job.options["do"] for _, job in images):
        raise UserError("not together")
    if any("never" in job.options["do"] for _, job in images):
        raise UserError("too large")
    return [lambda beside, job=job: on_card(job, beside) for _, job in images]

def on_card(job, beside):
    print("on card")
    if "card fails" in job.options["do"]:
        1 / 0
    if "card meets" in job.options["do"]:
        ALL_THREE.wait()
    return beside(lambda: "rle")

def write(job, known, made):
    print("written", made)
    if "write fails" in job.options["do"]:
        raise UserError("disk")
    if "host meets" in job.options["do"]:
        ALL_THREE.wait()
    job.outputs["out"].write_text("done")

STEPS = Steps(read, model, begin, write)

def run(job):
    print("alone")
    STEPS.run(job)

def run_together(jobs, working):
    STEPS.run_together(jobs, working)
"""


@pytest.fixture
def card(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a slot that has a card, and an adapter that works on several jobs together."""
    monkeypatch.setenv("REGIONFLOW_GPU_SLOTS", "1")
    monkeypatch.setenv("REGIONFLOW_CARDS", "0")
    (run.directory / "obey.py").write_text(TOGETHER)
    run.pool = "gpu"
    return run


def test_jobs_together_have_each_its_log_its_file_and_its_failure(card: Run) -> None:
    wrong = {2: "raise UserError('a bad image')", 4: "'never'", 6: "'card fails'", 7: "'write fails'"}
    card.submit({f"job{i}": wrong.get(i, f"print('I am {i}')") for i in range(9)})
    errors = card.results(9)
    ends = {2: "a bad image", 4: "too large", 6: "the stage failed", 7: "disk"}
    assert errors == {f"job{i}": ends.get(i, "") for i in range(9)}
    assert card.log("job2").endswith("error: a bad image\n") and not (card.directory / "job2.txt").exists()
    assert card.log("job4").endswith("error: too large\n") and "ZeroDivisionError" in card.log("job6")
    assert card.log("job7").endswith("written rle\nerror: disk\n")
    for i in (0, 1, 3, 5, 8):
        read, own, *loaded, on_card, written, cost = card.log(f"job{i}").splitlines()
        assert read.startswith(f"read .job{i}.") and own == f"I am {i}"
        assert loaded == ["load the model"] * (i == 0)
        assert (on_card, written) == ("on card", "written rle")
        assert " s in gpu-0 (process " in cost
        assert (card.directory / f"job{i}.txt").read_text() == "done"
    records = read_records("obey", card.directory / "logs/records")
    assert {record.batch for record in records} == {9}
    assert not list(card.directory.glob(".*.tmp*"))


def test_the_card_works_on_one_image_while_the_next_is_read_and_the_last_is_written(card: Run) -> None:
    """Each of the three waits for the others: none would go on if they took turns."""
    card.submit({"job0": "'host meets'", "job1": "'card meets'", "job2": "ALL_THREE.wait()", "job3": ""})
    assert set(card.results(4).values()) == {""}


def test_what_is_wrong_with_the_model_is_wrong_for_every_job(card: Run) -> None:
    card.submit({f"job{i}": "'no model'" for i in range(3)})
    assert set(card.results(3).values()) == {"there is no such model"}
    for i in range(3):
        assert card.log(f"job{i}").endswith("error: there is no such model\n")


def test_what_fails_together_may_do_alone(card: Run) -> None:
    card.submit({f"job{i}": "'alone'" for i in range(5)})
    assert set(card.results(5).values()) == {""}


def test_native_output_is_in_the_log_of_no_other_job(card: Run) -> None:
    card.submit({f"job{i}": f"os.write(1, b'native {i}\\n')" for i in range(3)})
    card.results(3)
    assert all("native" not in card.log(f"job{i}") for i in range(3))
    assert (card.directory / "logs/workers/gpu-0.log").read_text().count("native") == 3


def test_where_a_resident_dies_over_several_jobs_each_is_tried_alone(card: Run) -> None:
    card.submit({f"job{i}": "os.kill(os.getpid(), signal.SIGKILL)" if i == 2 else "" for i in range(4)})
    errors = card.results(4)
    assert errors.pop("job2").startswith("The worker of slot gpu-0 died during the job")
    assert set(errors.values()) == {""}
    assert "alone\n" in card.log("job3")


def test_requests_are_as_long_as_the_pace_of_their_kind_allows() -> None:
    paces = Paces()
    assert (paces.at_once("new"), paces.ahead("new")) == (1, 1)
    paces.learn("new", 3.0)  # with the loading of a model
    assert (paces.at_once("new"), paces.ahead("new")) == (1, 1)
    paces.learn("new", 0.03)
    assert (paces.at_once("new"), paces.ahead("new")) == (10, 20)
    paces.learn("new", 1.03)
    assert 0 < paces.at_once("new") < 10
    paces.learn("fast", 1e-9)
    assert paces.at_once("fast") == 64


def test_a_card_has_several_jobs_in_a_request_however_long_they_are() -> None:
    paces = Paces()
    paces.learn("sam", 20.0, on_card=True)
    assert (paces.at_once("sam"), paces.ahead("sam")) == (8, 16)
    paces.learn("sam", 0.01, on_card=True)
    assert (paces.at_once("sam"), paces.ahead("sam")) == (30, 60)


@pytest.mark.parametrize(
    ("limits", "slots", "most", "raised"),
    [
        ((64, 64), 1, 8, None),
        ((64, 64), 2, 4, None),
        ((32, 32), 1, 1, None),
        ((1024, 1024), 16, 15, None),
        ((1024, 524288), 16, 64, (8192, 524288)),
        ((1024, 2048), 2, 64, (2048, 2048)),
        ((1024, resource.RLIM_INFINITY), 1, 64, (8192, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 1, 64, None),
        ((65536, 65536), 1, 64, None),
    ],
)
def test_a_request_has_as_many_jobs_as_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    slots: int,
    most: int,
    raised: tuple[int, int] | None,
) -> None:
    told = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: told.append(new))
    assert dispatch.most_in_a_request(slots) == most
    assert [new for new in told if new != limits] == ([] if raised is None else [raised])
    paces = Paces(most=most)
    paces.learn("quick", 1e-6, on_card=True)
    assert paces.at_once("quick") == most
