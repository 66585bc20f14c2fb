"""Files in results/evaluation/: the scores of one variant as JSON, and tables of images or of variants as TSV.

{"variant": {segmenter: ...}, "scores": [{"split": "all", ...}, ...], "classes": [{"class": name, ...}], "missing":
[image ids], "extra": [...], "generator": {...}}. `scores` has an entry for the whole set and one for each split if
there are several. `missing` are images of the set without ground truth, `extra` the reverse. NaN (nothing there to
measure) is null in JSON and an empty cell in tables.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile
from regionflow.base.files import write_table
from regionflow.formats.checked import read_checked_json, write_checked_json
from regionflow.formats.checksums import note_file

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """The scores of one variant; see the head of this module."""

    variant: Mapping[str, str]
    scores: Sequence[Row]
    classes: Sequence[Row] = ()
    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    generator: Mapping[str, Any] = field(default_factory=dict)


def write_scores(path: Path, scores: Scores) -> None:
    """Write the scores of one variant."""
    write_checked_json(
        path,
        {
            "variant": dict(scores.variant),
            "scores": [_plain(row) for row in scores.scores],
            "classes": [_plain(row) for row in scores.classes],
            "missing": list(scores.missing),
            "extra": list(scores.extra),
            "generator": dict(scores.generator),
        },
    )


def read_scores(path: Path) -> Scores:
    """Read the scores of one variant.

    Raises BadFile, naming the file, if it is damaged or not of this layout.
    """
    content, _ = read_checked_json(path, "a file of scores")
    try:
        if not all(isinstance(row["split"], str) for row in content["scores"]):
            raise TypeError("an entry of scores has no split")
        return Scores(**content)
    except (KeyError, TypeError) as error:
        raise BadFile.damaged(path, "a file of scores", error) from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A TSV table with a line for each row and a column for every key of any, in the order in which they come up."""
    every = list(rows)
    header = list(dict.fromkeys(key for row in every for key in row))
    lines = ([_cell(row.get(key)) for key in header] for row in every)
    write_table(path, header, lines, delimiter="\t")


def read_rows(path: Path) -> list[dict[str, str | float | None]]:
    """The rows of such a table; numbers are numbers, empty cells None.

    Raises BadFile, naming the file, if it cannot be read.
    """
    try:
        note_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise BadFile.damaged(path, "a table of scores", error) from error


def _value(text: str) -> str | float | None:
    try:
        return None if text == "" else float(text)
    except ValueError:
        return text


def _plain(row: Row) -> dict[str, Any]:
    return {key: None if _is_nan(value) else value for key, value in row.items()}


def _cell(value: Any) -> Any:
    if value is None or _is_nan(value):
        return ""
    return round(value, 6) if isinstance(value, float) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
