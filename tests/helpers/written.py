"""Which files this process opens to write, by Python's own audit of opened files; native libraries are not seen."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_listeners: list[set[Path]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listeners and isinstance(arguments[0], str | Path):
        path, mode, flags = arguments
        if set(mode or "") & {"w", "a", "x", "+"} or (flags or 0) & (os.O_WRONLY | os.O_RDWR):
            _listeners[-1].add(Path(path).absolute())


sys.addaudithook(_note)  # for good: it does nothing while nobody listens


@contextmanager
def written() -> Iterator[set[Path]]:
    """The files that are opened to be written while the block runs."""
    _listeners.append(set())
    try:
        yield _listeners[-1]
    finally:
        _listeners.pop()
