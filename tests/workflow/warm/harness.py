"""Start real snakemake runs of the fake workflow and see what they leave behind."""

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Return when `what()` is true; fail after that many seconds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.02)


def _in_terminal() -> None:
    """In the child: take the terminal, and listen to its signals even where the test run (nohup, &) ignores them."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class FakeWorkflow:
    """The fake workflow in an empty directory; every process of its runs carries a mark in its environment."""

    def __init__(self, directory: Path, cards: str, executor: str = "regionflow") -> None:
        self.directory = directory
        self.profile = [
            "--workflow-profile",
            "none",
            "--scheduler",
            "regionflow" if executor == "regionflow" else "greedy",
            "--rerun-incomplete",
            "--show-failed-logs",
            "--executor",
            executor,
        ]
        self.mark = f"REGIONFLOW_TEST={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.environ = {
            **os.environ,
            name: value,
            "CUDA_VISIBLE_DEVICES": cards,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(SOURCE),
            "XDG_CACHE_HOME": str(directory / "cache"),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--snakefile", str(HERE / "Snakefile"), *self.profile, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run to the end."""
        return subprocess.run(
            self.command(*arguments), cwd=self.directory, env=self.environ, capture_output=True, text=True, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start in the background, in a process group of its own."""
        with (self.directory / "console.txt").open("wb") as console:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def start_in_terminal(self, *arguments: str) -> tuple[subprocess.Popen, int]:
        """Start as the foreground process of a new terminal. Returns the process and the terminal's keyboard end."""
        keyboard, screen = pty.openpty()
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environ,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=_in_terminal,  # noqa: PLW1509 - tests have one thread
        )
        os.close(screen)
        return process, keyboard

    def processes(self, of: str = "") -> list[int]:
        """Living processes of our runs whose command line has `of` in it."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    marked = self.mark.encode() in (entry / "environ").read_bytes()  # empty for a zombie
                    if marked and of in (entry / "cmdline").read_text():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def loads(self) -> list[tuple[str, str]]:
        """(slot, cards it saw) of each model load, in slot order."""
        lines = (self.directory / "loads.txt").read_text().splitlines()
        return sorted((line.split(" ")[0], line.split(" ")[2]) for line in lines)

    def outputs(self) -> dict[str, str]:
        """Name and content of everything in the output directory, hidden files included."""
        return {path.name: path.read_text() for path in (self.directory / "out").glob("*")}

    def unlock(self) -> None:
        """What `snakemake --unlock` does, without two seconds for its start."""
        shutil.rmtree(self.directory / ".snakemake" / "locks", ignore_errors=True)

    def clear(self) -> None:
        """Remove what a run has made."""
        for name in ("out", "logs", ".snakemake"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        (self.directory / "loads.txt").unlink(missing_ok=True)
