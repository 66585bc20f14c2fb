"""logs/origins/<stage>-<host>.jsonl: what every job wrote and what it was made from, a line of JSON per job.

{"outputs": {path: checksum}, "inputs": {path: checksum}}, paths below results/, checksums of `formats.checksums`
cut to 32 digits; the process that ran the job appends the line. Of a file that was made again the last line counts, of
every host: there are no times in it, since clocks differ. Not in results/, so that equal runs leave equal files there,
and in one line per job, not in a file beside each, since a set of 100,000 images has a million of them. Inputs are what
the job has read, not what its rule declares.
"""

import fcntl
import json
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

RESULTS, FOLDER = "results", Path("logs/origins")
DIGITS = 32


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
    with path.open("a+b", buffering=0) as file:
        with suppress(OSError):  # a file system without locks: short lines are whole there too
            fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":  # somebody was killed in the middle of a line
            line = "\n" + line
        data = memoryview(line.encode() + b"\n")
        while data:
            data = data[file.write(data) :]


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
