"""Rule weights in a terminal: a bar while a file comes; Ctrl-C leaves the part, and the next run goes on there."""

import hashlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from helpers.hub import hub
from helpers.scenes import save_photos
from helpers.workflow import ROOT

CONTENT = os.urandom(1 << 20) * 6
NAME = "mobile_sam.pt"
# Read by every Python that starts: the published file lies at our server.
PATCH = """
from dataclasses import replace
from regionflow.weights import published
checkpoint = replace(published.PUBLISHED["{name}"], url="{url}", sha256="{sha256}")
published.PUBLISHED["{name}"] = checkpoint
"""


class Terminal:
    """snakemake in a terminal of 120 columns, and what it has shown so far."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1"]
        command += [f"weights/{NAME}", "--configfile", "c.yaml"]
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, pattern: str, seconds: float = 60.0) -> None:
        """Read until the pattern is shown."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            assert time.monotonic() < end and self.process.poll() is None, f"no {pattern!r} in:\n{self.shown}"
            self._read(0.5)

    def end(self, seconds: float = 60.0) -> int:
        """Read until the process has ended, and return its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, self.shown
            self._read(0.2)
        self._read(0.2)
        os.close(self._master)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            try:
                self.shown += os.read(self._master, 1 << 16).decode(errors="replace")
            except OSError:  # the other side has closed it
                return


@pytest.mark.slow
def test_a_download_shows_a_bar_and_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    folder, patches = tmp_path / "run", tmp_path / "patches"
    save_photos(folder / "photos", ["a.png"])
    (folder / "c.yaml").write_text(yaml.safe_dump({"images": {"dir": "photos"}}))
    patches.mkdir()
    with hub({f"owner/model/{NAME}": CONTENT}) as served:
        url = f"{served.address}/owner/model/resolve/main/{NAME}"
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        (patches / "sitecustomize.py").write_text(PATCH.format(name=NAME, url=url, sha256=sha256))
        environment = {**os.environ, "PYTHONPATH": f"{patches}{os.pathsep}{ROOT / 'src'}", "TERM": "xterm"}
        environment |= {"COLUMNS": "120", "OMP_NUM_THREADS": "1"}
        served.seconds_per_chunk = 0.2
        first = Terminal(folder, environment)
        first.wait_for(rf"{NAME}.*/6\.3 MB.*B/s")
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.end() != 0
        (part,) = (folder / "weights").iterdir()
        size = part.stat().st_size
        assert 0 < size < len(CONTENT) and part.read_bytes() == CONTENT[:size]
        served.seconds_per_chunk = 0.0
        assert Terminal(folder, environment).end() == 0
        assert [path.name for path in (folder / "weights").iterdir()] == [NAME]
        assert (folder / "weights" / NAME).read_bytes() == CONTENT
        assert served.asked[-1][2] == f"bytes={size}-"
