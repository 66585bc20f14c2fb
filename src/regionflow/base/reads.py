"""Which files were read, and with what content: readers note it, and whoever runs a job or checks files listens.

A reader compares a checksum anyway, so that noting it costs next to nothing.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

_listeners: list[tuple[MutableMapping[str, str], int | None]] = []
"""Where checksums go, of all threads or of one."""


@contextmanager
def noted(into: MutableMapping[str, str], of_thread: bool = False) -> Iterator[None]:
    """Checksums, by absolute path, of the files that are read while the block runs; by this thread alone, if asked."""
    listener = (into, threading.get_ident() if of_thread else None)
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners[:] = [other for other in _listeners if other is not listener]


def note(path: Path, checksum: Callable[[], str]) -> None:
    """A file has been read; its checksum is asked for only where somebody listens."""
    if _listeners:
        known, name = checksum(), os.path.abspath(path)  # noqa: PTH100  # links stay as they are
        for into, thread in list(_listeners):
            if thread in (None, threading.get_ident()):
                into[name] = known


def note_bytes(path: Path, data: bytes) -> None:
    """A file has been read, and this was in it."""
    note(path, lambda: hashlib.sha256(data).hexdigest())
