"""Which regions to show of a cluster or a class: typical ones and doubtful ones, each thing once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.pooled import SetColumn

SAME_BOX = 0.5
"""Regions of one image whose boxes overlap by more than this IoU show the same thing."""
SAME_FEATURES = 0.03
"""Regions whose features differ by less than this share of their length show the same thing, in whatever image."""


@dataclass(frozen=True)
class Candidate:
    """A region that could be shown: how far it is from being typical, its image's place, its number."""

    distance: float
    image: int
    region: int


class SetRows:
    """Boxes and features of single regions of a set file."""

    def __init__(self, path: Path, rows_of_images: NDArray[np.int64]) -> None:
        """rows_of_images: of each image in the file its place in the image table."""
        image = rows_of_images[SetColumn(path, "image")[:]]
        self._keys = image.astype(np.int64) << 32 | SetColumn(path, "region")[:]
        self._order = np.argsort(self._keys, kind="stable")
        self._boxes, self._features = SetColumn(path, "bbox"), SetColumn(path)

    def look(self, candidates: Sequence[Candidate]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Box [N, 4] and features [N, C] of each candidate."""
        keys = np.array([c.image << 32 | c.region for c in candidates], np.int64)
        rows = self._order[np.searchsorted(self._keys[self._order], keys)]
        distinct, place = np.unique(rows, return_inverse=True)
        return self._boxes.take(distinct)[place], self._features.take(distinct)[place]


def gallery(
    candidates: Sequence[Candidate],
    shown: set[int],
    count: int,
    look: Callable[[Sequence[Candidate]], tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> list[Candidate]:
    """Three quarters the most typical, the rest the farthest from it, without near duplicates.

    Regions of images that the page shows in full come first, so that a crop leads to its image. At most ten times as
    many candidates as wanted are looked at from either end.
    """
    near = sorted(candidates, key=lambda c: (c.image not in shown, c.distance, c.image, c.region))[: 10 * count]
    chosen = distinct(near, count - count // 4, [], look)
    left = set(candidates) - set(chosen)
    far = sorted(left, key=lambda c: (c.image not in shown, -c.distance, c.image, c.region))[: 10 * count]
    return chosen + distinct(far, count - len(chosen), chosen, look)


def distinct(
    candidates: Sequence[Candidate],
    count: int,
    known: Sequence[Candidate],
    look: Callable[[Sequence[Candidate]], tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> list[Candidate]:
    """The first `count` candidates of which none is a near duplicate of another or of one in `known`."""
    if not candidates:
        return []
    every = [*known, *candidates]
    boxes, features = look(every)
    kept = list(range(len(known)))
    for i in range(len(known), len(every)):
        if len(kept) - len(known) == count:
            break
        if not any(_same(every[i], every[j], boxes[[i, j]], features[[i, j]]) for j in kept):
            kept.append(i)
    return [every[i] for i in kept[len(known) :]]


def _same(one: Candidate, other: Candidate, boxes: NDArray[np.int64], features: NDArray[np.float32]) -> bool:
    if one.image == other.image and box_iou(*boxes.tolist()) > SAME_BOX:
        return True
    length = np.linalg.norm(features, axis=1).max()
    return bool(np.linalg.norm(features[0] - features[1]) < SAME_FEATURES * length)


def box_iou(one: Sequence[int], other: Sequence[int]) -> float:
    """IoU of two boxes [x, y, width, height]."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    return shared / max(1, one[2] * one[3] + other[2] * other[3] - shared)
