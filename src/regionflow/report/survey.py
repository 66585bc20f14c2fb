"""One walk over the labels of the whole set: counts per image and cluster, and which regions to show of a cluster."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.images import ImageRow
from regionflow.formats.labels import Labels

PER_IMAGE = 2


@dataclass(frozen=True)
class Candidate:
    """A region that could be shown for its cluster."""

    distance: float
    image: int
    region_id: str


@dataclass
class Survey:
    """What the labels of the set say; lists are by image, in the order of the table."""

    sizes: NDArray[np.int64]
    regions: list[int] = field(default_factory=list)
    masks_covered: list[float] = field(default_factory=list)
    regions_covered: list[float] = field(default_factory=list)
    candidates: dict[int, list[Candidate]] = field(default_factory=lambda: defaultdict(list))


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
                own[cluster].append(Candidate(distance, number, region_id))
        for cluster, regions in own.items():
            regions.sort(key=lambda c: c.distance)
            counts.candidates[cluster] += regions[:PER_IMAGE] + regions[PER_IMAGE:][-1:]
    return counts


def gallery(candidates: Sequence[Candidate], shown: set[int], count: int) -> list[Candidate]:
    """Of one cluster: three quarters the nearest to the centre, the rest the farthest from it.

    Regions of images that the page shows in full come first, so that a crop leads to its image.
    """
    near = sorted(candidates, key=lambda c: (c.image not in shown, c.distance, c.image))[: count - count // 4]
    rest = [c for c in candidates if c not in near]
    far = sorted(rest, key=lambda c: (c.image not in shown, -c.distance, c.image))[: count - len(near)]
    return near + far


def spread(count: int, total: int) -> list[int]:
    """At most `count` of the numbers 0..total-1, spread evenly."""
    return sorted(set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())) if total else []
