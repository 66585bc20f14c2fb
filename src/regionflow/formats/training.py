"""What a training leaves beside its weights: its record, a CSV with a row every few steps, its figures, JSON, and the
checkpoint from which it goes on.

A checkpoint is a ZIP file as torch writes it, without compression; torch compares none of the checksums in it. So one
of the whole file, in hex, is the comment at the end of the ZIP, which every reader of such files skips.
"""

import csv
import hashlib
import json
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile
from regionflow.base.files import write_json, write_table
from regionflow.formats.checksums import note_file

_DIGITS = 64
_END = struct.Struct("<4s16xH")  # end of central directory: signature ... length of the comment
_SIGNATURE = b"PK\5\6"
_CHECKPOINT = "the checkpoint of a training"
Row = dict[str, float]
"""Values after some steps by name: step, seconds, losses and so on."""


def write_record(path: Path, rows: Sequence[Row]) -> None:
    """Write a record, with a column for everything that any row has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_table(path, columns, ([row.get(name, "") for name in columns] for row in rows))


def read_record(path: Path) -> list[Row]:
    """Read a record; what a row does not have is not in it. Raises BadFile, naming the file, if it is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        note_file(path)
        return [{name: float(value) for name, value in row.items() if value != ""} for row in rows]
    except OSError as error:
        raise BadFile.not_read(path, error) from None
    except (TypeError, ValueError) as error:
        raise BadFile.damaged(path, "the record of a training", error) from error


def write_metrics(path: Path, metrics: Mapping[str, float | str | list[float]]) -> None:
    """Write figures, and what they are of. JSON has no NaN: one that cannot be told is null."""
    write_json(path, {name: _plain(value) for name, value in metrics.items()})


def read_metrics(path: Path, names: Collection[str] = ()) -> dict[str, Any]:
    """Read figures by name. Raises BadFile, naming the file, if it is damaged or lacks one of `names`."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        note_file(path)
    except OSError as error:
        raise BadFile.not_read(path, error) from None
    except ValueError as error:
        raise BadFile.damaged(path, "figures of a training", error) from error
    if not isinstance(metrics, dict):
        raise BadFile.damaged(path, "figures of a training", "it is no object")
    if missing := [name for name in names if name not in metrics]:
        raise BadFile.damaged(path, "figures of a training", f"without {', '.join(missing)}")
    return metrics


def sign_checkpoint(path: Path) -> None:
    """Add the checksum to a ZIP file without a comment. Raises ValueError for anything else."""
    with path.open("r+b") as file:
        file.seek(-_END.size, 2)
        if _END.unpack(file.read()) != (_SIGNATURE, 0):
            raise ValueError(f"{path}: no ZIP file, or one with a comment")
        file.seek(-2, 2)
        file.write(struct.pack("<H", _DIGITS))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, 2)
        file.write(digest.encode())


def check_checkpoint(path: Path) -> None:
    """Raises BadFile, naming the file, unless a checkpoint is exactly what was written."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            left = path.stat().st_size - _DIGITS
            if left < _END.size:
                raise BadFile.damaged(path, _CHECKPOINT, "it is cut off")
            while left:
                block = file.read(min(left, 1 << 20))
                digest.update(block)
                left -= len(block)
                if not block:
                    raise BadFile.damaged(path, _CHECKPOINT, "it is cut off")
            signed = file.read()
    except OSError as error:
        raise BadFile.not_read(path, error) from error
    if digest.hexdigest().encode() != signed:
        raise BadFile.damaged(path, _CHECKPOINT, "its content does not have its checksum")


def _plain(value: float | str | list[float]) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
