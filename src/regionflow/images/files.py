"""Opening what lies at an image's path: only regular files, and what else it is by name."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from regionflow.images.errors import UnreadableImage

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def why_not_a_file(path: Path) -> str:
    """Why a path is no readable regular file, links followed; empty if it is one. Nothing is opened."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to a file that is not there: {os.readlink(path)}" if path.is_symlink() else "the file is gone"  # noqa: PTH115
    except OSError as error:
        return _said(error)
    if not stat.S_ISREG(mode):
        return f"{_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file"
    return ""


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading. Never waits for the other end of a pipe, never opens a device.

    Raises UnreadableImage for anything else, with what it is.
    """
    if reason := why_not_a_file(path):
        raise UnreadableImage(reason)
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except FileNotFoundError:
        raise UnreadableImage("the file is gone") from None
    except OSError as error:
        raise UnreadableImage(_said(error)) from error
    # What lies there may have changed since it was looked at.
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UnreadableImage("not a regular file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    """Open without waiting for the other end of a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _said(error: OSError) -> str:
    """The system's reason in words, without the path, which stands beside it."""
    return f"cannot be opened: {error.strerror or error}"
