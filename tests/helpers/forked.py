"""Dry runs in a forked child: Snakemake is imported once for all of them, and patches made by a test hold in them."""

import os
import sys
import tempfile
from pathlib import Path

from snakemake.cli import get_argument_parser, main
from snakemake.executors.touch import Executor

from helpers.workflow import ROOT, Run

get_argument_parser()  # imports the plugins
Executor.SLEEPING_TIME = 0  # --touch would wait a tenth of a second after each job


def snakemake(folder: Path, configuration: Path, *arguments: str, cores: int = 2) -> Run:
    """Run `snakemake` in the folder with that configuration file, in a child of this process."""
    command = [*arguments, "-s", str(ROOT / "Snakefile"), "--workflow-profile", "none"]
    command += ["--cores", str(cores), "--directory", str(folder), "--configfile", str(configuration)]
    with tempfile.TemporaryFile() as console:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.dup2(console.fileno(), 1)
                os.dup2(console.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                main(command)
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        console.seek(0)
        return Run(os.waitstatus_to_exitcode(status), console.read().decode())
