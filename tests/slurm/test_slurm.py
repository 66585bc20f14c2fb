"""Both Slurm profiles on a real Slurm: files as on one machine, an allocation for each shard, recovery (test-slurm)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import ROOT, Workspace
from slurm.cluster import PREFIX, cluster, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=f"no Slurm here: {why_not()}")]

CONFIG = {
    "images": {"dir": "photos"},
    "clusters": {"k": 4},
    "segmenters": {"net": {"type": "sam", "model": "sam_tiny", "points_per_side": 4}},
    "regions": {"default": {"segmenter": "net"}},
    "runtime": {"shard_images": 32},
}
PHOTOS = [f"{number:02d}.png" for number in range(60)]
PHASES, SHARDS, OF_THE_SET = 2, 2, 2
SMALL = ["--set-threads", "shard=2", "shard_set=2", "images=1"]
SMALL += ["--set-resources", "shard:gpu=1", "shard:mem_mb=4000", "shard_set:mem_mb=2000"]
# Faults of a loaded machine, not of the profiles: a file that appears late, a status that is asked too early.
PROFILES = {
    "slurm": ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"],
    "slurm-generic": [],
}
LONG = 3600


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    with TemporaryDirectory(prefix=PREFIX) as name, cluster(Path(name)):  # pytest's folders are closed to munge
        yield


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of allocations, since sbatch hands the environment on; short, since sockets lie in it."""
    with TemporaryDirectory(prefix="tmp-", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        tempfile.tempdir = None
        yield Path(name)
    tempfile.tempdir = None


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The run on one machine, to compare with."""
    workspace = Workspace(tmp_path_factory.mktemp("local"), {**CONFIG, "runtime": {"shard_images": 0}})
    save_photos(workspace.path("photos"), PHOTOS)
    workspace.snakemake()
    return workspace


@pytest.fixture
def workspace(local: Workspace, tmp_path: Path, temporary: Path) -> Workspace:
    """The same photos, and the profiles beside them."""
    shutil.copytree(local.path("photos"), tmp_path / "run/photos")
    shutil.copytree(ROOT / "profiles", tmp_path / "run/profiles")
    return Workspace(tmp_path / "run", CONFIG)


def settings(workspace: Workspace) -> list[str]:
    configuration = workspace.path("config.yaml")
    configuration.write_text(yaml.safe_dump(workspace.config))
    return ["-s", str(ROOT / "Snakefile"), "--directory", str(workspace.folder), "--configfile", str(configuration)]


def start(workspace: Workspace, profile: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "snakemake", *settings(workspace)]
    command += [
        "--workflow-profile",
        str(workspace.path(f"profiles/{profile}")),
        *SMALL,
        *arguments,
        *PROFILES[profile],
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=LONG)
    assert process.returncode == 0, output
    return output


def results(workspace: Workspace) -> dict[str, str]:
    return {name: digest for name, digest in digests(workspace.folder).items() if "shards/" not in name}


def region_files(workspace: Workspace) -> list[Path]:
    return list(workspace.path("results/regions").rglob("*.json"))


def allocations(workspace: Workspace) -> int:
    return len(list(workspace.path("logs/slurm").rglob("*.log")))


def model_loads(workspace: Workspace) -> int:
    logs = workspace.path("logs/masks").rglob("*.log")
    return sum(int(number) for log in logs for number in re.findall(r"; models loaded: (\d+)$", log.read_text(), re.M))


def running_shard() -> str:
    """The number of an allocation that works on a shard."""
    command = ["squeue", "-h", "-o", "%i %o", "-t", "RUNNING", "--sort=i"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0].split()[0]


def hold_residents(allocation: str) -> None:
    """Stop those that work in an allocation, as if they were busy in native code; not those that watch them."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            there = f"SLURM_JOB_ID={allocation}".encode() in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if there and b"regionflow.run.resident" in command and b"watcher.py" not in command:
            os.kill(int(folder.name), signal.SIGSTOP)


def until(condition: Any, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def leftovers(temporary: Path, workspace: Workspace) -> list[str]:
    """Directories of runs, and processes that work in the workspace."""
    here = str(workspace.folder)
    processes = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str((path / "cwd").readlink()).startswith(here):
                processes.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended
    return [*processes, *map(str, temporary.rglob("regionflow*"))]


def nothing_is_left(temporary: Path, workspace: Workspace) -> None:
    deadline = time.monotonic() + 10
    while left := leftovers(temporary, workspace):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def is_as_local(workspace: Workspace, local: Workspace) -> None:
    assert results(workspace) == results(local)
    plain = Workspace(workspace.folder, local.config)
    assert "Nothing to be done" in plain.snakemake("-n").output


@pytest.mark.parametrize("profile", PROFILES)
def test_files_are_those_of_one_machine_and_a_shard_is_an_allocation(
    workspace: Workspace, local: Workspace, temporary: Path, profile: str
) -> None:
    finish(start(workspace, profile))
    nothing_is_left(temporary, workspace)
    assert allocations(workspace) == PHASES * SHARDS + OF_THE_SET + 1  # the table of images
    assert model_loads(workspace) == SHARDS
    is_as_local(workspace, local)
    changed = {**local.config, "superpixels": {"slic": {"compactness": 20.0}}}
    there, here = (Workspace(folder, changed).snakemake("-n").jobs() for folder in (workspace.folder, local.folder))
    assert there == here


def recorded(workspace: Workspace) -> list[Path]:
    """Region files that are a second old: Snakemake touches a file when it records its job, a moment after its end."""
    return [path for path in region_files(workspace) if path.stat().st_mtime < time.time() - 1]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("end", ["cancelled", "out of time"])
def test_a_shard_that_is_ended_keeps_what_it_has_and_is_asked_for_again(
    workspace: Workspace, local: Workspace, temporary: Path, profile: str, end: str
) -> None:
    process = start(workspace, profile)
    until(lambda: len(recorded(workspace)) >= 2)
    kept = {path: path.stat().st_mtime_ns for path in recorded(workspace)}
    allocation = running_shard()
    if end == "cancelled":
        subprocess.run(["scancel", allocation], check=True)
    else:  # a minute is the least; its shard might not need so long
        hold_residents(allocation)
        subprocess.run(["scontrol", "update", f"JobId={allocation}", "TimeLimit=1"], check=True)
    output = finish(process)
    assert re.search(r"Trying to restart job \d+", output)
    nothing_is_left(temporary, workspace)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    is_as_local(workspace, local)
    if end == "out of time":
        logs = workspace.path("logs/slurm").rglob(f"*{allocation}*.log")
        assert "DUE TO TIME LIMIT" in "".join(log.read_text() for log in logs)


def test_a_whole_node_by_one_allocation(workspace: Workspace, local: Workspace, temporary: Path) -> None:
    command = ["sbatch", "--wait", "--gpus-per-node=2", "profiles/node/node.sh", *settings(workspace)]
    done = subprocess.run(command, cwd=workspace.folder, check=False, timeout=LONG)
    assert done.returncode == 0, "".join(log.read_text() for log in workspace.folder.glob("regionflow-*.log"))
    nothing_is_left(temporary, workspace)
    assert model_loads(workspace) == 2  # a card each
    is_as_local(workspace, local)
