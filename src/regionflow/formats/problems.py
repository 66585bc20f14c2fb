"""results/problems.tsv: what was skipped and why, and the same in a few lines at the end of a run."""

import csv
from collections.abc import Iterable
from pathlib import Path

from regionflow.base.files import write_table
from regionflow.formats.images import ImageRow

SHOWN = 20


def write_problems(path: Path, rows: Iterable[ImageRow]) -> None:
    """Write the unreadable images of the table with their reasons; a header alone if there are none."""
    unreadable = ([row.id, row.path, row.reason] for row in rows if row.status != "ok")
    write_table(path, ["image", "path", "reason"], unreadable, delimiter="\t")


def problems_summary(path: str | Path) -> str:
    """What to tell people at the end of a run; empty if there is no table yet."""
    if not Path(path).is_file():
        return ""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows:
        return "regionflow: all images could be read."
    lines = [f"regionflow: {len(rows)} image(s) could not be read and have empty files; see {path}:"]
    lines += [f"  {row['path']}: {row['reason']}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN} more")
    return "\n".join(lines)
