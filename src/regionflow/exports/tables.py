"""The labelled regions of a set as a table."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from regionflow.base.files import write_table
from regionflow.exports.labelled import SCORES, LabelledImage

COLUMNS = (
    "image_id", "split", "region_id", "source", "cluster", "distance", "area", "x", "y", "width", "height", *SCORES,
    "parent",
)  # fmt: skip


def write_region_table(path: Path, images: Iterable[LabelledImage]) -> None:
    """Write a CSV with one row per region; box in pixels, `cluster` -1 and an empty distance for a region without.

    `parent` is the region id of the smallest larger region that holds 90 % of it, empty for none.
    """
    write_table(path, COLUMNS, (list(_cells(i, region)) for i in images for region in i.regions.annotations))


def _cells(image: LabelledImage, region: dict[str, Any]) -> Iterator[Any]:
    name = region["region_id"]
    yield from (image.row.id, image.row.split, name, region["source"])
    yield from (image.labels.cluster.get(name, -1), image.labels.distance.get(name), region["area"], *region["bbox"])
    yield from (region.get(score) for score in SCORES)
    yield image.parent[name]
