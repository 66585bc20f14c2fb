"""The page over all variants: what each is like, a link to its page, and two of them side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats.clusters import read_centres, read_silhouette
from regionflow.formats.images import ImageRow, read_images
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.layout import for_image
from regionflow.formats.palette import palette
from regionflow.report import page, pictures, survey, times
from regionflow.report.panels import overlay

SIDE, SHOWN = 480, 24
"""Longer side of a picture in pixels; images that are shown, spread evenly over the set."""


@dataclass(frozen=True)
class Variant:
    """An extractor with a kind of region; labels and maps are patterns with {image}.

    names: of each wildcard the variants that it is made from, for its times.
    """

    name: str
    labels: Path
    maps: Path
    centroids: Path
    names: Mapping[str, list[str | None]] = field(default_factory=dict)


def build_index(
    path: Path,
    table: Path,
    variants: Sequence[Variant],
    *,
    photo: Callable[[ImageRow], NDArray[np.uint8]],
    records: Path,
    links: Mapping[str, str],
) -> None:
    """Write the page. links: further pages beside it, by the words to click on."""
    rows = read_images(table)
    readable = [row for row in rows if row.status == "ok"]
    shown = [readable[i] for i in survey.spread(SHOWN, len(readable))]
    photos = {row.id: photo(row) for row in shown}
    data = {
        "variants": [_variant(variant, rows, records) for variant in variants],
        "images": [row.id for row in shown],
        "photos": [pictures.jpeg(_shrunk(photos[row.id]), 80) for row in shown],
        "links": dict(links),
    }
    pieces = (
        (f"variant-{i}", {"overlays": [_overlay(variant, row, photos[row.id]) for row in shown]})
        for i, variant in enumerate(variants)
    )
    page.write_page(path, "all variants", data, pieces, template="index", scripts=("base", "index"))


def _variant(variant: Variant, rows: Sequence[ImageRow], records: Path) -> dict[str, Any]:
    """The figures of one variant."""
    k = len(read_centres(variant.centroids, foreign=True))
    counts = survey.survey(rows, lambda row: read_labels(for_image(variant.labels, row.id), row.id), k)
    silhouette = read_silhouette(variant.centroids)
    pixels = np.array([row.height * row.width for row in rows], float)
    readable = sum(row.status == "ok" for row in rows)
    spent = times.timings(records, variant.names, {row.id for row in rows})
    return {
        "name": variant.name,
        "regions": sum(counts.regions),
        "per_image": round(sum(counts.regions) / max(1, readable), 1),
        "masks_covered": round(float(pixels @ counts.masks_covered / max(1.0, pixels.sum())), 4),
        "regions_covered": round(float(pixels @ counts.regions_covered / max(1.0, pixels.sum())), 4),
        "clusters": k,
        "silhouette": None if np.isnan(silhouette) else round(silhouette, 3),
        "seconds": round(sum(row["total"] for row in spent), 1),
    }


def _overlay(variant: Variant, row: ImageRow, photo: NDArray[np.uint8]) -> str:
    """The clusters of an image over its photo."""
    labels = read_label_map(for_image(variant.maps, row.id), row.id, (row.height, row.width))
    small = _shrunk(photo)
    size = small.shape[1], small.shape[0]
    ids = np.asarray(cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST), np.int32)
    return pictures.jpeg(overlay(small, ids, palette(max(1, int(ids.max(initial=0)))), alpha=0.6), 80)


def _shrunk(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = pictures.fit(photo.shape[:2], SIDE)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
