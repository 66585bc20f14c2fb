"""The images of a set with their regions and labels, one after the other, so that memory does not grow with the set."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regionflow.formats.images import ImageRow
from regionflow.formats.labelled import read_labelled
from regionflow.formats.labels import Labels
from regionflow.formats.layout import for_image
from regionflow.formats.regions import RegionFile

SCORES = ("predicted_iou", "stability_score")
"""What masks are scored by, where their records say so."""


@dataclass(frozen=True)
class LabelledImage:
    """One image of the table with its regions and labels."""

    row: ImageRow
    regions: RegionFile
    labels: Labels


def labelled(rows: Iterable[ImageRow], regions: Path, labels: Path) -> Iterator[LabelledImage]:
    """Each image with its files, whose paths are patterns with {image}."""
    for row in rows:
        yield LabelledImage(row, *read_labelled(for_image(regions, row.id), for_image(labels, row.id), row.id))
