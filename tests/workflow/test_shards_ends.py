"""However a run in shards ends: nothing is left of it, and the next one makes what is missing, to the same files."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import ROOT, Workspace
from workflow.warm.harness import wait_for

pytestmark = pytest.mark.slow
PHOTOS = [f"{number:02d}.png" for number in range(8)]
CONFIG = {"images": {"dir": "photos"}, "clusters": {"k": 4}, "runtime": {"shard_images": 4}}


def start(workspace: Workspace) -> subprocess.Popen[bytes]:
    """A run in a process group of its own; its console goes to out.txt."""
    workspace.path("config.yaml").write_text(yaml.safe_dump(workspace.config))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--directory", str(workspace.folder), "--configfile", str(workspace.path("config.yaml"))]
    with workspace.path("out.txt").open("wb") as console:
        return subprocess.Popen(command, stdout=console, stderr=console, start_new_session=True)


def processes(workspace: Workspace, of: str = "") -> list[int]:
    """Those that work in the folder and have `of` in their command."""
    here = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").readlink() == workspace.folder and of in (path / "cmdline").read_text():
                here.append(int(path.name))
        except OSError:
            continue  # it has just ended
    return here


def press_ctrl_c(workspace: Workspace, outer: int) -> None:
    os.killpg(outer, signal.SIGINT)


def kill_outer(workspace: Workspace, outer: int) -> None:
    os.kill(outer, signal.SIGKILL)


def kill_inner(workspace: Workspace, outer: int) -> None:
    os.kill(processes(workspace, of="regionflow.run.inner")[0], signal.SIGKILL)


def results(workspace: Workspace) -> dict[str, str]:
    return {name: digest for name, digest in digests(workspace.folder).items() if "shards/" not in name}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("finished"), CONFIG)
    save_photos(workspace.path("photos"), PHOTOS)
    workspace.snakemake()
    return workspace


@pytest.mark.parametrize("end", [press_ctrl_c, kill_outer, kill_inner])
def test_nothing_is_left_and_the_next_run_makes_the_rest(
    finished: Workspace, tmp_path: Path, end: Callable[[Workspace, int], None]
) -> None:
    workspace = Workspace(tmp_path / "run", CONFIG)
    shutil.copytree(finished.path("photos"), workspace.path("photos"))
    process = start(workspace)
    wait_for(lambda: len(list(workspace.path("results/masks").rglob("*.json"))) >= 2, seconds=300)
    end(workspace, process.pid)
    assert process.wait(300) != 0
    wait_for(lambda: not processes(workspace), seconds=60)  # seconds, on a machine that is idle
    if end is press_ctrl_c:
        console = workspace.path("out.txt").read_text()
        assert "Terminating processes on user request" in console
        assert "Traceback" not in console and "Error in rule shard" not in console
    workspace.snakemake("--unlock")
    workspace.snakemake()
    assert results(workspace) == results(finished)
    assert "Nothing to be done" in workspace.snakemake("-n").output
