"""Weight files: which one a variant names, and its sha256."""

import hashlib
from functools import cache
from pathlib import Path

from regionflow.memory import remembered
from regionflow.options import Options


def weights_path(options: Options) -> Path | None:
    """The local weight file that a segmenter or extractor names, if it names one."""
    name = getattr(options, "checkpoint", None)
    return Path(name) if name else None


def identity(options: Options) -> str | None:
    """sha256 of the weight file of a segmenter or extractor; None without weights or before the file is there."""
    path = weights_path(options)
    return file_sha256(path) if path is not None and path.is_file() else None


def file_sha256(path: Path) -> str:
    """sha256 of a file; one that has not changed in size or time since is not read again."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    def find() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return remembered(f"sha256 of {path.resolve()}", [size, mtime_ns], find)
