"""Client and resident, without Snakemake: this test process plays the run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regionflow.formats.records import read_records
from regionflow.run.slots import Slots

ROOT = Path(__file__).parents[3]
ADAPTER = """
import os, sys, tempfile
from pathlib import Path

def run(job):
    exec(job.options["do"])
    job.outputs["out"].write_text("done")
"""


class Machine:
    """One CPU slot and an adapter that does as it is told."""

    def __init__(self, directory: Path, warm: bool) -> None:
        self.directory = directory
        self.out = directory / "out.txt"
        (directory / "obey.py").write_text(ADAPTER)
        (directory / "tmp").mkdir()
        self.environ = {
            **os.environ,
            **Slots(cpu=1, gpu=0, cards=(), warm=warm).environment(),
            "REGIONFLOW_RUN_DIR": str(directory / "run"),
            "REGIONFLOW_SCRIPTS": str(directory),
            "PYTHONPATH": str(ROOT / "src"),
            "TMPDIR": str(directory / "tmp"),
        }

    def run(self, do: str = "", threads: int = 1, pool: str = "gpu", **options: str) -> subprocess.CompletedProcess:
        """Run one job through a client."""
        job = {"stage": "obey", "inputs": {}, "outputs": {"out": str(self.out)}, "threads": threads}
        return subprocess.run(
            [sys.executable, "-I", "-S", str(ROOT / "src/regionflow/run/client.py"), pool],
            input=json.dumps({**job, "options": {"do": do, **options}}),
            env=self.environ,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def pid(self) -> int:
        """Process of the resident that does the next job."""
        return int(self.run("print('pid', os.getpid())").stdout.split()[1])


@pytest.fixture(params=[True, False], ids=["warm", "cold"])
def machine(request: pytest.FixtureRequest, tmp_path: Path):
    made = Machine(tmp_path, request.param)
    yield made
    if request.param:
        os.kill(made.pid(), signal.SIGKILL)


@pytest.fixture
def warm(tmp_path: Path):
    made = Machine(tmp_path, warm=True)
    yield made
    os.kill(made.pid(), signal.SIGKILL)


def test_output_of_python_and_of_native_code_is_the_client_s(machine: Machine) -> None:
    result = machine.run("print('from Python'); os.write(2, b'from elsewhere'); os.system('echo from a child')")
    assert result.returncode == 0
    assert "from Python\n" in result.stdout and "from a child\n" in result.stdout
    assert result.stderr == "from elsewhere"
    assert "models loaded: 0" in result.stdout


def test_what_a_job_cost_is_recorded(machine: Machine) -> None:
    machine.run("import time; job.models.get('model', lambda t=time: t.sleep(0.05)); bytearray(80 << 20)")
    (record,) = read_records("obey", machine.directory / "logs/records")
    assert record.seconds > record.load_seconds >= 0.05
    assert record.peak_mib > 80 and record.slot == "cpu-0"
    machine.run()
    (record,) = read_records("obey", machine.directory / "logs/records")  # of the last run
    assert record.load_seconds == 0


def test_the_stage_sees_a_temporary_name_with_the_same_ending(machine: Machine) -> None:
    result = machine.run("print(job.outputs['out'])")
    temporary = Path(result.stdout.splitlines()[0])
    assert (temporary.parent, temporary.suffix, temporary.name[0]) == (machine.directory, ".txt", ".")
    assert machine.out.read_text() == "done"
    assert not temporary.exists()


def test_a_failure_leaves_neither_file_and_shows_the_traceback(machine: Machine) -> None:
    result = machine.run("job.outputs['out'].write_text('half'); 1 / 0")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
    assert not list(machine.directory.glob("*out*")) + list(machine.directory.glob(".*"))


def test_a_stage_may_not_exit_the_resident(machine: Machine) -> None:
    assert machine.run("sys.exit(0)").returncode == 1
    assert machine.run().returncode == 0


def test_a_crash_of_native_code_is_traced_in_the_log(machine: Machine) -> None:
    result = machine.run("import faulthandler, ctypes; ctypes.string_at(0)")
    assert result.returncode == 1
    assert "Segmentation fault" in result.stderr and "obey.py" in result.stderr
    assert "The worker of slot cpu-0 died during the job" in result.stderr
    assert machine.run().returncode == 0


def test_a_missing_output_is_named(machine: Machine) -> None:
    result = machine.run("job.outputs['out'] = Path('elsewhere')")
    assert result.returncode == 1
    assert f"The stage returned without writing {machine.out}." in result.stderr


def test_a_missing_adapter_is_named(machine: Machine) -> None:
    (machine.directory / "obey.py").rename(machine.directory / "other.py")
    result = machine.run()
    assert result.returncode == 1 and "stage 'obey' has no adapter" in result.stderr
    (machine.directory / "other.py").rename(machine.directory / "obey.py")


def test_a_job_of_a_megabyte(machine: Machine) -> None:
    assert machine.run("print(len(job.options['long']))", long="x" * 2**20).stdout.startswith(f"{2**20}\n")


def test_threads_directory_and_tmpdir_are_those_of_each_job(machine: Machine) -> None:
    tell = (
        "import torch, cv2, threadpoolctl; from regionflow.run import stage; stage.limit_loaded_modules(job.threads);"
    )
    tell += "print(torch.get_num_threads(), cv2.getNumThreads(), os.environ['OMP_NUM_THREADS'],"
    tell += "{pool['num_threads'] for pool in threadpoolctl.threadpool_info()}, os.getcwd(), tempfile.gettempdir())"
    for threads in (2, 1):
        place = f"{machine.directory} {machine.directory / 'tmp'}"
        line = machine.run(tell, threads=threads).stdout.splitlines()[0]
        assert line == f"{threads} {threads} {threads} {{{threads}}} {place}"


def test_jobs_share_a_process_and_its_models(warm: Machine) -> None:
    load = "print(os.getpid(), job.models.get('model', object))"
    first, second = warm.run(load).stdout, warm.run(load).stdout
    assert first.splitlines()[0] == second.splitlines()[0]
    assert "models loaded: 1" in first and "models loaded: 0" in second


def test_after_a_failure_another_process_takes_over(warm: Machine) -> None:
    first = warm.pid()
    warm.run("1 / 0")
    assert warm.pid() != first


def test_another_python_gets_another_process(warm: Machine, tmp_path: Path) -> None:
    first = warm.pid()
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to(sys.executable)
    (tmp_path / "env/pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (tmp_path / "env/lib").symlink_to(Path(sys.prefix) / "lib")
    warm.environ["CONDA_PREFIX"] = str(tmp_path / "env")
    result = warm.run("print(sys.executable)")
    assert result.stdout.startswith(f"{tmp_path}/env/bin/python\n")
    assert warm.pid() != first


def test_an_idle_resident_ends_and_the_next_job_starts_another(warm: Machine) -> None:
    warm.environ["REGIONFLOW_IDLE_SECONDS"] = "0.05"
    first = warm.pid()
    deadline = time.monotonic() + 10
    while (warm.directory / "run/cpu-0.sock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert warm.pid() != first


def test_a_worker_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    machine = Machine(tmp_path, warm=True)
    machine.environ["PYTHONPATH"] = ""
    machine.environ["REGIONFLOW_PYTHON"] = "/bin/false"
    result = machine.run()
    assert result.returncode == 1
    assert result.stderr == "The worker of slot cpu-0 did not start; see logs/workers/cpu-0.log.\n"
