"""Gather what the page shows from the files of one variant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats.clusters import read_centres, read_comparison, read_silhouette
from regionflow.formats.hdf5 import read_provenance
from regionflow.formats.images import ImageRow, read_images
from regionflow.formats.labelled import read_labelled
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.layout import for_image
from regionflow.formats.palette import palette
from regionflow.formats.pooled import SetColumn, image_ids
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.formats.semantics import Semantics, read_semantics
from regionflow.images.read import read_image
from regionflow.report import features_map, galleries, named, page, pictures, similar, survey, times
from regionflow.report.galleries import Candidate
from regionflow.report.named import LabelerFiles
from regionflow.report.pictures import Place

CLASS_CROPS = 400
"""Crops of all classes together: with many classes each has fewer."""


@dataclass(frozen=True)
class Sources:
    """The files of one variant; those of single images are patterns with {image}.

    names: of each wildcard the variants that the page is made from, for the times of its stages.
    """

    table: Path
    pooled: Path
    centroids: Path
    labels: Path
    regions: Path
    features: Path
    pooled_images: Path
    records: Path
    superpixels: Path | None = None
    comparison: Path | None = None
    labelers: Mapping[str, LabelerFiles] = field(default_factory=dict)
    names: Mapping[str, list[str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """How much the page shows: see `report` in the configuration."""

    images: int
    side: int
    crops: int
    regions: int
    features: int
    reading: Mapping[str, Any]


def build(path: Path, title: str, sources: Sources, limits: Limits) -> None:
    """Write the page of one variant."""
    rows = read_images(sources.table)
    centres = read_centres(sources.centroids, foreign=True)
    counts = survey.survey(rows, lambda row: read_labels(for_image(sources.labels, row.id), row.id), len(centres))
    readable = [number for number, row in enumerate(rows) if row.status == "ok"]
    shown = {readable[i] for i in survey.spread(limits.images, len(readable))}
    places = {row.id: number for number, row in enumerate(rows)}
    classes = {
        name: survey.class_survey(_named(files.semantics, rows, readable)) for name, files in sources.labelers.items()
    }
    in_table = np.array([places[image] for image in image_ids(sources.pooled)], np.int64)
    chosen = _galleries(sources, limits, in_table, (counts, classes), shown)
    images, crops, scores = _pictures(sources, limits, rows, shown, chosen)
    points = features_map.features_map(
        sources.pooled, lambda image: read_labels(for_image(sources.labels, image), image), limits.regions
    )
    points["image"] = [int(in_table[i]) for i in points["image"]]
    colours = palette(len(centres)).tolist()
    data = {
        "title": title,
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
            {"size": int(counts.sizes[c]), "colour": colours[c], "crops": _crops(crops, "clusters", c)}
            for c in range(len(centres))
        ],
        "labelers": [
            {
                "name": name,
                "classes": known.names,
                "colours": palette(len(known.names)).tolist(),
                "sizes": [known.sizes.get(value, 0) for value in range(len(known.names) + 1)],
                "crops": [_crops(crops, "classes", c) for c in range(len(known.names) if place == 0 else 0)],
                "fit": named.fit_of(sources.labelers[name], places),
            }
            for place, (name, known) in enumerate(classes.items())
        ],
        "palette": palette(42).tolist(),
        "map": points,
        "histograms": _histograms(sources, scores, rows, [counts.regions[i] for i in readable]),
        "problems": [{"image": r.id, "path": r.path, "reason": r.reason} for r in rows if r.status != "ok"],
        "parameters": list(_parameters(sources, [rows[i] for i in readable])),
        "comparison": [] if sources.comparison is None else read_comparison(sources.comparison),
        "versions": page.versions(),
        "timings": times.timings(sources.records, sources.names, set(places)),
    }
    features = similar.similar_features(sources.pooled, [rows[i].id for i in sorted(shown)], limits.features)
    page.write_page(path, title, data, [*images, ("features", features)])


def _named(pattern: Path, rows: list[ImageRow], readable: list[int]) -> Iterator[tuple[int, Semantics]]:
    """The class names of every image that could be read, one at a time."""
    for number in readable:
        yield number, read_semantics(for_image(pattern, rows[number].id), rows[number].id)


def _galleries(
    sources: Sources,
    limits: Limits,
    in_table: NDArray[np.int64],
    surveys: tuple[survey.Survey, Mapping[str, survey.ClassSurvey]],
    shown: set[int],
) -> dict[Place, Candidate]:
    """The regions shown of every cluster and, for the first labeler, of every class."""
    if not len(SetColumn(sources.pooled)):
        return {}
    rows = galleries.SetRows(sources.pooled, in_table)
    counts, classes = surveys
    wanted = [("clusters", c, limits.crops, found) for c, found in counts.candidates.items()]
    for known in list(classes.values())[:1]:
        each = min(limits.crops, max(2, CLASS_CROPS // max(1, len(known.names))))
        wanted += [("classes", value - 1, each, known.candidates[value]) for value in known.candidates]
    return {
        (kind, number, i): candidate
        for kind, number, count, candidates in wanted
        for i, candidate in enumerate(galleries.gallery(candidates, shown, count, rows.look))
    }


def _crops(crops: Mapping[Place, dict[str, Any]], kind: str, number: int) -> list[dict[str, Any]]:
    own = sorted(place for place in crops if place[:2] == (kind, number))
    return [crops[place] for place in own]


def _pictures(
    sources: Sources, limits: Limits, rows: list[ImageRow], shown: set[int], chosen: Mapping[Place, Candidate]
) -> tuple[list[tuple[str, dict]], dict[Place, dict[str, Any]], list[float]]:
    """What is embedded of the images shown, the crops, and the scores of the regions; each photo is read once."""
    wanted: dict[int, dict[int, list[Place]]] = {number: {} for number in shown}
    for place, candidate in chosen.items():
        wanted.setdefault(candidate.image, {}).setdefault(candidate.region, []).append(place)
    images: list[tuple[str, dict]] = []
    crops, scores = {}, []
    for number in sorted(wanted):
        row = rows[number]
        image = read_image(Path(row.path), **limits.reading)
        regions, labels = read_labelled(for_image(sources.regions, row.id), for_image(sources.labels, row.id), row.id)
        for place, crop in pictures.crops_of(image, regions, wanted[number]).items():
            far = place[2] >= limits.crops - limits.crops // 4
            crops[place] = {**crop, "image": number, "distance": round(chosen[place].distance, 4), "far": far}
        if number in shown:
            columns = pictures.columns_of(regions, labels, _names_of(sources, row.id, regions))
            scores += [score for score in columns["iou"] if score is not None]
            superpixels = None
            if sources.superpixels:
                superpixels = read_label_map(for_image(sources.superpixels, row.id), row.id, regions.size)
            images.append((f"image-{number}", pictures.image_data(image, regions, columns, superpixels, limits.side)))
    return images, crops, scores


def _names_of(sources: Sources, image: str, regions: RegionFile) -> dict[str, Semantics]:
    """The class names of one image by labeler. Raises BadFile for names of other regions."""
    found = {}
    for labeler, files in sources.labelers.items():
        path = for_image(files.semantics, image)
        found[labeler] = read_semantics(path, image)
        if found[labeler].regions_sha256 != regions.sha256:
            raise BadFile.to_be_remade(f"{path}: it names another version of the image's region file")
    return found


def _histograms(sources: Sources, scores: list[float], rows: list[ImageRow], regions: list[int]) -> dict[str, Any]:
    """Area as a share of the image and regions per image over the set; predicted IoU over the images shown."""
    pixels = {row.id: row.height * row.width for row in rows}
    of_image = np.array([pixels.get(image, 1) for image in image_ids(sources.pooled)], float)
    area = SetColumn(sources.pooled, "area")[:] / of_image[SetColumn(sources.pooled, "image")[:]]
    most = max(regions, default=1)
    return {
        "area": survey.histogram(np.log10(np.maximum(area, 1e-6)), np.linspace(-5, 0, 26)),
        "score": survey.histogram(np.array(scores, float), np.linspace(0, 1, 21)),
        "regions": survey.histogram(np.array(regions, float), np.linspace(0, most + 1, min(20, most + 1) + 1)),
    }


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
        for labeler, files in sources.labelers.items():
            made = read_semantics(for_image(files.semantics, rows[0].id), rows[0].id).generator
            yield f"class names: {labeler}", made.params
    if made_by := read_provenance(sources.centroids):
        yield "clusters", made_by["options"]
