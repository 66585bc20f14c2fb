"""What a labeler said of an image, by other class tables: the tables of one run stand side by side.

A class is renamed after it was decided, as the SAM + SEEM pipeline goes from 133 classes to 28 and from those to 19.
(`tables` of the labeler itself, with `merge: scores`, add up scores first.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.semantics import NONE, RegionClass, Semantics
from regionflow.semantics.options import NamingOptions
from regionflow.semantics.renamed_options import RenamedOptions
from regionflow.semantics.tables import BadClassTable, ClassTable, read_tables


class Renamed:
    """Renames; it has no model and looks at no image."""

    def __init__(self, options: RenamedOptions, device: str = "cpu") -> None:
        self._tables = options.tables

    def rename(self, semantics: Semantics, labels: NDArray[np.integer]) -> tuple[Semantics, NDArray[np.uint32]]:
        """The classes of an image and its label map [H, W] by the tables.

        Raises BadClassTable if the tables do not go with the classes.
        """
        table = read_tables(self._tables, semantics.classes, semantics.things)
        assert table is not None
        regions = [_renamed(region, table) for region in semantics.regions]
        after = replace(semantics, classes=table.targets, regions=regions, things=table.things)
        return after, table.merge_labels(labels)


def _renamed(region: RegionClass, table: ClassTable) -> RegionClass:
    scores: dict[int, float] = {}
    for value, score in region.top:
        target = int(table.index[value - 1]) + 1
        scores[target] = scores.get(target, 0.0) + score
    top = sorted(scores.items(), key=lambda item: -item[1])
    value = NONE if region.value == NONE else int(table.index[region.value - 1]) + 1
    return replace(region, value=value, score=min(1.0, scores.get(value, 0.0)), top=[(c, min(1.0, s)) for c, s in top])


def naming_problems(labelers: Mapping[str, NamingOptions], name: str) -> Iterator[str]:
    """What is wrong with a variant that renames: a circle, or tables that do not go with the names it gets.

    Names that the options do not tell (those of a model on a hub) are checked when they are known.
    """
    chain = [name]
    while (before := labelers[chain[0]].renames) is not None and before in labelers:
        if before in chain:
            yield f"labeler: {' -> '.join([before, *chain])} is a circle"
            return
        chain.insert(0, before)
    names = labelers[chain[0]].known_names()
    for one in chain:
        if names is None:
            return
        try:
            table = read_tables(labelers[one].tables, names)
        except BadClassTable as error:
            if one == name:
                yield f"tables: {error}"
            return
        names = names if table is None else table.targets
