"""Regions with class names in forms that other tools open: COCO instances, COCO panoptic, a table, a class list.

Category c + 1 is the labeler's class c, as in its label maps. Everything is written image by image, so that memory does
not grow with the set.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.errors import BadFile, UserError
from regionflow.base.files import whole, write_table
from regionflow.exports.coco import head, instance, with_ids, write_records
from regionflow.exports.labelled import parent_ids
from regionflow.exports.photos import Photos
from regionflow.formats import rle
from regionflow.formats.images import ImageRow
from regionflow.formats.labels import MAX_LABEL, read_label_map
from regionflow.formats.layout import for_image
from regionflow.formats.palette import palette
from regionflow.formats.regions import RegionFile, masks_of, read_regions
from regionflow.formats.semantics import NONE, Semantics, read_semantics

ABOUT = "regionflow: regions and their class names"
COLUMNS = (
    "image_id", "split", "region_id", "source", "class", "name", "score", "decided_by", "area", "x", "y", "width",
    "height", "parent",
)  # fmt: skip


@dataclass(frozen=True)
class NamedImage:
    """One image of the table with its regions, their classes, and the path of its map of classes."""

    row: ImageRow
    regions: RegionFile
    semantics: Semantics
    map: Path


def named(rows: Iterable[ImageRow], regions: Path, names: Path, maps: Path) -> Iterator[NamedImage]:
    """Each image with its files, whose paths are patterns with {image}.

    Raises BadFile if regions and classes of an image do not belong together.
    """
    for row in rows:
        path = for_image(names, row.id)
        file, semantics = read_regions(for_image(regions, row.id), row.id), read_semantics(path, row.id)
        if file.sha256 != semantics.regions_sha256:
            raise BadFile(f"{path}: it is about other regions than {for_image(regions, row.id)}; run snakemake again")
        yield NamedImage(row, file, semantics, for_image(maps, row.id))


class ClassList(NamedTuple):
    """The classes of a set, and whether each is a thing: what is not known to be stuff counts as one."""

    names: list[str]
    things: list[bool]


def class_list(rows: Sequence[ImageRow], names: Path) -> ClassList:
    """The classes of a set: those of its first image."""
    if not rows:
        return ClassList([], [])
    first = read_semantics(for_image(names, rows[0].id))
    return ClassList(first.classes, _things(first))


def _things(semantics: Semantics) -> list[bool]:
    return [True] * len(semantics.classes) if semantics.things is None else semantics.things


def write_named_coco(
    path: Path, rows: Sequence[ImageRow], images: Iterable[NamedImage], classes: ClassList, photos: Photos
) -> int:
    """Write a COCO instances file; returns how many regions have no class and are left out.

    As `exports.coco`, but category c + 1 is class c and `score` is that of the class.
    """
    left_out = 0

    def instances() -> Iterator[dict[str, Any]]:
        nonlocal left_out
        for place, image in enumerate(images, start=1):
            parent = parent_ids(image.regions)
            for region, label in zip(image.regions.annotations, image.semantics.regions, strict=True):
                if label.value == NONE:
                    left_out += 1
                    continue
                above = {"parent": parent[region["region_id"]]}
                yield {**instance(region, place, label.value), "score": label.score, **above}

    write_records(path, head(path, ABOUT, _categories(classes), rows, photos), with_ids(instances()))
    return left_out


def write_panoptic(
    path: Path, rows: Sequence[ImageRow], images: Iterable[NamedImage], classes: ClassList, photos: Photos
) -> None:
    """Write a COCO panoptic file in panopticapi's layout, for the PNGs of `write_panoptic_map`."""
    records = (
        {"image_id": place, "file_name": f"{image.row.id}.png", "segments_info": segments(image)[1]}
        for place, image in enumerate(images, start=1)
    )
    write_records(path, head(path, ABOUT, _categories(classes), rows, photos), records)


def write_panoptic_map(path: Path, image: NamedImage) -> None:
    """Write the segments of an image as panopticapi reads them: red + 256 green + 65536 blue is the segment's id."""
    ids = segments(image)[0]
    if ids.size and ids.max() > MAX_LABEL:
        raise UserError(f"{path}: a panoptic picture holds ids up to {MAX_LABEL}, not {ids.max()}")
    pixels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)
    with whole(path) as part:
        Image.fromarray(pixels if pixels.size else np.zeros((1, 1, 3), np.uint8)).save(part, format="PNG")


def segments(image: NamedImage) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Segment of each pixel [H, W] (0: none) and the record of each.

    A segment is what is seen of a region whose class is a thing; all that has a class that is stuff; and for each class
    the pixels that have it without a region.
    """
    height, width = image.regions.size
    masks, values = masks_of(image.regions), [region.value for region in image.semantics.regions]
    owners = rle.to_label_map(masks, range(1, len(masks) + 1), height, width).astype(np.int64)
    things = [True, *_things(image.semantics)]
    # First the regions are numbered, then the classes.
    own = [i if things[value] else len(masks) + value for i, value in enumerate(values, start=1)]
    ids = np.array([0, *(i if value else 0 for i, value in zip(own, values, strict=True))], np.int64)[owners]
    if height and width:
        filled = read_label_map(image.map, image.row.id, (height, width))
        ids = np.where((owners == 0) & (filled > 0), len(masks) + filled, ids)
    category = dict(enumerate(values, start=1))
    records = []
    for segment, mask in rle.from_label_map(np.where(ids == 0, -1, ids)).items():
        of = category.get(segment, segment - len(masks))
        record = {"id": segment, "category_id": of, "area": rle.area(mask), "bbox": rle.bbox(mask), "iscrowd": 0}
        records.append(record)
    return ids, records


def write_named_table(path: Path, images: Iterable[NamedImage]) -> None:
    """Write a CSV with one row per region; class 0 and no name for a region without.

    `parent` is the region id of the smallest larger region that holds 90 % of it, empty for none.
    """
    write_table(path, COLUMNS, (cells for image in images for cells in _rows(image)))


def _rows(image: NamedImage) -> Iterator[list[Any]]:
    parent = parent_ids(image.regions)
    for region, label in zip(image.regions.annotations, image.semantics.regions, strict=True):
        name = image.semantics.name(label.value)
        of_class = [label.value, name, label.score, label.decided_by]
        head = [image.row.id, image.row.split, region["region_id"], region["source"]]
        yield [*head, *of_class, region["area"], *region["bbox"], parent[region["region_id"]]]


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write the class list of the label maps: value, name and colour."""
    coloured = zip(names, palette(len(names)).tolist(), strict=True)
    rows = [[0, "none", 0, 0, 0], *([c + 1, name, *colour] for c, (name, colour) in enumerate(coloured))]
    write_table(path, ["value", "name", "red", "green", "blue"], rows)


def _categories(classes: ClassList) -> list[dict[str, Any]]:
    colours = palette(len(classes.names)).tolist()
    return [
        {"id": c + 1, "name": name, "supercategory": "", "isthing": int(thing), "color": colours[c]}
        for c, (name, thing) in enumerate(zip(*classes, strict=True))
    ]
