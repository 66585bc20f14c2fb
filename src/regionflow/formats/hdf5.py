"""HDF5 files of this project: opened with one error type, written whole or not at all, with a checksum.

The first 512 bytes, HDF5's user block, hold the sha256 of all that follows. It is compared before the HDF5 library sees
a byte, since a damaged file can make native code crash or hang. Other programs skip the block: HDF5 1.10 and its tools,
PyTables and h5py read the files as they are. Strings are UTF-8 of fixed length, which PyTables can read.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from regionflow.base.errors import BadFile
from regionflow.base.files import sha256_of, whole
from regionflow.base.options import canonical_json
from regionflow.base.reads import note
from regionflow.formats.checked import NO_CHECKSUM

USER_BLOCK = 512
_MARK = b"regionflow sha256 "
# What HDF5 1.10 and older can read.
_LIBRARY_VERSIONS = ("earliest", "v110")
# Files are renamed into place once they are whole, so a lock is a courtesy: not needed where the file system has none.
_LOCKING = "best-effort"


@contextmanager
def open_hdf5(path: Path, what: str, foreign: bool = False) -> Iterator[h5py.File]:
    """Open a file to read; `what` is a noun with its article. A `foreign` file may come without a checksum.

    Raises BadFile, naming the file, if it cannot be opened, does not have its checksum, or if the block misses
    something in it (OSError, KeyError, ValueError, TypeError).
    """
    try:
        check_hdf5(path, what, foreign)
        with h5py.File(path, "r", locking=_LOCKING) as file:
            yield file
    except BadFile:
        raise
    except OSError as error:
        # HDF5 gives the number of an error of the system, and none for a fault in the file.
        if error.errno is None:
            raise BadFile.damaged(path, what, error) from error
        raise BadFile.not_read(path, error) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadFile.damaged(path, what, error) from error


@contextmanager
def write_hdf5(path: Path, provenance: Mapping[str, Any]) -> Iterator[h5py.File]:
    """A new file with the provenance (what made it, as canonical JSON) among its attributes, closed at the end."""
    with whole(path) as part:
        with h5py.File(part, "w", libver=_LIBRARY_VERSIONS, userblock_size=USER_BLOCK, locking=_LOCKING) as file:
            yield file
            write_attribute(file, "provenance", canonical_json(dict(provenance)))
        seal(part)


def seal(path: Path) -> None:
    """Put the checksum of what a file holds into its user block."""
    with path.open("r+b") as raw:
        raw.seek(USER_BLOCK)
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
        raw.seek(0)
        raw.write(_user_block(digest))


def check_hdf5(path: Path, what: str, foreign: bool = False) -> str:
    """The checksum of a file, if its content has it. A file that has not changed is read once per process.

    Raises BadFile, naming the file.
    """
    try:
        with path.open("rb") as file:
            # A program that writes to the file may be half done: it is locked then, not damaged.
            with _where_there_are_locks():
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            status = path.stat()
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            digest, problem = _digest(path, stamp)
    except OSError as error:
        raise BadFile.not_read(path, error) from error
    if problem and not (foreign and problem == NO_CHECKSUM):
        raise BadFile.damaged(path, what, problem)
    note(path, lambda: stored_checksum(path) or sha256_of(path))
    return digest


def stored_checksum(path: Path) -> str | None:
    """The checksum in the head of a file, not compared with the rest; None if it has none."""
    with path.open("rb") as file:
        block = file.read(USER_BLOCK)
    return block.removeprefix(_MARK)[:64].decode("ascii", "replace") if block.startswith(_MARK) else None


@contextmanager
def _where_there_are_locks() -> Iterator[None]:
    """Ignores a failure to lock, unless another program holds the lock: some file systems have no locks."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        return


@lru_cache(maxsize=1024)
def _digest(path: Path, stamp: tuple[int, ...]) -> tuple[str, str]:
    """The checksum of the content, and what is wrong with it; `stamp` changes with the file."""
    with path.open("rb") as file:
        block = file.read(USER_BLOCK)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not block.startswith(_MARK):
        return digest, "it is empty" if not block else NO_CHECKSUM
    return digest, "" if block == _user_block(digest) else "its content does not have its checksum"


def _user_block(digest: str) -> bytes:
    return (_MARK + digest.encode("ascii") + b"\n").ljust(USER_BLOCK, b"\0")


def write_strings(file: h5py.File, name: str, strings: Sequence[str]) -> None:
    """A dataset of strings [N], UTF-8 of fixed length; `file[name].asstr()[:]` reads it."""
    encoded = [text.encode("utf-8") for text in strings]
    dtype = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    file.create_dataset(name, data=np.array(encoded, dtype=dtype), dtype=dtype)


def write_attribute(file: h5py.File, name: str, text: str) -> None:
    """A string among the attributes, UTF-8 of fixed length."""
    encoded = text.encode("utf-8")
    file.attrs.create(name, np.bytes_(encoded), dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))


def read_attribute(file: h5py.File, name: str) -> str | None:
    """A string among the attributes, or None."""
    value = file.attrs.get(name)
    return value.decode("utf-8") if isinstance(value, bytes) else value


def read_provenance(path: Path) -> dict[str, Any]:
    """What made a file; empty if it does not say."""
    with open_hdf5(path, "an HDF5 file", foreign=True) as file:
        return json.loads(read_attribute(file, "provenance") or "{}")
