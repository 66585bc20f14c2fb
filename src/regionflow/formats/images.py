"""results/images.tsv: every image of the set with its size and hash, or the reason why it cannot be read."""

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from regionflow.base.errors import BadFile
from regionflow.base.files import write_table
from regionflow.formats.checksums import note_file

TRAIN = "train"
"""The split to whose images things are fitted, where the set has one of that name."""

Status = Literal["ok", "unreadable"]
NUMBERS = ("height", "width", "bytes", "modified")


class HasSplit(Protocol):
    """An image of a set, of which the split is asked."""

    @property
    def split(self) -> str:
        """Name of the split, "" for none."""


def plain_split(split: str) -> str:
    """The name of a split in one form of its letters (NFKC), with single blanks between its words and none around."""
    return " ".join(unicodedata.normalize("NFKC", split).split())


@dataclass(frozen=True)
class ImageRow:
    """One line of the table; height and width in pixels, upright, 0 for an unreadable image.

    `sha256`, `bytes` and `modified` (ns since 1970) are those of the file when it was read; 0 and "" if there is none.
    `note`: what people should know about an image that could be read.
    """

    id: str
    path: str
    split: str
    height: int
    width: int
    sha256: str
    status: Status
    reason: str = ""
    note: str = ""
    bytes: int = 0
    modified: int = 0


def write_images(path: Path, rows: Iterable[ImageRow]) -> None:
    """Write the table."""
    write_table(path, [field.name for field in fields(ImageRow)], map(astuple, rows), delimiter="\t")


def read_images(path: Path) -> list[ImageRow]:
    """Read the table in its order.

    Raises BadFile, naming the file, if it is not such a table.
    """
    try:
        note_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file, delimiter="\t"))
        return [ImageRow(**{**row, **{name: int(row[name]) for name in NUMBERS}}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, "a table of images", error) from error


def readable(rows: Iterable[ImageRow]) -> list[ImageRow]:
    """The images that could be read: the others have no size, and no regions."""
    return [row for row in rows if row.status == "ok"]
