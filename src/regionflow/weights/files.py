"""Weight files: where one can be had, and its sha256."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from regionflow.base.files import sha256_of
from regionflow.base.options import Kind
from regionflow.base.remember import remembered
from regionflow.weights.download import reachable
from regionflow.weights.published import PUBLISHED, Checkpoint


def downloadable(path: Path) -> Checkpoint | None:
    """The published checkpoint that a missing file will be, if it is one whose sha256 is known.

    Without that the options of the first run would name other weights than those of the next.
    """
    checkpoint = PUBLISHED.get(path.name) if path.parent == Path("weights") else None
    return checkpoint if checkpoint is not None and checkpoint.sha256 is not None else None


def missing_weights(options: Kind) -> Iterator[str]:
    """Why a kind's weight file cannot be had, as "key: reason"; nothing if it is there or will be downloaded."""
    path = options.weights()
    if path is None or path.is_file() or downloadable(path):
        return
    if path.name in PUBLISHED:
        advice = f"get it first with `snakemake --cores 1 weights/{path.name}`, since its sha256 is not known"
        yield f"checkpoint: {path} is not there; {advice} beforehand"
    else:
        yield f"checkpoint: {path} is not there; put the file there or change the key"


def unreachable_weights(options: Kind) -> Iterator[str]:
    """The same for a file that would be downloaded, if its address cannot be reached from here."""
    path = options.weights()
    if path is None or path.is_file():
        return
    checkpoint = downloadable(path)
    if checkpoint is not None and not reachable(checkpoint.url):
        yield (
            f"checkpoint: {path} is not there, and {urlsplit(checkpoint.url).hostname} cannot be reached to download "
            f"it: fetch {checkpoint.url} on another machine and put it to {path.absolute()} "
            f"(sha256 {checkpoint.sha256})"
        )


def missing_here(options: Kind) -> Iterator[str]:
    """Why a kind's weight file is not there for a process that downloads nothing, as "key: reason"."""
    path = options.weights()
    if path is None or path.is_file():
        return
    if downloadable(path):
        yield f"checkpoint: {path} is not there; get it with `snakemake --cores 1 {path}`"
    else:
        yield from missing_weights(options)


def identity(options: Kind) -> str | None:
    """sha256 of the weight file of a kind, or what it will be once downloaded; None without one."""
    path = options.weights()
    if path is None:
        return None
    if path.is_file():
        return file_sha256(path)
    checkpoint = downloadable(path)
    return checkpoint.sha256 if checkpoint else None


def file_sha256(path: Path) -> str:
    """sha256 of a file; one that has not changed in size or time since is not read again."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return remembered(f"sha256 of {path.resolve()}", [size, mtime_ns], lambda: sha256_of(path))
