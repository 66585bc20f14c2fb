"""Evaluation of a whole set, image by image: all images together, and each split where there are several."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.evaluate.labels import Contingency, class_scores, cluster_summary
from regionflow.evaluate.masks import SetScores, score_image
from regionflow.evaluate.options import EvaluateOptions
from regionflow.evaluate.panoptic import Panoptic
from regionflow.evaluate.truth import ImageTruth, Truth
from regionflow.formats.images import ImageRow
from regionflow.formats.regions import Annotation

Row = dict[str, Any]
ALL = "all"


def with_truth(rows: Iterable[ImageRow], truth: Truth) -> Iterator[tuple[ImageRow, ImageTruth]]:
    """The images that could be read and have ground truth, with it."""
    for row in rows:
        if row.status == "ok" and row.id in truth:
            yield row, truth.image(row.id, row.height, row.width)


def splits_of(rows: Sequence[ImageRow]) -> list[str]:
    """ "all", and the names of the splits if there are at least two."""
    names = sorted({row.split for row in rows} - {""})
    return [ALL, *names] if len(names) > 1 else [ALL]


def _in(split: str, row: ImageRow) -> bool:
    return split in (ALL, row.split)


def mask_scores(
    rows: Sequence[ImageRow],
    truth: Truth,
    records: Callable[[str], Sequence[Annotation]],
    options: EvaluateOptions,
) -> tuple[list[Row], list[Row]]:
    """Scores of masks or regions per split, and per image; `records` reads those of an image id."""
    totals = {split: SetScores() for split in splits_of(rows)}
    images: list[Row] = []
    for row, image in with_truth(rows, truth):
        scores = score_image(records(row.id), image, options.rank, options.boundary_tolerance)
        images.append({"split": row.split, **scores.row()})
        for split, total in totals.items():
            if _in(split, row):
                total.add(scores)
    return [{"split": split, **total.summary()} for split, total in totals.items()], images


def cluster_scores(
    rows: Sequence[ImageRow], truth: Truth, label_map: Callable[[str], NDArray[np.integer]], clusters: int
) -> tuple[list[Row], list[Row]]:
    """Scores of clusters per split, and the IoU of each true class; `label_map` has cluster + 1, 0 for none."""
    tables = {split: Contingency(clusters, len(truth.classes)) for split in splits_of(rows)}
    for row, image in with_truth(rows, truth):
        labels, classes = label_map(row.id), image.class_map()
        for split, table in tables.items():
            if _in(split, row):
                table.add(labels - 1, classes)
    return [{"split": split, **cluster_summary(table)} for split, table in tables.items()], []


@dataclass(frozen=True)
class NamedRegions:
    """What a labeler made of an image: classes [H, W] by pixel and segments [H, W], -1 for none; class per segment."""

    classes: NDArray[np.integer]
    segments: NDArray[np.integer]
    of_segment: NDArray[np.int64]


def semantics_scores(
    rows: Sequence[ImageRow], truth: Truth, named: Callable[[str, list[str]], NamedRegions]
) -> tuple[list[Row], list[Row]]:
    """Scores of class names per split, and per class over all; `named` gives classes by their place in a list."""
    size = len(truth.classes)
    tables = {split: (Contingency(size, size), Panoptic(size)) for split in splits_of(rows)}
    for row, image in with_truth(rows, truth):
        regions, classes, segments = named(row.id, truth.classes), image.class_map(), image.segments()
        of_true = np.array([-1 if region.crowd else region.label for region in image.regions], np.int64)
        for split, (table, panoptic) in tables.items():
            if _in(split, row):
                table.add(regions.classes, classes)
                panoptic.add(*_known(regions.segments, regions.of_segment), *_known(segments, of_true))
    scores = []
    for split, (table, panoptic) in tables.items():
        of = class_scores(table)
        scores.append(
            {"split": split, "pixels": table.pixels, "accuracy": of.accuracy, "miou": of.miou, "pq": panoptic.mean()}
        )
    table, panoptic = tables[ALL]
    truly = table.counts.sum(axis=0) + table.missed
    columns = zip(truth.classes, class_scores(table).iou.tolist(), panoptic.quality().tolist(), truly, strict=True)
    return scores, [{"class": name, "iou": iou, "pq": pq, "true_pixels": int(n)} for name, iou, pq, n in columns]


def _known(segments: NDArray[np.integer], classes: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Segments without a class are no segments."""
    number = np.append(np.where(classes >= 0, np.cumsum(classes >= 0) - 1, -1), -1)
    return number[segments], classes[classes >= 0]


def places(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """[N] place of each name among the true classes, whatever its case; -1 for names that the truth does not have."""
    known = {name.casefold().strip(): place for place, name in enumerate(classes)}
    return np.array([known.get(name.casefold().strip(), -1) for name in names], np.int64)
