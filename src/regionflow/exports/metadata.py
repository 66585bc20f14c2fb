"""A set as Hugging Face's datasets read a folder of images: metadata.jsonl with a line for each image and its regions.

`datasets.load_dataset("imagefolder", data_dir=folder)` gives `image` and the columns written here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.exports.colour_maps import ClusterName
from regionflow.exports.labelled import LabelledImage
from regionflow.exports.photos import Photos


def write_metadata(
    path: Path, images: Iterable[LabelledImage], clusters: Sequence[ClusterName], photos: Photos
) -> None:
    """Write the file; `file_name` is the path of the photo below the folder of photos, in which the file lies.

    `objects` has a list for each property of the image's regions: region_id, bbox [x, y, width, height], area, cluster
    and category (null for none), score, and the counts of the mask's compressed COCO RLE (of the image's size).
    """
    names = [name for name, _ in clusters]
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        for image in images:
            row = image.row
            head = {"file_name": photos.file_name(row), "image_id": row.id, "split": row.split}
            size = {"height": row.height, "width": row.width}
            file.write(canonical_json({**head, **size, "objects": _objects(image, names)}) + "\n")


def _objects(image: LabelledImage, names: Sequence[str]) -> dict[str, list[Any]]:
    regions = image.regions.annotations
    clusters = [image.labels.cluster.get(region["region_id"], -1) for region in regions]
    return {
        "region_id": [region["region_id"] for region in regions],
        "bbox": [[float(v) for v in region["bbox"]] for region in regions],
        "area": [region["area"] for region in regions],
        "cluster": [None if cluster < 0 else cluster for cluster in clusters],
        "category": [None if cluster < 0 else names[cluster] for cluster in clusters],
        "score": [region.get("predicted_iou") for region in regions],
        "counts": [region["segmentation"]["counts"] for region in regions],
    }
