"""Class tables: many classes of a model become fewer of one's own.

A TSV with the columns `source` and `target`, one line per class of the model. A line with an empty source declares a
target that no class of the model becomes. Targets are numbered in the order in which they first appear.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.semantics.shipped import SHIPPED_TABLES, table_path

COLUMNS = ("source", "target")
THING = "isthing"


class BadClassTable(UserError):
    """A class table that cannot be used; the text names the file and every offending line."""


@dataclass(frozen=True)
class ClassTable:
    """`index` [C]: which of the `targets` each source class becomes.

    things: whether each target is a thing, of which an image may hold several, or stuff; None where that is not known
    """

    targets: list[str]
    index: NDArray[np.int64]
    things: list[bool] | None = None

    def merge_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores [C, ...] of the sources added up to scores [targets, ...]."""
        out = np.zeros((len(self.targets), *scores.shape[1:]), np.float32)
        np.add.at(out, self.index, scores)
        return out

    def merge_labels(self, labels: NDArray[np.integer]) -> NDArray[np.uint32]:
        """Labels with 0 for none and c + 1 for a class, renamed."""
        return np.concatenate([[0], self.index + 1]).astype(np.uint32)[labels]


def read_table(name: str, sources: Sequence[str], things: Sequence[bool] | None = None) -> ClassTable:
    """The table of a name of `SHIPPED_TABLES` or a path, for a labeler with the classes `sources`.

    Which targets are things is said by a column isthing (1 or 0); without it a target is one if all that becomes it is
    (`things` [C]). Raises BadClassTable with all of: classes that are missing, unknown or stand twice, lines without a
    target, and targets of which lines do not say the same.
    """
    lines = _lines(name)
    problems = [f"line {n}: no target for {source!r}" for n, source, target, _ in lines if not target]
    named = [(n, source) for n, source, _, _ in lines if source]
    problems += [f"line {n}: {source!r} is no class of the labeler" for n, source in named if source not in sources]
    counts = Counter(source for _, source in named)
    problems += [f"line {n}: {source!r} stands more than once" for n, source in named if counts[source] > 1]
    missing = [source for source in sources if source not in counts]
    if missing:
        problems.append(f"no line for {', '.join(map(repr, missing))}")
    said = {target: isthing for _, _, target, isthing in reversed(lines)}
    told = [(n, target, isthing) for n, _, target, isthing in lines if isthing is not None]
    problems += [f"line {n}: isthing is {isthing!r}, not 1 or 0" for n, _, isthing in told if isthing not in ("0", "1")]
    problems += [f"line {n}: another isthing for {target!r}" for n, target, isthing in told if isthing != said[target]]
    if problems:
        raise BadClassTable("\n".join([f"{name}: {len(problems)} mistake(s) in the class table:", *problems]))
    targets = list(dict.fromkeys(target for _, _, target, _ in lines))
    becomes = {source: targets.index(target) for _, source, target, _ in lines if source}
    index = np.array([becomes[source] for source in sources], np.int64)
    if None not in said.values():
        return ClassTable(targets, index, [said[target] == "1" for target in targets])
    if things is None:
        return ClassTable(targets, index)
    of_target = [[things[i] for i in np.flatnonzero(index == t).tolist()] for t in range(len(targets))]
    return ClassTable(targets, index, [bool(those) and all(those) for those in of_target])


def read_tables(
    names: Sequence[str], sources: Sequence[str], things: Sequence[bool] | None = None
) -> ClassTable | None:
    """Several tables one after the other, each over the targets of the one before; None for none.

    Raises BadClassTable as `read_table`.
    """
    chain: ClassTable | None = None
    for name in names:
        if chain is None:
            chain = read_table(name, sources, things)
        else:
            table = read_table(name, chain.targets, chain.things)
            chain = ClassTable(table.targets, table.index[chain.index], table.things)
    return chain


def _lines(name: str) -> list[tuple[int, str, str, str | None]]:
    """Line number, source, target and, where there is such a column, isthing of every line."""
    path = table_path(name)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise BadClassTable(f"{name}: the first line of a class table names the columns source and target")
            tells = THING in (reader.fieldnames or ())

            def cell(row: dict[str, str], key: str) -> str:
                return (row[key] or "").strip()

            return [
                (n, cell(row, "source"), cell(row, "target"), cell(row, THING) if tells else None)
                for n, row in enumerate(reader, start=2)
            ]
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(SHIPPED_TABLES)
        raise BadClassTable(f"{name}: not a class table ({error}); give a path, or one of {known}") from error
