"""The regions of a set that are worth labelling next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from regionflow.base.files import write_table
from regionflow.formats import rle
from regionflow.formats.classifiers import Classifier
from regionflow.formats.hdf5 import open_hdf5
from regionflow.formats.pooled import BLOCK_ROWS, SetColumn, image_ids
from regionflow.formats.regions import RegionFile, masks_of, region_id
from regionflow.semantics.examples import ExampleSet, probabilities

COLUMNS = ("image", "x", "y", "class", "region_id", "area", "margin")
"""The first four are those of a file of examples: a suggestion whose class is right or has been put right is one."""


@dataclass(frozen=True)
class Suggestion:
    """A region, the likeliest class and by how much it leads the second."""

    image: str
    region: int
    area: int
    guess: int
    margin: float


def worth_labelling(pooled: Path, classifier: Classifier, labelled: ExampleSet, count: int) -> list[Suggestion]:
    """The regions of a set file whose label would tell most."""
    images = image_ids(pooled)
    with open_hdf5(pooled, "a set of region features") as file:
        image, region, area = file["image"][:], file["region"][:], file["area"][:]
    taken = set(zip(labelled.images, labelled.regions.tolist(), strict=True))
    known = np.array([(images[i], int(r)) in taken for i, r in zip(image, region, strict=True)], dtype=bool)
    return [
        Suggestion(images[image[row]], int(region[row]), int(area[row]), guess, margin)
        for row, guess, margin in most_telling(SetColumn(pooled), classifier, area, known, count)
    ]


def most_telling(
    features: SetColumn | NDArray[np.float32],
    classifier: Classifier,
    areas: NDArray[np.int64],
    known: NDArray[np.bool_],
    count: int,
) -> list[tuple[int, int, float]]:
    """Row, likeliest class and margin of `count` rows [N, C] where the two likeliest classes are close, one of a kind.

    Of the `20 * count` rows of the smallest margin (weighed by the square root of the area, as one large region is
    worth many small ones) k-means makes `count` groups, and each gives its first. Those in `known` are left out.
    """
    margins, guesses = np.full(len(features), np.inf), np.zeros(len(features), np.int64)
    for start in range(0, len(features), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        sure = probabilities(classifier, np.asarray(features[part], np.float32))
        good = np.isfinite(sure).all(axis=1)
        best = np.sort(sure[good], axis=1)[:, -2:]
        margins[part][good] = best[:, 1] - best[:, 0]
        guesses[part][good] = sure[good].argmax(axis=1)
    margins[known] = np.inf
    open_rows = np.flatnonzero(np.isfinite(margins))
    worth = np.sqrt(areas[open_rows]) * (1 - margins[open_rows])
    pool = open_rows[np.argsort(-worth, kind="stable")[: 20 * count]]
    if not len(pool):
        return []
    ascending = np.sort(pool)
    some = features.take(ascending) if isinstance(features, SetColumn) else features[ascending]
    with threadpool_limits(1):
        standard = (some - classifier.mean) / classifier.scale
        groups = KMeans(min(count, len(pool)), n_init=1, random_state=0).fit_predict(standard)
    group_of = dict(zip(ascending.tolist(), groups.tolist(), strict=True))
    first: dict[int, int] = {}
    for row in pool.tolist():
        first.setdefault(group_of[row], row)
    return [(row, int(guesses[row]), float(margins[row])) for row in first.values()]


def write_suggestions(
    path: Path, suggestions: Sequence[Suggestion], names: Sequence[str], regions: Callable[[str], RegionFile]
) -> None:
    """Write a TSV with a point inside each region and its likeliest class."""
    rows = []
    for one in suggestions:
        x, y = inner_point(regions(one.image), one.region)
        name = region_id(one.image, one.region)
        rows.append([one.image, x, y, names[one.guess], name, one.area, f"{one.margin:.4f}"])
    write_table(path, COLUMNS, rows, delimiter="\t")


def inner_point(file: RegionFile, number: int) -> tuple[int, int]:
    """The pixel (x, y) of a region farthest from its edge, where no smaller region lies if there is such a place."""
    masks = masks_of(file)
    owners = rle.to_label_map(masks, range(1, len(masks) + 1), *file.size)
    visible = owners == number + 1
    shown = visible if visible.any() else rle.decode(masks[number])
    depth = cv2.distanceTransform(np.pad(shown, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)
