"""How an image's masks lie: how much they cover, and which lies in which."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from regionflow.formats import rle
from regionflow.formats.rle import Rle

NO_PARENT = -1


def coverage(rles: Sequence[Rle], height: int, width: int) -> float:
    """Fraction of the image's pixels that lie in at least one mask."""
    if not rles:
        return 0.0
    return int(coco.area(coco.merge(list(rles)))) / (height * width)


def parents(rles: Sequence[Rle], containment: float = 0.9) -> NDArray[np.int64]:
    """Index of each mask's parent, -1 for none: the smallest larger mask that holds at least this fraction of it.

    Of masks with the same area the one earlier in the list counts as larger, so the table is a forest.
    """
    areas = np.array([rle.area(r) for r in rles])
    found = np.full(len(rles), NO_PARENT)
    for i, mask in enumerate(rles):
        larger = np.flatnonzero((areas > areas[i]) | ((areas == areas[i]) & (np.arange(len(rles)) < i)))
        if areas[i] == 0 or not len(larger):
            continue
        # With the crowd flag pycocotools divides the intersection by the first mask's area alone.
        inside = coco.iou([mask], [rles[int(j)] for j in larger], [1] * len(larger))[0]
        holders = larger[inside >= containment]
        if len(holders):
            found[i] = min(holders, key=lambda j: (areas[j], -j))
    return found
