"""Weight files: where one can be had, and its sha256."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from regionflow.base.files import sha256_of, stamp_of
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
    published = PUBLISHED.get(path.name)
    if published is None:
        yield f"checkpoint: {path} is not there; put the file there or change the key"
    else:
        yield (
            f"checkpoint: {path} is not there; get it first with `snakemake --cores 1 weights/{path.name}`, since its "
            f"sha256 is not known beforehand, or fetch {published.url} on another machine and put it there"
        )


def unreachable_weights(options: Kind) -> Iterator[str]:
    """Why a kind's weight file that would be downloaded cannot be reached from here, as "key: reason"."""
    path = options.weights()
    checkpoint = downloadable(path) if path is not None and not path.is_file() else None
    if path is not None and checkpoint is not None and (problem := unreachable(path, checkpoint)):
        yield f"checkpoint: {problem}"


def unreachable(path: Path, checkpoint: Checkpoint) -> str | None:
    """Why a published checkpoint that is not at `path` cannot be reached from here; None if it can."""
    if reachable(checkpoint.url):
        return None
    known = "" if checkpoint.sha256 is None else f" (sha256 {checkpoint.sha256})"
    return (
        f"{path} is not there, and {urlsplit(checkpoint.url).hostname} cannot be reached to download it: fetch "
        f"{checkpoint.url} on another machine and put it to {path.absolute()}{known}"
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
    """sha256 of a file; one that has not changed in size, times or number since is not read again."""
    return _sha256(path, tuple(stamp_of(path)))


@cache
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:
    return str(remembered(f"sha256 of {path.resolve()}", list(stamp), lambda: sha256_of(path)))
