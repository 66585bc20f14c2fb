"""Class-agnostic average recall (AR) of ranked masks: the recall of COCOeval with useCats=0, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from regionflow.formats.rle import Rle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU thresholds over which recall is averaged."""
LIMITS = (1, 10, 100, 1000)
"""Masks of an image that count: AR@1, AR@10 ..."""
SIZES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""Area of a true region in pixels, both ends included, as in COCO."""


def ious(masks: Sequence[Rle], regions: Sequence[Rle], crowd: Sequence[bool] | None = None) -> Floats:
    """IoU [M, R] of each mask with each true region; with a crowd region the share of the mask that lies in it."""
    if not masks or not regions:
        return np.zeros((len(masks), len(regions)))
    flags = [0] * len(regions) if crowd is None else [int(c) for c in crowd]
    return np.asarray(coco.iou(list(masks), list(regions), flags), np.float64)


def best_ious(masks: Sequence[Rle], regions: Sequence[Rle]) -> Floats:
    """IoU [R] of each region with the mask that fits it best; 0 where there are no masks."""
    return ious(masks, regions).max(axis=0, initial=0.0)


@dataclass
class Recall:
    """Counts of one image or, added up, of many.

    found: [S, L, T] true regions that have a mask of their own, per size, limit and threshold. regions: [S] true
    regions of each size; crowd regions count nowhere.
    """

    found: Ints = field(default_factory=lambda: np.zeros((len(SIZES), len(LIMITS), len(THRESHOLDS)), np.int64))
    regions: Ints = field(default_factory=lambda: np.zeros(len(SIZES), np.int64))

    def __iadd__(self, other: "Recall") -> "Recall":
        self.found += other.found
        self.regions += other.regions
        return self

    def average(self, size: str = "all", limit: int = 1000) -> float:
        """Mean recall over the thresholds; NaN where there are no true regions of this size."""
        s, at = list(SIZES).index(size), LIMITS.index(limit)
        return float(self.found[s, at].mean() / self.regions[s]) if self.regions[s] else float("nan")


def recall(overlap: Floats, areas: Sequence[float], crowd: Sequence[bool]) -> Recall:
    """Counts of one image from the IoUs [M, R] of its masks, best ranked first, with its true regions.

    Masks choose in the order of their rank: of the true regions that nobody has chosen the one with the highest IoU,
    if that reaches the threshold. A true region of another size or a crowd region is chosen only where no other is
    left, and a choice of such a region counts for nothing (pycocotools.cocoeval.COCOeval.evaluateImg).
    """
    counts = Recall()
    overlap = overlap[: max(LIMITS)]
    is_crowd, area = np.asarray(crowd, bool), np.asarray(areas, np.float64)
    for s, (least, most) in enumerate(SIZES.values()):
        ignored = is_crowd | (area < least) | (area > most)
        counts.regions[s] = (~ignored).sum()
        if not counts.regions[s]:
            continue
        for t, threshold in enumerate(THRESHOLDS):
            ranks = _chosen_by(overlap, ignored, is_crowd, min(threshold, 1 - 1e-10))
            counts.found[s, :, t] = [(ranks < limit).sum() for limit in LIMITS]
    return counts


def _chosen_by(overlap: Floats, ignored: NDArray[np.bool_], crowd: NDArray[np.bool_], threshold: float) -> Ints:
    """Ranks of the masks that choose a true region that is not ignored."""
    enough = overlap >= threshold
    free = np.ones(len(ignored), bool)
    ranks = []
    for rank in np.flatnonzero((enough & ~ignored).any(axis=1)):
        candidates = enough[rank] & free
        wanted = candidates & ~ignored
        if wanted.any():
            ranks.append(rank)
            candidates = wanted
        if candidates.any():
            best = _last_best(overlap[rank], candidates)
            # Only a crowd region can be chosen more than once.
            free[best] = crowd[best]
    return np.array(ranks, np.int64)


def _last_best(values: Floats, among: NDArray[np.bool_]) -> int:
    at = np.flatnonzero(among)
    return int(at[len(at) - 1 - np.argmax(values[at][::-1])])
