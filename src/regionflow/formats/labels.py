"""Label files: the cluster of every region of an image as JSON, and of every pixel as a PNG."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.errors import BadFile, UserError
from regionflow.base.files import whole, write_json

NO_CLUSTER = -1
MAX_LABEL = (1 << 24) - 1


@dataclass(frozen=True)
class Labels:
    """The label file of one image: cluster (-1: none) and distance by region id, in the order of its pooled file.

    `covered`: share of the image's pixels in masks ("masks") and in any region ("regions").
    """

    image_id: str
    cluster: dict[str, int]
    distance: dict[str, float | None]
    covered: dict[str, float]


def labels_of(
    image_id: str,
    region_ids: Sequence[str],
    cluster: NDArray[np.integer],
    distance: NDArray[np.floating],
    covered: Mapping[str, float],
) -> Labels:
    """Labels from arrays [R]; a region without cluster has no distance. Numbers are rounded to six digits."""
    distances = [None if c < 0 else round(d, 6) for c, d in zip(cluster.tolist(), distance.tolist(), strict=True)]
    return Labels(
        image_id,
        dict(zip(region_ids, cluster.tolist(), strict=True)),
        dict(zip(region_ids, distances, strict=True)),
        {name: round(float(share), 6) for name, share in covered.items()},
    )


def write_labels(path: Path, labels: Labels) -> None:
    """Write one image's label file."""
    regions = [
        {"region_id": region, "cluster": cluster, "distance": labels.distance[region]}
        for region, cluster in labels.cluster.items()
    ]
    write_json(path, {"image_id": labels.image_id, "covered": labels.covered, "regions": regions})


def read_labels(path: Path) -> Labels:
    """Read one image's label file.

    Raises BadFile, naming the file, if it is damaged.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        cluster = {row["region_id"]: row["cluster"] for row in table["regions"]}
        distance = {row["region_id"]: row["distance"] for row in table["regions"]}
        return Labels(table["image_id"], cluster, distance, table["covered"])
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file; run snakemake to make it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, "a label file", error) from error


def write_label_map(path: Path, labels: NDArray[np.integer]) -> None:
    """Write a label map [H, W] as PNG, lossless; one zero pixel for an image that could not be read.

    16-bit grey where that holds every label. PNG knows no 32-bit grey, so larger labels are written as COCO panoptic
    does: red + 256 green + 65,536 blue (panopticapi's rgb2id reads it). Raises UserError for labels of more than 24
    bits or below zero: no label is ever wrapped.
    """
    pixels = labels if labels.size else np.zeros((1, 1), np.uint16)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > MAX_LABEL:
        raise UserError(f"{path}: a label map holds labels from 0 to {MAX_LABEL}, not {low if low < 0 else high}")
    if high > 0xFFFF:
        pixels = np.stack([pixels & 255, (pixels >> 8) & 255, pixels >> 16], axis=-1).astype(np.uint8)
    else:
        pixels = pixels.astype(np.uint16)
    with whole(path) as part:
        Image.fromarray(pixels).save(part, format="PNG")


def read_label_map(path: Path) -> NDArray[np.int64]:
    """A label map [H, W] written by `write_label_map`.

    Raises BadFile, naming the file, if it is not one.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image).astype(np.int64)
    except (OSError, ValueError, SyntaxError) as error:
        raise BadFile.damaged(path, "a label map", error) from error
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels @ np.array([1, 256, 65536])
    if pixels.ndim != 2:
        raise BadFile.damaged(path, "a label map", f"it has {pixels.shape[2]} channels")
    return pixels
