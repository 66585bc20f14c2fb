"""The jobs that the workflow would run, taken from a dry run: exactly what the client would be given."""

import json
import re
import shlex
from typing import Any

COMMAND = re.compile(r"\bexec .*client\.py.*$", re.MULTILINE)


def jobs_in(listing: str) -> list[dict[str, Any]]:
    """The jobs in the output of `snakemake -n -p`, in an order in which they can run."""
    return [json.loads(shlex.split(command)[-1]) for command in COMMAND.findall(listing)]
