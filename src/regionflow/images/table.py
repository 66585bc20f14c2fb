"""The user's table of images: id, path and, if wanted, split; separated by tabs, in any encoding that Excel writes."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regionflow.images.errors import ImageListError

_BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_ADVICE = "save it as UTF-8, columns separated by tabs"


def read_table(table: Path) -> list[tuple[str, Path, str]]:
    """Id, path (relative ones are relative to the table, so that a data set can be moved as a whole) and split.

    Raises ImageListError, naming every row that cannot be used.
    """
    if not table.is_file():
        raise ImageListError(f"images.table: {table} is not a file")
    text, encoding = _text(table)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    rows: list[tuple[str, Path, str]] = []
    problems: list[str] = []
    missing = 0
    try:
        header = [name.strip().casefold() for name in next(reader, [])]
        if not {"id", "path"} <= set(header) or len(set(header)) < len(header):
            raise ImageListError(
                f"{table}: the first line must name the columns id, path and, if wanted, split, once each and "
                f"separated by tabs; it has {', '.join(map(repr, header)) or 'nothing'}"
            )
        for line, row in _rows(reader, header):
            if not row["id"].strip() or not row["path"].strip():
                problems.append(f"line {line}: id and path must not be empty")
                continue
            path = table.parent / row["path"]
            if not path.exists() and not path.is_symlink():
                missing += 1
                problems.append(f"line {line}: {path} is not a file")
            rows.append((row["id"], path, row.get("split", "")))
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    # One file that has gone is one unreadable image; a table of which most cannot be found is a mistake.
    if problems and (len(problems) > missing or 2 * missing > len(rows)):
        note = f"; it was read as {encoding}: if names look wrong, {_ADVICE}" if encoding == "cp1252" else ""
        raise ImageListError("\n  ".join([f"{table}: {len(problems)} row(s) cannot be used{note}:", *problems]))
    return rows


def read_column(table: Path, column: str) -> dict[str, Path]:
    """The paths in a column of the table, relative to it, by image id; empty cells are left out.

    Raises ImageListError if the table has no such column.
    """
    reader = csv.reader(io.StringIO(_text(table)[0], newline=""), delimiter="\t", strict=True)
    header = [name.strip().casefold() for name in next(reader, [])]
    if column.strip().casefold() not in header:
        raise ImageListError(f"{table}: there is no column {column!r}; it has {', '.join(map(repr, header))}")
    rows = [row for _, row in _rows(reader, header)]
    key = column.strip().casefold()
    return {row["id"]: table.parent / row[key] for row in rows if row[key].strip()}


def _rows(reader: Any, header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column, of every row that is not blank."""
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, {**dict.fromkeys(header, ""), **dict(zip(header, cells, strict=False))}


def _text(table: Path) -> tuple[str, str]:
    """The table's text and its encoding: by its mark, else UTF-8, UTF-16 by its zero bytes, else Windows-1252."""
    content = table.read_bytes()
    marked = next((name for mark, name in _BOMS.items() if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:64]:
        marked = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise ImageListError(f"{table} is no text in {marked or 'UTF-8 or Windows-1252'}; {_ADVICE}")
