"""How far downloads are: lines in a job's log, and notes in the run's folder, of which the console makes bars."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from regionflow.base.files import write_json
from regionflow.weights.download import Progress, told_in_steps

SECONDS = 0.3
"""Between two notes."""
STALE = 120.0
"""Seconds after which a note that has not changed is not of a download any more: its process was killed."""


@dataclass(frozen=True)
class Download:
    """A download under way: the bytes that are there, and those of the whole file where the server says so."""

    name: str
    there: int
    whole: int | None


@contextmanager
def told(name: str, tell: Callable[[str], None] = print) -> Iterator[Progress]:
    """A progress that tells lines, and in a run leaves notes until the block ends."""
    run, lines, last = os.environ.get("REGIONFLOW_RUN_DIR"), told_in_steps(tell), 0.0
    note = None if run is None else _folder(Path(run)) / f"{blake2b(name.encode(), digest_size=16).hexdigest()}.json"

    def progress(there: int, whole: int | None) -> None:
        nonlocal last
        lines(there, whole)
        now = time.monotonic()
        if note is not None and now - last > SECONDS:
            last = now
            write_json(note, asdict(Download(name, there, whole)))

    try:
        yield progress
    finally:
        if note is not None:
            note.unlink(missing_ok=True)


def under_way(run: Path | None, now: float) -> list[Download]:
    """The downloads of a run, by name; `now` in seconds since 1970."""
    downloads = []
    for note in () if run is None else _folder(run).glob("*.json"):
        with suppress(OSError, ValueError, TypeError):  # it ends just now
            if now - note.stat().st_mtime < STALE:
                downloads.append(Download(**json.loads(note.read_text(encoding="utf-8"))))
    return sorted(downloads, key=lambda download: download.name)


def _folder(run: Path) -> Path:
    return run / "downloads"
