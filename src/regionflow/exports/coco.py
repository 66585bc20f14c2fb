"""The labelled regions of a set as COCO instances."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.exports.colour_maps import classes
from regionflow.exports.labelled import SCORES, LabelledImage
from regionflow.formats.images import ImageRow
from regionflow.formats.labels import Labels


def write_coco(path: Path, rows: Sequence[ImageRow], images: Iterable[LabelledImage], k: int) -> int:
    """Write a COCO instances file; returns how many regions have no cluster and so no category, and are left out.

    Image, annotation and category ids start at 1 (pycocotools' COCOeval takes id 0 for no match). Category c + 1 is
    cluster c, as in the label maps. `segmentation` stays compressed RLE with iscrowd 0. `file_name` is the image's id
    with its suffix: its path below images.dir. `parent` is the region id of the smallest larger region that holds 90 %
    of an instance, null for none. `images` are those of `rows` in the same order.
    """
    head = {
        "info": {"description": "regionflow: regions and their clusters", "version": __version__},
        "licenses": [],
        "categories": [
            {"id": c + 1, "name": name, "supercategory": "cluster", "color": colour}
            for c, (name, colour) in enumerate(classes(k))
        ],
        "images": image_records(rows),
    }
    written = left_out = 0
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(canonical_json(head)[:-1] + ',"annotations":[')
        for number, image in enumerate(images, start=1):
            for region in image.regions.annotations:
                cluster = image.labels.cluster.get(region["region_id"], -1)
                if cluster < 0:
                    left_out += 1
                    continue
                file.write(",\n" if written else "\n")
                written += 1
                instance = _instance(region, written, number, cluster, image.labels)
                file.write(canonical_json({**instance, "parent": image.parent[region["region_id"]]}))
        file.write("\n]}\n")
    return left_out


def image_records(rows: Sequence[ImageRow]) -> list[dict[str, Any]]:
    """COCO's record of every image, ids from 1 in the order of the rows; path and split are beside COCO's own keys."""
    return [
        {
            "id": number,
            "file_name": row.id + Path(row.path).suffix,
            "height": row.height,
            "width": row.width,
            "path": row.path,
            "split": row.split,
        }
        for number, row in enumerate(rows, start=1)
    ]


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
