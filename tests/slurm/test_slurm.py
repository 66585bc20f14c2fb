"""Both Slurm profiles on a real Slurm: files as on one machine, an allocation for each shard, recovery (test-slurm)."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import ROOT, Run, Workspace
from slurm.cluster import cluster, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=f"no Slurm here: {why_not()}")]

CONFIG = {"images": {"dir": "photos"}, "clusters": {"k": 4}, "runtime": {"shard_images": 8}}
PHOTOS = [f"{number:02d}.png" for number in range(14)]
PHASES, SHARDS, OF_THE_SET = 2, 2, 2
SMALL = ["--set-threads", "shard=2", "shard_set=2", "images=1", "--set-resources", "shard:gpu=1"]
SMALL += ["shard:mem_mb=2000", "shard_set:mem_mb=2000", "--latency-wait", "15"]
PROFILES = {
    "slurm": ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"],
    "slurm-generic": [],
}


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    with TemporaryDirectory(prefix="slurm-") as name, cluster(Path(name)):  # pytest's folders are closed to munge
        yield


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The run on one machine, to compare with."""
    workspace = Workspace(tmp_path_factory.mktemp("local"), {**CONFIG, "runtime": {"shard_images": 0}})
    save_photos(workspace.path("photos"), PHOTOS)
    workspace.snakemake()
    return workspace


@pytest.fixture
def workspace(local: Workspace, tmp_path: Path) -> Workspace:
    """The same photos, and the profiles beside them."""
    shutil.copytree(local.path("photos"), tmp_path / "run/photos")
    shutil.copytree(ROOT / "profiles", tmp_path / "run/profiles")
    return Workspace(tmp_path / "run", CONFIG)


def command(workspace: Workspace, profile: str) -> list[str]:
    configuration = workspace.path("config.yaml")
    configuration.write_text(yaml.safe_dump(workspace.config))
    start = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(workspace.folder)]
    start += ["--configfile", str(configuration), "--profile", str(workspace.path(f"profiles/{profile}"))]
    return [*start, "--workflow-profile", "none", *SMALL, *PROFILES[profile]]


def run(workspace: Workspace, profile: str) -> Run:
    done = subprocess.run(command(workspace, profile), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(done.returncode, done.stdout + done.stderr)


def results(workspace: Workspace) -> dict[str, str]:
    return {name: digest for name, digest in digests(workspace.folder).items() if "shards/" not in name}


def allocations(workspace: Workspace) -> int:
    return len(list(workspace.path("logs/slurm").rglob("*.log")))


@pytest.mark.parametrize("profile", PROFILES)
def test_files_are_those_of_one_machine_and_a_shard_is_an_allocation(
    workspace: Workspace, local: Workspace, profile: str
) -> None:
    run(workspace, profile)
    assert results(workspace) == results(local)
    assert allocations(workspace) == PHASES * SHARDS + OF_THE_SET + 1  # the table of images
    plain = Workspace(workspace.folder, local.config)
    assert "Nothing to be done" in plain.snakemake("-n").output
    plain.config = {**local.config, "superpixels": {"slic": {"compactness": 20.0}}}
    local_again = Workspace(local.folder, plain.config)
    assert plain.snakemake("-n").jobs() == local_again.snakemake("-n").jobs()


def test_a_cancelled_shard_keeps_what_it_has_and_is_asked_for_again(workspace: Workspace, local: Workspace) -> None:
    process = subprocess.Popen(
        command(workspace, "slurm-generic"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 300
    while len(list(workspace.path("results/regions").rglob("*.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    kept = {path: path.stat().st_mtime_ns for path in workspace.path("results/regions").rglob("*.json")}
    running = subprocess.run(
        ["squeue", "-h", "-o", "%i", "--name=regionflow-shard", "-t", "RUNNING"],
        capture_output=True,
        text=True,
        check=True,
    )
    subprocess.run(["scancel", running.stdout.split()[0]], check=True)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert re.search(r"Trying to restart job \d+", output)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert results(workspace) == results(local)
    assert "Nothing to be done" in Workspace(workspace.folder, local.config).snakemake("-n").output
