"""What a training leaves beside its weights: its record, a CSV with a row every few steps, and its figures, JSON."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile
from regionflow.base.files import write_json, write_table
from regionflow.formats.checksums import note_file

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


def write_metrics(path: Path, metrics: Mapping[str, float | list[float]]) -> None:
    """Write figures. JSON has no NaN: one that cannot be told is null."""
    write_json(path, {name: _plain(value) for name, value in metrics.items()})


def read_metrics(path: Path) -> dict[str, Any]:
    """Read figures by name. Raises BadFile, naming the file, if it is damaged."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        note_file(path)
    except OSError as error:
        raise BadFile.not_read(path, error) from None
    except ValueError as error:
        raise BadFile.damaged(path, "figures of a training", error) from error
    if not isinstance(metrics, dict):
        raise BadFile.damaged(path, "figures of a training", "it is no object")
    return metrics


def _plain(value: float | list[float]) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if math.isnan(value) else value
