"""Files: the hash by which they are known, and how they are written: whole or not at all."""

import csv
import errno
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regionflow.base.errors import UserError

PART = ".part"
"""What the name of a file ends in while it is being written; regionflow.run.client knows it as well."""


def sha256_of(path: Path) -> str:
    """sha256 of a file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> list[int]:
    """What tells whether a file is the one that was read before, without reading it: size, times and number.

    The time of the last change of anything cannot be set: `cp -p`, `rsync -t` and unzip keep that of content alone, so
    that another file of the same size may have it. Raises OSError for a file that is not there.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def sha256_of_text(text: str) -> str:
    """sha256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to: it gets that name when the block ends, and is removed if the block fails.

    Its folder is made. Raises UserError, naming the file, where the disk or the quota is full or a limit of the size of
    files is reached.
    """
    part = path.with_name(path.name + PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except (OSError, RuntimeError) as error:
        if _no_room(error):
            size = part.stat().st_size if part.exists() else 0
            raise UserError(
                f"{path}: no room on the disk (or quota) after {size} bytes; make room and run again"
            ).of_the_moment() from error
        raise
    finally:
        part.unlink(missing_ok=True)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _no_room(error: OSError | RuntimeError) -> bool:
    """Whether it is about room. HDF5 tells the number of the system's error in its text alone, or in an earlier one."""
    known = [error, error.__context__]
    return any(getattr(e, "errno", None) in _NO_ROOM or _HDF5_NO_ROOM.search(str(e)) for e in known)


_HDF5_NO_ROOM = re.compile(rf"errno = ({'|'.join(map(str, _NO_ROOM))}),")


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as one line of JSON. Raises ValueError for what JSON cannot hold (NaN, infinity)."""
    write_text(path, json.dumps(value, allow_nan=False) + "\n")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a CSV file, or with a tab as delimiter a TSV file; rows are taken one by one."""
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
