"""Run the real workflow in a folder of its own."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


@dataclass
class Run:
    """What a `snakemake` call gave."""

    code: int
    output: str

    def jobs(self) -> Counter[str]:
        """Jobs per rule of a dry run, without the rules that are targets and nothing else."""
        table = re.search(r"^job\s+count\n-[- ]+\n(.*?)^total", self.output, re.MULTILINE | re.DOTALL)
        rows = (line.split() for line in table[1].splitlines()) if table else ()
        return Counter({row[0]: int(row[1]) for row in rows if row and row[0] not in ("all", "parts")})

    def files(self) -> set[str]:
        """Outputs that a dry run would make."""
        lines = re.findall(r"^    output: (.*)$", self.output, re.MULTILINE)
        return {file for line in lines for file in line.split(", ")}


class Workspace:
    """A folder with a configuration in which the workflow runs."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.config = config or {}
        folder.mkdir(parents=True, exist_ok=True)

    def snakemake(self, *arguments: str, cores: int = 2, ok: bool = True) -> Run:
        """Run snakemake; with `ok` a failure is an error that shows the output."""
        configuration = self.folder / "test-config.yaml"
        configuration.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", *arguments, "-s", str(ROOT / "Snakefile")]
        command += ["--cores", str(cores), "--directory", str(self.folder), "--configfile", str(configuration)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=900)
        output = done.stdout + done.stderr
        if ok and done.returncode:
            raise AssertionError(f"snakemake failed ({done.returncode}):\n{output}")
        return Run(done.returncode, output)

    def path(self, name: str) -> Path:
        """A file in the folder."""
        return self.folder / name
