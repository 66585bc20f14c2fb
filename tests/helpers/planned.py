"""The jobs that the workflow would run, taken from a dry run: exactly what the client would be given."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.workflow import ROOT
from regionflow.run import stage
from regionflow.run.job import Job, ModelCache

SCRIPTS = ROOT / "workflow/scripts"
COMMAND = re.compile(r"\bexec .*client\.py.*$", re.MULTILINE)


def jobs_in(listing: str) -> list[dict[str, Any]]:
    """The jobs in the output of `snakemake -n -p`, in an order in which they can run."""
    return [json.loads(shlex.split(command)[-1]) for command in COMMAND.findall(listing)]


@contextmanager
def begun(description: Mapping[str, Any], models: ModelCache) -> Iterator[tuple[Job, list[tuple[Path, Path]]]]:
    """A job to be run in the block, and the temporary and final names of its outputs, which are moved into place at the
    end, as a client does."""
    job, outputs = stage.read(json.dumps(description), "test", "cpu", models)
    for _, final in outputs:
        final.parent.mkdir(parents=True, exist_ok=True)
    yield job, outputs
    for temporary, final in outputs:
        temporary.replace(final)
