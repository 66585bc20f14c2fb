"""The labelled regions of a set as COCO instances: one file of the whole set, and one for each split.

Everything is written image by image, so that memory does not grow with the set.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.exports.colour_maps import ClusterName
from regionflow.exports.labelled import SCORES, LabelledImage
from regionflow.exports.photos import Photos, image_records
from regionflow.formats.images import ImageRow
from regionflow.formats.labels import Labels

ALSO_KEPT = ("region_id", "source")


def write_coco(
    path: Path,
    rows: Sequence[ImageRow],
    images: Iterable[LabelledImage],
    clusters: Sequence[ClusterName],
    photos: Photos,
) -> int:
    """Write a COCO instances file; returns how many regions have no cluster and so no category, and are left out.

    Image, annotation and category ids start at 1 (pycocotools' COCOeval takes id 0 for no match). Category c + 1 is
    cluster c, as in the label maps; clusters of one name are the category of the first. `segmentation` stays compressed
    RLE with iscrowd 0, `score` is the predicted IoU, where there is one. `parent` is the region id of the smallest
    larger region that holds 90 % of an instance, null for none. `images` are those of `rows` in the same order.
    """
    left_out = 0
    category: dict[int, int] = {}
    first: dict[str, int] = {}
    for cluster, (name, _) in enumerate(clusters):
        category[cluster] = first.setdefault(name, cluster + 1)
    categories = [
        {"id": number, "name": name, "supercategory": "cluster", "color": list(clusters[number - 1][1])}
        for name, number in first.items()
    ]

    def instances() -> Iterator[dict[str, Any]]:
        nonlocal left_out
        for number, image in enumerate(images, start=1):
            for region in image.regions.annotations:
                cluster = image.labels.cluster.get(region["region_id"], -1)
                if cluster < 0:
                    left_out += 1
                    continue
                labels = _labels(region, cluster, image.labels)
                above = {"parent": image.parent[region["region_id"]]}
                yield {**instance(region, number, category[cluster]), **labels, **above}

    about = "regionflow: regions and their clusters"
    write_records(path, head(path, about, categories, rows, photos), with_ids(instances()))
    return left_out


def write_records(path: Path, beginning: Mapping[str, Any], records: Iterable[dict[str, Any]]) -> None:
    """Write a COCO file: what `head` gives, and the annotations, which are taken one by one."""
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(canonical_json(dict(beginning))[:-1] + ',"annotations":[')
        for i, record in enumerate(records):
            file.write((",\n" if i else "\n") + canonical_json(record))
        file.write("\n]}\n")


def with_ids(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records with ids from 1."""
    return ({"id": number, **record} for number, record in enumerate(records, start=1))


def head(
    path: Path, about: str, categories: Sequence[dict[str, Any]], rows: Sequence[ImageRow], photos: Photos
) -> dict[str, Any]:
    """All of a COCO file but its annotations. `info.images_root`: what file names are relative to, as seen from the
    file's own folder; null where images.dir lies outside of the folder in which the workflow runs."""
    info = {"description": about, "version": __version__, "images_root": photos.told_root(path)}
    return {"info": info, "licenses": [], "categories": list(categories), "images": image_records(rows, photos)}


def instance(region: dict[str, Any], image: int, category: int) -> dict[str, Any]:
    """COCO's record of a region, without its id; region_id, source and scores stand beside COCO's own keys."""
    record = {key: region[key] for key in ("segmentation", "area", "bbox", *ALSO_KEPT)}
    scores = {key: region[key] for key in SCORES if key in region}
    score = {"score": region["predicted_iou"]} if "predicted_iou" in region else {}
    return {**record, **scores, **score, "image_id": image, "category_id": category, "iscrowd": 0}


def _labels(region: dict[str, Any], cluster: int, labels: Labels) -> dict[str, Any]:
    return {"cluster": cluster, "distance": labels.distance[region["region_id"]]}
