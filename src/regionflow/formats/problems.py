"""results/problems.tsv: what was skipped and why, and the same in a few lines at the end of a run."""

import csv
from collections.abc import Iterable
from pathlib import Path

from regionflow.base.errors import BadFile
from regionflow.base.files import write_table
from regionflow.formats.images import ImageRow

SHOWN = 20
COLUMNS = ("image", "path", "reason")
LEFT_OUT = ""
"""In place of an id: a file that cannot be an image of the set, because of its name for example."""


def write_problems(path: Path, rows: Iterable[ImageRow], left_out: Iterable[tuple[str, str]] = ()) -> None:
    """Write the unreadable images of the table and the files left out (path, reason); a header alone if all is well."""
    unreadable = ((row.id, row.path, row.reason) for row in rows if row.status != "ok")
    others = ((LEFT_OUT, where, reason) for where, reason in left_out)
    write_table(path, COLUMNS, [*unreadable, *others], delimiter="\t")


def problems_summary(path: str | Path) -> str:
    """What to tell people at the end of a run; empty if there is no table yet."""
    if not Path(path).is_file():
        return ""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [{name: row[name] or "" for name in COLUMNS} for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        return f"regionflow: {BadFile.damaged(Path(path), 'a table of problems', error)}"
    if not rows:
        return "regionflow: all images could be read."
    left_out = sum(row["image"] == LEFT_OUT for row in rows)
    counts = [f"{len(rows) - left_out} image(s) could not be read and have empty files"] * (left_out < len(rows))
    counts += [f"{left_out} file(s) cannot be in the set and are left out"] * (left_out > 0)
    lines = [f"regionflow: {'; '.join(counts)}; see {path}:"]
    lines += [f"  {row['path']}: {row['reason']}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN} more")
    return "\n".join(lines)
