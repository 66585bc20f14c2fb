"""Panoptic quality (Kirillov et al. 2019): segments with classes against true segments."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Panoptic:
    """Sums over images: [C] matched segments, the sum of their IoUs, and what is left on either side."""

    classes: int
    iou: Floats = field(init=False)
    matched: Ints = field(init=False)
    unmatched_predicted: Ints = field(init=False)
    unmatched_true: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.iou = np.zeros(self.classes)
        self.matched, self.unmatched_predicted, self.unmatched_true = np.zeros((3, self.classes), np.int64)

    def add(self, predicted: NDArray[np.integer], classes: Ints, true: NDArray[np.integer], true_classes: Ints) -> None:
        """Count one image: maps [H, W] of segment numbers from 0, negative for none, and the class of each segment.

        Two segments of one class match if their IoU is above 0.5, pixels without a true segment left out. A predicted
        segment that lies for more than half in such pixels counts nowhere.
        """
        p, t = (np.maximum(m.ravel(), -1).astype(np.int64) + 1 for m in (predicted, true))
        sizes = len(classes) + 1, len(true_classes) + 1
        both = np.bincount(p * sizes[1] + t, minlength=sizes[0] * sizes[1]).reshape(sizes)
        area, true_area = both[1:].sum(axis=1), both[:, 1:].sum(axis=0)
        void, inside = both[1:, 0], both[1:, 1:]
        rows, columns = np.nonzero(inside)
        same = classes[rows] == true_classes[columns]
        rows, columns = rows[same], columns[same]
        overlap = inside[rows, columns]
        iou = overlap / (area[rows] - void[rows] + true_area[columns] - overlap)
        match = iou > 0.5
        rows, columns = rows[match], columns[match]
        np.add.at(self.iou, classes[rows], iou[match])
        np.add.at(self.matched, classes[rows], 1)
        left = np.ones(len(classes), bool)
        left[rows] = False
        left &= (area > 0) & (void <= 0.5 * area)
        true_left = true_area > 0
        true_left[columns] = False
        np.add.at(self.unmatched_predicted, classes[left], 1)
        np.add.at(self.unmatched_true, true_classes[true_left], 1)

    def quality(self) -> Floats:
        """[C] panoptic quality; NaN for classes without any segment."""
        weight = self.matched + 0.5 * (self.unmatched_predicted + self.unmatched_true)
        return np.divide(self.iou, weight, out=np.full(self.classes, np.nan), where=weight > 0)

    def mean(self) -> float:
        """Mean over the classes that have segments; NaN without."""
        quality = self.quality()
        return float(np.nanmean(quality)) if not np.isnan(quality).all() else float("nan")
