"""Nested regions as one map: every pixel names an atom, and every atom the regions that hold it.

An atom is the set of all pixels that lie in the same regions. The map of atoms and the list of regions of each say the
same as a mask per region, in about the space of one mask: what lies under a pixel is looked up, a region's own mask is
the union of its atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.rle import Rle


@dataclass(frozen=True)
class Atoms:
    """ids: int64 [h, w], 0 where no region is; stacks: of atom i the regions that hold it (stacks[i - 1]), by area,
    the smallest first."""

    ids: NDArray[np.int64]
    stacks: list[list[int]]


def atoms_of(masks: Sequence[Rle], size: tuple[int, int], page: tuple[int, int]) -> Atoms:
    """The atoms of masks of an image of `size` (height, width) on a grid of `page` (height, width) pixels.

    A grid pixel lies in a mask if its middle does; of a mask without such a pixel the nearest one takes its place, so
    that no region is without pixels. Of regions of equal area the earlier one counts as smaller.
    """
    width = page[1]
    keys = np.random.default_rng(0).integers(1, 1 << 63, len(masks), dtype=np.uint64)
    # Exclusive or of a random number per region that holds the pixel: the same sets of regions have the same value.
    sums = np.zeros(page, np.uint64)
    small = [_on_grid(mask, size, page) for mask in masks]
    for key, (y, x, part) in zip(keys, small, strict=True):
        sums[y : y + part.shape[0], x : x + part.shape[1]][part] ^= key
    values, first, ids = np.unique(sums, return_index=True, return_inverse=True)
    order = sorted(range(len(masks)), key=lambda i: (rle.area(masks[i]), i))
    stacks: list[list[int]] = [[] for _ in values]
    rows, columns = np.divmod(first, max(width, 1))
    for number in order:
        y, x, part = small[number]
        inside = (rows >= y) & (rows < y + part.shape[0]) & (columns >= x) & (columns < x + part.shape[1])
        for i in np.flatnonzero(inside):
            if part[rows[i] - y, columns[i] - x]:
                stacks[i].append(number)
    return _renumbered(ids.reshape(page), stacks)


def _renumbered(ids: NDArray[np.integer], stacks: list[list[int]]) -> Atoms:
    """Atoms in the order in which they come up, pixels without a region as 0."""
    place = np.zeros(len(stacks), np.int64)
    kept = [i for i in range(len(stacks)) if stacks[i]]
    place[kept] = np.arange(1, len(kept) + 1)
    return Atoms(place[ids], [stacks[i] for i in kept])


def _on_grid(mask: Rle, size: tuple[int, int], page: tuple[int, int]) -> tuple[int, int, NDArray[np.bool_]]:
    """Row, column and pixels of a mask's box on the grid."""
    x, y, w, h = rle.bbox(mask)
    if w == 0 or h == 0:
        return 0, 0, np.zeros((0, 0), bool)
    scale = page[0] / size[0], page[1] / size[1]
    top, left = int(y * scale[0]), int(x * scale[1])
    bottom, right = -int(-(y + h) * scale[0] // 1), -int(-(x + w) * scale[1] // 1)
    rows = np.minimum(((np.arange(top, min(page[0], bottom)) + 0.5) / scale[0]).astype(int), size[0] - 1)
    columns = np.minimum(((np.arange(left, min(page[1], right)) + 0.5) / scale[1]).astype(int), size[1] - 1)
    part = rle.decode(mask)[np.ix_(rows, columns)]
    if not part.any():
        px, py = rle.points_inside([mask])[0]
        return min(int(py * scale[0]), page[0] - 1), min(int(px * scale[1]), page[1] - 1), np.ones((1, 1), bool)
    return top, left, part


def visible_points(masks: Sequence[Rle], size: tuple[int, int]) -> list[tuple[int, int] | None]:
    """Of each mask a pixel (x, y) where it is the smallest that holds it, far from the edge of that part; None if
    smaller masks cover it wholly."""
    owners = rle.to_label_map(masks, range(1, len(masks) + 1), *size)
    found: list[tuple[int, int] | None] = [None] * len(masks)
    for value, part in rle.from_label_map(owners.astype(np.int64) - 1).items():
        x, y, w, h = rle.bbox(part)
        visible = rle.decode(part)[y : y + h, x : x + w].astype(np.uint8)
        depth = cv2.distanceTransform(np.pad(visible, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        found[value] = (x + int(column), y + int(row))
    return found
