"""The images of a set with their regions and labels, one after the other, so that memory does not grow with the set."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from regionflow.formats.images import ImageRow
from regionflow.formats.labelled import read_labelled
from regionflow.formats.labels import Labels
from regionflow.formats.layout import for_image
from regionflow.formats.nesting import NO_PARENT, parents
from regionflow.formats.regions import RegionFile, masks_of

SCORES = ("predicted_iou", "stability_score")
"""What masks are scored by, where their records say so."""


@dataclass(frozen=True)
class LabelledImage:
    """One image of the table with its regions and labels."""

    row: ImageRow
    regions: RegionFile
    labels: Labels

    @cached_property
    def parent(self) -> dict[str, str | None]:
        """By region id the id of the region that it lies in, None for none: see `formats.nesting.parents`."""
        return parent_ids(self.regions)


def parent_ids(regions: RegionFile) -> dict[str, str | None]:
    """By region id the id of the region that it lies in, None for none: see `formats.nesting.parents`."""
    ids = [region["region_id"] for region in regions.annotations]
    holders = parents(masks_of(regions)).tolist()
    return {name: None if holder == NO_PARENT else ids[holder] for name, holder in zip(ids, holders, strict=True)}


def labelled(rows: Iterable[ImageRow], regions: Path, labels: Path) -> Iterator[LabelledImage]:
    """Each image with its files, whose paths are patterns with {image}."""
    for row in rows:
        yield LabelledImage(row, *read_labelled(for_image(regions, row.id), for_image(labels, row.id), row.id))
