"""Gather what the page shows from the files of one variant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regionflow.formats.clusters import read_centres, read_comparison, read_silhouette
from regionflow.formats.hdf5 import read_provenance
from regionflow.formats.images import ImageRow, read_images
from regionflow.formats.labelled import read_labelled
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.layout import for_image
from regionflow.formats.palette import palette
from regionflow.formats.regions import read_regions
from regionflow.images.read import read_image
from regionflow.report import features_map, page, pictures, survey


@dataclass(frozen=True)
class Sources:
    """The files of one variant; those of single images are patterns with {image}."""

    table: Path
    pooled: Path
    centroids: Path
    labels: Path
    regions: Path
    features: Path
    pooled_images: Path
    logs: Path
    superpixels: Path | None = None
    comparison: Path | None = None


@dataclass(frozen=True)
class Limits:
    """How much the page shows: see `report` in the configuration."""

    images: int
    side: int
    crops: int
    regions: int
    reading: Mapping[str, Any]


def build(path: Path, title: str, sources: Sources, limits: Limits) -> None:
    """Write the page of one variant."""
    rows = read_images(sources.table)
    centres = read_centres(sources.centroids, foreign=True)
    counts = survey.survey(rows, lambda row: read_labels(for_image(sources.labels, row.id), row.id), len(centres))
    readable = [number for number, row in enumerate(rows) if row.status == "ok"]
    shown = {readable[i] for i in survey.spread(limits.images, len(readable))}
    galleries = [survey.gallery(counts.candidates[c], shown, limits.crops) for c in range(len(centres))]
    images, crops = _pictures(sources, limits, rows, shown, galleries)
    points = features_map.features_map(
        sources.pooled, lambda image: read_labels(for_image(sources.labels, image), image), limits.regions
    )
    data = {
        "summary": _summary(sources, rows, counts),
        "images": {
            "id": [row.id for row in rows],
            "split": [row.split for row in rows],
            "height": [row.height for row in rows],
            "width": [row.width for row in rows],
            "regions": counts.regions,
            "regions_covered": [round(share, 4) for share in counts.regions_covered],
            "shown": sorted(shown),
        },
        "clusters": [
            {
                "size": size,
                "colour": colour,
                "crops": [crops[c, i] for i in range(len(galleries[c])) if (c, i) in crops],
            }
            for c, (size, colour) in enumerate(zip(counts.sizes.tolist(), palette(len(centres)).tolist(), strict=True))
        ],
        "palette": palette(42).tolist(),
        "map": points,
        "problems": [{"image": r.id, "path": r.path, "reason": r.reason} for r in rows if r.status != "ok"],
        "parameters": list(_parameters(sources, [rows[i] for i in readable])),
        "comparison": _comparison(sources.comparison),
        "versions": page.versions(),
        "timings": page.timings(sources.logs),
    }
    page.write_page(path, title, data, images)


def _pictures(
    sources: Sources, limits: Limits, rows: list[ImageRow], shown: set[int], galleries: list[list[survey.Candidate]]
) -> tuple[list[tuple[int, dict]], dict[tuple[int, int], dict[str, Any]]]:
    """What is embedded of the images shown, and the crops by (cluster, place); each photo is read once."""
    wanted: dict[int, dict[str, tuple[int, int]]] = {number: {} for number in shown}
    for cluster, chosen in enumerate(galleries):
        for place, candidate in enumerate(chosen):
            wanted.setdefault(candidate.image, {})[candidate.region_id] = (cluster, place)
    images, crops = [], {}
    for number in sorted(wanted):
        row = rows[number]
        image = read_image(Path(row.path), **limits.reading)
        regions, labels = read_labelled(for_image(sources.regions, row.id), for_image(sources.labels, row.id), row.id)
        for key, crop in pictures.crops_of(image, regions, wanted[number]).items():
            candidate = galleries[key[0]][key[1]]
            far = key[1] >= limits.crops - limits.crops // 4
            crops[key] = {**crop, "image": number, "distance": candidate.distance, "far": far}
        if number in shown:
            superpixels = None
            if sources.superpixels:
                superpixels = read_label_map(for_image(sources.superpixels, row.id), row.id, regions.size)
            images.append((number, pictures.image_data(image, regions, labels, superpixels, limits.side)))
    return images, crops


def _summary(sources: Sources, rows: list[ImageRow], counts: survey.Survey) -> dict[str, Any]:
    pixels = np.array([row.height * row.width for row in rows], dtype=float)
    names = [row.split for row in rows]
    silhouette = read_silhouette(sources.centroids)
    return {
        "images": len(rows),
        "unreadable": sum(row.status != "ok" for row in rows),
        "splits": {name: names.count(name) for name in sorted(set(names))},
        "regions": sum(counts.regions),
        "masks_covered": float(pixels @ counts.masks_covered / max(1.0, pixels.sum())),
        "regions_covered": float(pixels @ counts.regions_covered / max(1.0, pixels.sum())),
        "empty": int((counts.sizes == 0).sum()),
        "silhouette": None if np.isnan(silhouette) else silhouette,
    }


def _parameters(sources: Sources, rows: list[ImageRow]) -> Iterator[tuple[str, Any]]:
    """What made the files, as they say themselves: those of the first image, and those of the set."""
    if rows:
        regions = read_regions(for_image(sources.regions, rows[0].id), rows[0].id).generator
        yield from ((source["name"], source["params"]) for source in regions.params.get("sources", {}).values())
        yield "regions", {key: value for key, value in regions.params.items() if key != "sources"}
        for stage, pattern in (("features", sources.features), ("pooled", sources.pooled_images)):
            yield stage, read_provenance(for_image(pattern, rows[0].id))
    if made_by := read_provenance(sources.centroids):
        yield "clusters", made_by["options"]


def _comparison(path: Path | None) -> list[dict[str, str]]:
    return [] if path is None else read_comparison(path)
