"""Whose turn it is: of the inner runs that share the slots of a machine one works, and the next has planned and waits.

So the start and plan of a shard (some seconds) cost no time while another one works. A run gives its turn away when the
jobs that it has left no longer fill the slots: the next one's jobs take those that fall idle, and cards do not wait.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from regionflow.run.client import make_private

_held: list[int] = []
"""The open lock file, while it is this run's turn. The kernel closes it, whatever ends the process."""


def at_once(limits: Iterable[str]) -> int:
    """How many inner runs there are at a time, where these are limited: one, if slots do not see to a limit.

    Each of two would take all that there is, of memory for example. Cores and cards are shared by slots.
    """
    return 1 if set(limits) - {"gpu"} else 2


def take(directory: str | None = None) -> None:
    """Wait until it is this run's turn; `directory` is that of the outer run's sockets."""
    directory = directory or os.environ["REGIONFLOW_RUN_DIR"]
    make_private(directory)
    lock = os.open(Path(directory) / "turn.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.append(lock)


def pass_on() -> None:
    """Give the turn to the next run, if it is this one's."""
    while _held:
        os.close(_held.pop())


def is_held() -> bool:
    """Whether it is this run's turn."""
    return bool(_held)
