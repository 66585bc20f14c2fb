"""logs/origins/<stage>-<host>.jsonl: what every job wrote and what it was made from, a line of JSON per job.

{"outputs": {path: checksum}, "inputs": {path: checksum}}, paths below results/, checksums of `formats.checksums`
cut to 32 digits; the process that ran the job appends the line. Of a file that was made again the last line counts, of
every host: there are no times in it, since clocks differ. Not in results/, so that equal runs leave equal files there,
and in one line per job, not in a file beside each, since a set of 100,000 images has a million of them. Inputs are what
the job has read, not what its rule declares.

Files grow with every job; `compact` keeps of them what still says something about a file that is there. One that was
compacted begins with {"kept": bytes}, so that the next time is when it has doubled.
"""

import fcntl
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.base.files import whole

RESULTS, FOLDER = "results", Path("logs/origins")
DIGITS = 32
GROWTH = 1 << 20
"""Bytes beyond twice what was kept last from which it is worth looking through a file again."""


@dataclass(frozen=True)
class Origin:
    """Checksums of what one job wrote and of what it read there, by their paths below results/."""

    outputs: Mapping[str, str]
    inputs: Mapping[str, str]


def root_of(path: Path) -> Path | None:
    """The results/ that a file lies in, None for one elsewhere."""
    parts = path.parts
    return Path(*parts[: parts.index(RESULTS) + 1]) if RESULTS in parts[:-1] else None


def append_origin(root: Path, stage: str, origin: Origin) -> None:
    """Append one line to the file of a stage on this machine."""
    host = re.sub(r"[^\w.]", "_", platform.node()) or "host"
    path = root.parent / FOLDER / f"{stage}-{host}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"outputs": dict(origin.outputs), "inputs": dict(origin.inputs)}, separators=(",", ":"))
    with _locked(path) as (file, _):
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":  # somebody was killed in the middle of a line
            line = "\n" + line
        data = memoryview(line.encode() + b"\n")
        while data:
            data = data[file.write(data) :]


@contextmanager
def _locked(path: Path) -> Iterator[tuple[FileIO, bool]]:
    """A file to append to, and whether it is locked for the block, which it is where the file system knows locks."""
    while True:
        with path.open("a+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                locked = True
            except OSError:  # short lines are whole there too
                locked = False
            if locked and not _is_at(file, path):  # it was compacted while this waited
                continue
            yield file, locked
            return


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether a path leads to this open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def compact(root: Path, growth: int = GROWTH) -> int:
    """Drop the lines that say nothing about the files below `root` any more, where files have grown enough since the
    last time; returns how many bytes were dropped.

    Of a file that was made again the last line counts, and of one that has gone none. To be called when nobody makes
    files: what has a line and is not yet in its place would lose it. A kill leaves a file as it was or as it should be.
    """
    dropped = 0
    for path in sorted((root.parent / FOLDER).glob("*.jsonl")):
        with suppress(OSError, UserError):  # a disk that is full or read-only: nothing is lost
            if path.stat().st_size > 2 * _kept(path) + growth:
                with _locked(path) as (file, locked):
                    dropped += _write_needed(file, path, root) if locked else 0
    return dropped


def _kept(path: Path) -> int:
    """The bytes that were left when the file was compacted last, 0 if it never was."""
    with path.open("rb") as file, suppress(ValueError, TypeError, KeyError):
        return int(json.loads(file.readline(256))["kept"])
    return 0


def _write_needed(file: FileIO, path: Path, root: Path) -> int:
    """Put a file in the place of `path` that has the lines of `file` which still count; returns what it saves."""
    last: dict[str, tuple[int, int]] = {}  # of each output, where its line begins and how long it is
    at = file.seek(0)
    with os.fdopen(os.dup(file.fileno()), "rb") as lines:
        for line in lines:
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                last.update(dict.fromkeys(json.loads(line)["outputs"], (at, len(line))))
            at += len(line)
    needed = sorted({place for name, place in last.items() if os.path.lexists(root / name)})
    with whole(path) as part, part.open("wb") as target:
        target.write(b'{"kept":%d}\n' % sum(length for _, length in needed))
        for start, length in needed:
            target.write(os.pread(file.fileno(), length, start).rstrip(b"\n") + b"\n")
    return at - path.stat().st_size


@dataclass
class Origins:
    """The last origin of every file below a results/, of each host that made it."""

    _lines: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def of(self, path: str) -> list[Origin]:
        """Of one file; several where several hosts have made it, none where no job of ours is known to have."""
        return [Origin(**json.loads(line)) for line in self._lines.get(path, {}).values()]

    def add(self, host: str, line: bytes) -> None:
        """One line of a host's file. One that cannot be read is left out: a machine has died in the middle of it."""
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            for output in json.loads(line)["outputs"]:
                self._lines.setdefault(output, {})[host] = line


def read_origins(root: Path) -> Origins:
    """What is known of the files below `root`, which is called results and has a folder logs beside it."""
    origins = Origins()
    for path in sorted((root.parent / FOLDER).glob("*.jsonl")):
        host = path.stem.rpartition("-")[2]
        with path.open("rb") as file:
            for line in file:
                origins.add(host, line)
    return origins


def cut(checksum: str) -> str:
    """A checksum as it stands in a line."""
    return checksum[:DIGITS]
