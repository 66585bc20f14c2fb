"""Every job leaves a line about what it wrote and what it was made from (regionflow.formats.origins)."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from regionflow.base.reads import noted
from regionflow.formats.checksums import checksum_of
from regionflow.formats.origins import Origin, append_origin, cut, root_of
from regionflow.run.job import Job

Outputs = Iterable[tuple[Path, Path]]
"""The temporary and the final name of every output."""


@contextmanager
def kept(job: Job, outputs: Outputs) -> Iterator[None]:
    """The job runs in the block; when it has ended well its line is written."""
    read: dict[str, str] = {}
    with noted(read):
        yield
    keep(job, outputs, read)


def keep(job: Job, outputs: Outputs, read: Mapping[str, str]) -> None:
    """Write the line of a job that has written its outputs under their temporary names and read these files."""
    outputs = list(outputs)
    root = next((root for _, final in outputs if (root := root_of(final))), None)
    if root is None:
        return
    try:
        made = {_below(root, final): cut(checksum_of(temporary)) for temporary, final in outputs if temporary.exists()}
        paths = {**_declared(job, root, read), **read}
        inputs = {name: cut(checksum) for path, checksum in paths.items() if (name := _below(root, Path(path)))}
        origin = Origin(made, {name: inputs[name] for name in sorted(inputs) if name not in made})
        append_origin(root, job.stage, origin)
    except OSError as error:  # a disk that is full or read-only: the job's own files are what counts
        print(f"what the job was made from could not be recorded: {error}", file=sys.stderr)


def keep_alone(stage: str, path: Path) -> None:
    """Write the line of a file that no job of a stage has made, and that is made from none."""
    if root := root_of(path):
        append_origin(root, stage, Origin({_below(root, path): cut(checksum_of(path))}, {}))


def _declared(job: Job, root: Path, read: Mapping[str, str]) -> dict[str, str]:
    """Inputs that are one file each, which a library has read by itself or a resident knew from another job."""
    paths = [path for value in job.inputs.values() for path in (value if isinstance(value, list) else [value])]
    known = {os.path.abspath(path): path for path in paths}  # noqa: PTH100
    left = {name: path for name, path in known.items() if name not in read and _below(root, path) and path.is_file()}
    return {name: checksum_of(path) for name, path in left.items()}


def _below(root: Path, path: Path) -> str:
    """The path of a file below results/; "" for one elsewhere, or one that is being written."""
    full, start = os.path.abspath(path), os.path.abspath(root) + os.sep  # noqa: PTH100
    return full.removeprefix(start) if full.startswith(start) and not path.name.startswith(".") else ""
