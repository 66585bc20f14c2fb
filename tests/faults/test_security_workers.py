"""The directory of the workers: a name that nobody can guess, and a place that nobody else can have made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regionflow.run import leftovers
from regionflow.run.slots import Slots
from regionflow.run.watcher import start_time

ROOT = Path(__file__).parents[2]


def client(directory: Path, run_dir: Path) -> subprocess.CompletedProcess:
    """A client of a run that has this directory."""
    slots = Slots(cpu=1, gpu=0, cards=(), warm=False).environment()
    environment = {**os.environ, **slots, "REGIONFLOW_RUN_DIR": str(run_dir), "REGIONFLOW_SCRIPTS": str(directory)}
    job = {"stage": "nothing", "inputs": {}, "outputs": {"out": str(directory / "out.txt")}, "options": {}}
    (directory / "nothing.py").write_text("def run(job): job.outputs['out'].write_text('done')")
    return subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "src/regionflow/run/client.py"), "cpu"],
        input=json.dumps(job),
        env={**environment, "PYTHONPATH": str(ROOT / "src")},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_name_is_another_in_every_run():
    names = {Slots(cpu=1, gpu=0, cards=(), warm=True).environment()["REGIONFLOW_RUN_DIR"] for _ in range(20)}
    assert len(names) == 20
    assert all(len(name.rpartition("-")[2]) == 12 for name in names)


def test_a_directory_that_is_made_is_ours_alone(tmp_path):
    done = client(tmp_path, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("fault", ["link", "mode", "file", "owner"])
def test_what_others_may_have_put_there_is_refused(tmp_path, fault):
    run_dir = tmp_path / "run"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if fault == "link":
        run_dir.symlink_to(tmp_path / "elsewhere")
    elif fault == "mode":
        run_dir.mkdir()
        run_dir.chmod(0o755)
    elif fault == "file":
        run_dir.write_text("")
    else:
        run_dir.mkdir(mode=0o700)
        try:
            os.chown(run_dir, 12345, -1)
        except PermissionError:
            pytest.skip("only root can give a directory away")
    done = client(tmp_path, run_dir)
    assert done.returncode == 1 and "is not a directory of ours alone" in done.stderr
    assert not (tmp_path / "out.txt").exists() and not list((tmp_path / "elsewhere").iterdir())


def test_only_directories_of_dead_runs_of_ours_are_cleared(tmp_path):
    mine = leftovers.new_directory(tmp_path)
    namespace, process = mine.name.split("-")[1], os.getpid()
    dead = tmp_path / f"regionflow-{namespace}-{process}-1-0123456789ab"  # the same process number, another start
    linked = tmp_path / f"regionflow-{namespace}-{process}-2-0123456789ab"
    foreign = tmp_path / f"regionflow-0abc-{process}-1-0123456789ab"  # another namespace of process numbers
    for path in (mine, dead, foreign, tmp_path / "regionflow-other"):
        path.mkdir(mode=0o700)
    (tmp_path / "target").mkdir(mode=0o700)
    linked.symlink_to(tmp_path / "target")
    temporary, written, innocent = tmp_path / ".a.17.tmp.json", tmp_path / ".b.17.tmp.json.part", tmp_path / "a.json"
    for path in (temporary, written, innocent):
        path.write_text("")
    outputs = [temporary, tmp_path / ".b.17.tmp.json", innocent]
    (dead / "cpu-0.job").write_bytes(b"\0".join(os.fsencode(path) for path in outputs))
    assert leftovers.clear(tmp_path) == [dead]
    assert mine.exists() and foreign.exists() and linked.is_symlink() and (tmp_path / "target").exists()
    assert not temporary.exists() and not written.exists() and innocent.exists()
    assert start_time(process) != "0" or sys.platform != "linux"
