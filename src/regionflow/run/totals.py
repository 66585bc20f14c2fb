"""What a plan in shards would make, in numbers: how many shards, and how many images of each stage."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.formats.shards import WHOLE_SET
from regionflow.run.inner import ENVIRONMENT

_LINES_OF_TABLE = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)
_NO_STAGES = {"total", "wanted"}


@dataclass(frozen=True)
class Share:
    """One job of the outer run that would run.

    images: whether its jobs are about images, or about the whole set.
    jobs: of each rule, for an image or for the set.
    exact: whether an inner run has planned them; otherwise there are at most so many.
    """

    shard: str
    images: bool
    jobs: Mapping[str, int]
    exact: bool


def planned(job: Path, arguments: Sequence[str]) -> dict[str, int]:
    """Jobs of each rule that an inner run would run.

    Args:
        job: the file of `regionflow.run.inner.write_job`.
        arguments: of its snakemake.

    Raises UserError with what it says if it cannot plan.
    """
    command = [sys.executable, "-P", "-m", "snakemake", "--dry-run", "--quiet", "rules", *arguments]
    done = subprocess.run(
        command, env={**os.environ, ENVIRONMENT: str(job)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"a shard cannot be planned:\n{done.stdout}{done.stderr}")
    return counts(done.stdout + done.stderr)


def counts(console: str) -> dict[str, int]:
    """Jobs of each rule in the table that snakemake begins a dry run with; none where there is nothing to do."""
    table = console.partition("Job stats:\n")[2].partition("\ntotal")[0]
    return {rule: int(number) for rule, number in _LINES_OF_TABLE.findall(table) if rule not in _NO_STAGES}


def told(shares: Iterable[Share], shards: int) -> str:
    """Lines for the log: shards of all there are, and each rule's number of images, or of jobs on the set."""
    shares = list(shares)
    images, whole_set, inexact = Counter[str](), Counter[str](), set[str]()
    for share in shares:
        (images if share.images else whole_set).update(share.jobs)
        inexact |= set() if share.exact else set(share.jobs)
    at_work = {share.shard for share in shares} - {WHOLE_SET}
    width = max((len(rule) for rule in [*images, *whole_set]), default=0)
    lines = [f"{len(at_work)} of {shards} shard(s) would be looked after; to be made:"]
    for rule, number in [*images.items(), *whole_set.items()]:
        what = f"{number} image(s)" if rule in images else "the whole set" + f", {number} times" * (number > 1)
        lines.append(f"{rule:{width}}  {'at most ' * (rule in inexact)}{what}")
    return "\n  ".join(lines)
