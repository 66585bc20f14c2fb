"""One walk over the label files of the whole set: counts per image, cluster and class, and what could be shown."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.images import ImageRow
from regionflow.formats.labels import Labels
from regionflow.formats.semantics import NONE, Semantics
from regionflow.report.galleries import Candidate

PER_IMAGE = 4


@dataclass
class Survey:
    """What the labels of the set say; lists are by image, in the order of the table."""

    sizes: NDArray[np.int64]
    regions: list[int] = field(default_factory=list)
    masks_covered: list[float] = field(default_factory=list)
    regions_covered: list[float] = field(default_factory=list)
    candidates: dict[int, list[Candidate]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class ClassSurvey:
    """What a labeler's files say: regions of each class, of none, and candidates by class."""

    names: list[str] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    candidates: dict[int, list[Candidate]] = field(default_factory=lambda: defaultdict(list))


def number_of(region_id: str) -> int:
    """The number of a region in its image's file."""
    return int(region_id.rpartition("_")[2])


def survey(rows: Sequence[ImageRow], read: Callable[[ImageRow], Labels], k: int) -> Survey:
    """Read every label file once. Of each image and cluster the regions nearest to and farthest from the centre are
    kept as candidates."""
    counts = Survey(np.zeros(k, np.int64))
    for number, row in enumerate(rows):
        labels = read(row)
        counts.regions.append(len(labels.cluster))
        counts.masks_covered.append(labels.covered["masks"])
        counts.regions_covered.append(labels.covered["regions"])
        own: dict[int, list[Candidate]] = defaultdict(list)
        for region_id, cluster in labels.cluster.items():
            distance = labels.distance[region_id]
            if cluster >= 0 and distance is not None:
                counts.sizes[cluster] += 1
                own[cluster].append(Candidate(distance, number, number_of(region_id)))
        _keep_ends(own, counts.candidates)
    return counts


def class_survey(files: Iterable[tuple[int, Semantics]]) -> ClassSurvey:
    """The same of the files of one labeler, each with the place of its image: surest and least sure of each class."""
    counts = ClassSurvey()
    for number, file in files:
        counts.names = counts.names or file.classes
        own: dict[int, list[Candidate]] = defaultdict(list)
        for region in file.regions:
            counts.sizes[region.value] += 1
            if region.value != NONE:
                own[region.value].append(Candidate(1 - region.score, number, number_of(region.region_id)))
        _keep_ends(own, counts.candidates)
    return counts


def _keep_ends(own: dict[int, list[Candidate]], every: dict[int, list[Candidate]]) -> None:
    for group, candidates in own.items():
        candidates.sort(key=lambda c: (c.distance, c.region))
        every[group] += candidates[:PER_IMAGE] + candidates[PER_IMAGE:][-2:]


def spread(count: int, total: int) -> list[int]:
    """At most `count` of the numbers 0..total-1, spread evenly."""
    return sorted(set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())) if total else []


def histogram(values: NDArray[np.floating], edges: NDArray[np.floating]) -> dict[str, list[float]]:
    """Counts of finite values between edges [B + 1]."""
    finite = values[np.isfinite(values)]
    return {"edges": edges.astype(float).tolist(), "counts": np.histogram(finite, edges)[0].tolist()}
