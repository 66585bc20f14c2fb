"""The labelled regions of a set in forms that other tools open: COCO instances, a table, coloured label maps.

Everything is written image by image, so memory does not grow with the set.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow import __version__
from regionflow.base.errors import UserError
from regionflow.base.options import canonical_json
from regionflow.formats import regions as records
from regionflow.formats.images import ImageRow
from regionflow.formats.regions import RegionFile
from regionflow.labels.paint import palette

SCORES = ("predicted_iou", "stability_score")
TABLE = (
    "image_id", "split", "region_id", "source", "cluster", "distance", "area", "x", "y", "width", "height", *SCORES,
)  # fmt: skip
# A PNG's palette has 256 colours, the first of which is for pixels without a cluster.
MAX_PALETTE = 255


@dataclass(frozen=True)
class Labels:
    """The label file of one image: cluster (-1: none) and distance by region id, and the shares of pixels covered."""

    cluster: dict[str, int]
    distance: dict[str, float | None]
    covered: dict[str, float]


def read_labels(path: Path) -> Labels:
    """Read one image's label file.

    Raises UserError, naming the file, if it is damaged.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["region_id"]: (row["cluster"], row["distance"]) for row in table["regions"]}
        return Labels({r: c for r, (c, _) in rows.items()}, {r: d for r, (_, d) in rows.items()}, table["covered"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a label file ({error}); delete it to have it made again") from error


@dataclass(frozen=True)
class LabelledImage:
    """One image of the table with its regions and labels."""

    row: ImageRow
    regions: RegionFile
    labels: Labels


def readable(rows: Iterable[ImageRow]) -> list[ImageRow]:
    """The images that could be read: the others have no size, and no regions."""
    return [row for row in rows if row.status == "ok"]


def write_coco(path: Path, rows: Sequence[ImageRow], images: Iterable[LabelledImage], k: int) -> int:
    """Write a COCO instances file; returns how many regions have no cluster and so no category, and are left out.

    Image, annotation and category ids start at 1 (pycocotools' COCOeval takes id 0 for no match). Category c + 1 is
    cluster c, as in the label maps. `segmentation` stays compressed RLE with iscrowd 0. `file_name` is the image's id
    with its suffix: its path below images.dir. `images` are those of `rows` in the same order.
    """
    head = {
        "info": {"description": "regionflow: regions and their clusters", "version": __version__},
        "licenses": [],
        "categories": [
            {"id": c + 1, "name": name, "supercategory": "cluster", "color": colour}
            for c, (name, colour) in enumerate(classes(k))
        ],
        "images": [
            {
                "id": number,
                "file_name": row.id + Path(row.path).suffix,
                "height": row.height,
                "width": row.width,
                "path": row.path,
                "split": row.split,
            }
            for number, row in enumerate(rows, start=1)
        ],
    }
    written = left_out = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(canonical_json(head)[:-1] + ',"annotations":[')
        for number, image in enumerate(images, start=1):
            for region in image.regions.annotations:
                cluster = image.labels.cluster.get(region["region_id"], -1)
                if cluster < 0:
                    left_out += 1
                    continue
                file.write(",\n" if written else "\n")
                written += 1
                file.write(canonical_json(_instance(region, written, number, cluster, image.labels)))
        file.write("\n]}\n")
    return left_out


def _instance(region: dict[str, Any], number: int, image: int, cluster: int, labels: Labels) -> dict[str, Any]:
    record = {key: region[key] for key in ("segmentation", "area", "bbox", "region_id", "source")}
    scores = {key: region[key] for key in SCORES if key in region}
    return {
        **record,
        **scores,
        "id": number,
        "image_id": image,
        "category_id": cluster + 1,
        "iscrowd": 0,
        "distance": labels.distance[region["region_id"]],
    }


def write_table(path: Path, images: Iterable[LabelledImage]) -> None:
    """Write a CSV with one row per region; box in pixels, `cluster` -1 and an empty distance for a region without."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TABLE)
        for image in images:
            writer.writerows(_cells(image, region) for region in image.regions.annotations)


def _cells(image: LabelledImage, region: dict[str, Any]) -> Iterator[Any]:
    name = region["region_id"]
    yield from (image.row.id, image.row.split, name, region["source"])
    yield from (image.labels.cluster.get(name, -1), image.labels.distance.get(name), region["area"], *region["bbox"])
    yield from (region.get(score) for score in SCORES)


def classes(k: int) -> list[tuple[str, list[int]]]:
    """Name and RGB colour of every cluster; cluster c has the value c + 1 in label maps."""
    width = len(str(k - 1))
    return [(f"cluster_{c:0{width}d}", colour) for c, colour in enumerate(palette(k).tolist())]


def write_classes(path: Path, k: int) -> None:
    """Write the class list of the label maps: value, name and colour."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["value", "name", "red", "green", "blue"])
        writer.writerow([0, "none", 0, 0, 0])
        writer.writerows([c + 1, name, *colour] for c, (name, colour) in enumerate(classes(k)))


def write_colour_map(path: Path, labels: NDArray[np.integer], k: int) -> None:
    """Write a label map [H, W] as a PNG that shows colours and, up to 255 clusters, reads as values.

    It then has a palette: PIL and the loaders built on it give the values, cv2.imread the colours. Beyond it is RGB,
    to look at only; the 16-bit label maps have the values.
    """
    table = np.concatenate([np.zeros((1, 3), np.uint8), palette(k)])
    if k > MAX_PALETTE:
        Image.fromarray(table[labels]).save(path, format="PNG")
        return
    image = Image.fromarray(labels.astype(np.uint8), mode="P")
    image.putpalette(table.ravel().tolist())
    image.save(path, format="PNG")


def labelled(rows: Iterable[ImageRow], regions: Path, labels: Path) -> Iterator[LabelledImage]:
    """Each image with its files, whose paths are patterns with {image}."""
    for row in rows:
        yield LabelledImage(
            row,
            records.read(Path(str(regions).replace("{image}", row.id))),
            read_labels(Path(str(labels).replace("{image}", row.id))),
        )
