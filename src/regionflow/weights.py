"""Weight files: which ones a variant needs, and their sha256, remembered so that a file is hashed once."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from regionflow.options import Options

MEMORY = Path(".snakemake/regionflow-weights.json")


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
    known = _recall()
    key, stamp = str(path.resolve()), [size, mtime_ns]
    if key in known and known[key][:2] == stamp:
        return known[key][2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember({**known, key: [*stamp, digest]})
    return digest


def _recall() -> dict[str, list]:
    try:
        return json.loads(MEMORY.read_text())
    except (OSError, ValueError):
        return {}


def _remember(known: dict[str, list]) -> None:
    """Only a memory: where it cannot be written, the file is hashed again next time."""
    try:
        MEMORY.parent.mkdir(parents=True, exist_ok=True)
        draft = MEMORY.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(known))
        draft.replace(MEMORY)
    except OSError:
        pass
