"""What a run leaves in the temporary folder if everything of it is killed at once, and how the next start clears it.

Whatever else ends a run, the watchers of its residents clear up (regionflow.run.watcher).
"""

import atexit
import os
import re
import secrets
import stat
from pathlib import Path

from regionflow.run.stage import TEMPORARY
from regionflow.run.watcher import alive, remove, remove_directory, start_time

_NAME = re.compile(r"regionflow-(?P<namespace>[0-9a-f]+)-(?P<run>\d+-\d+)-[0-9a-f]{12}")
RECORD = ".job"
"""Suffix of the file in which a resident says which outputs its job is writing."""


def new_directory(base: Path) -> Path:
    """A name for the directory of the run whose main process this is, which nobody can guess."""
    process = os.getpid()
    return base / f"regionflow-{_namespace()}-{process}-{start_time(process)}-{secrets.token_hex(6)}"


def record(path: Path, outputs: list[Path]) -> None:
    """Say what this process is going to write, for the case that everything is killed at once."""
    path.write_bytes(os.fsencode("\0".join(map(str, outputs))))


def clear(base: Path) -> list[Path]:
    """Clear up after runs of ours in that temporary folder that are over, and return their directories.

    The temporary outputs that their residents recorded are removed.
    """
    cleared = []
    for path in base.glob(f"regionflow-{_namespace()}-*"):
        name = _NAME.fullmatch(path.name)
        if name is None or alive(name["run"]) or not _is_ours(path):
            continue
        for file in path.glob(f"*{RECORD}"):
            outputs = map(os.fsdecode, file.read_bytes().split(b"\0"))
            remove([output for output in outputs if TEMPORARY.search(output)])
        remove_directory(str(path))
        cleared.append(path)
    return cleared


def remove_at_exit(directory: Path) -> None:
    """Remove the directory of this run when this process ends by itself: cold jobs leave nobody who would."""
    process = os.getpid()
    atexit.register(lambda: remove_directory(str(directory)) if os.getpid() == process else None)


def _namespace() -> str:
    """Which numbering of processes ours is: a container that shares the temporary folder has another."""
    try:
        return f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return "0"


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
