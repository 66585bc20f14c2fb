"""Agreement of clusters or classes with true classes, from one table of pixel counts."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Contingency:
    """Pixels counted by predicted value and true class.

    counts: int [P, C]. missed: [C] pixels of each class without a prediction; for accuracy and IoU they are wrong.
    """

    predicted: int
    classes: int
    counts: Counts = field(init=False)
    missed: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.predicted, self.classes), np.int64)
        self.missed = np.zeros(self.classes, np.int64)

    def add(self, predicted: NDArray[np.integer], true: NDArray[np.integer]) -> None:
        """Count the pixels of one image: maps [H, W] of values 0 ... P-1 and classes 0 ... C-1.

        Pixels whose true class is negative are left out; those with a negative prediction are missed.
        Raises ValueError for maps of different sizes or values out of range.
        """
        if predicted.shape != true.shape:
            raise ValueError(f"a label map of {predicted.shape} for a true one of {true.shape} pixels")
        known = true >= 0
        p, t = predicted[known].astype(np.int64), true[known].astype(np.int64)
        if p.max(initial=-1) >= self.predicted or t.max(initial=-1) >= self.classes:
            raise ValueError(f"values beyond {self.predicted} predicted or {self.classes} true classes")
        has = p >= 0
        self.missed += np.bincount(t[~has], minlength=self.classes)
        flat = np.bincount(p[has] * self.classes + t[has], minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    @property
    def pixels(self) -> int:
        """Pixels with a true class."""
        return int(self.counts.sum() + self.missed.sum())


@dataclass(frozen=True)
class ClassScores:
    """accuracy: share of the pixels. iou: [C] per class, NaN for classes that neither side has. miou: their mean."""

    accuracy: float
    iou: Floats
    miou: float


def class_scores(table: Contingency, assigned: NDArray[np.integer] | None = None) -> ClassScores:
    """Accuracy and IoU when predicted value p stands for class assigned[p] (p itself without), -1 for none."""
    if assigned is None:
        assigned = np.where(np.arange(table.predicted) < table.classes, np.arange(table.predicted), -1)
    of = np.zeros((table.classes, table.classes), np.int64)
    has = assigned >= 0
    np.add.at(of, assigned[has], table.counts[has])
    right = np.diag(of)
    truly = table.counts.sum(axis=0) + table.missed
    union = truly + of.sum(axis=1) - right
    iou = np.divide(right, union, out=np.full(table.classes, np.nan), where=union > 0)
    accuracy = float(right.sum() / table.pixels) if table.pixels else float("nan")
    return ClassScores(accuracy, iou, float(np.nanmean(iou)) if (union > 0).any() else float("nan"))


def hungarian(table: Contingency) -> NDArray[np.int64]:
    """[P] class of each value: the one-to-one assignment with the most right pixels; -1 for values that get none."""
    assigned = np.full(table.predicted, -1, np.int64)
    rows, columns = linear_sum_assignment(table.counts, maximize=True)
    assigned[rows] = columns
    return assigned


def many_to_one(table: Contingency) -> NDArray[np.int64]:
    """[P] the most frequent true class of each value (the first of equally frequent ones); -1 for unused values."""
    return np.where(table.counts.any(axis=1), table.counts.argmax(axis=1), -1)


def purity(table: Contingency) -> float:
    """Share of the labelled pixels that are of the most frequent class of their value."""
    total = table.counts.sum()
    return float(table.counts.max(axis=1, initial=0).sum() / total) if total else float("nan")


def adjusted_rand(table: Contingency) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) of labelled pixels; NaN for fewer than two."""
    counts = table.counts.astype(object)  # Python's integers: pairs of pixels of a large set go beyond 64 bits.
    total = int(counts.sum())
    if total < 2:
        return float("nan")
    both = int((counts * (counts - 1)).sum()) // 2
    rows, columns = (int((s * (s - 1)).sum()) // 2 for s in (counts.sum(axis=1), counts.sum(axis=0)))
    every = total * (total - 1) // 2
    expected, most = rows * columns / every, (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def normalized_mutual_information(table: Contingency) -> float:
    """Mutual information of labelled pixels over the arithmetic mean of the two entropies; NaN without pixels."""
    total = table.counts.sum()
    if not total:
        return float("nan")
    joint = table.counts / total
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    at = joint > 0
    mutual = float((joint[at] * np.log(joint[at] / np.outer(rows, columns)[at])).sum())
    entropies = [-float((p[p > 0] * np.log(p[p > 0])).sum()) for p in (rows, columns)]
    mean = sum(entropies) / 2
    return 1.0 if mean == 0 else max(mutual, 0.0) / mean


def cluster_summary(table: Contingency) -> dict[str, float | int]:
    """All scores of clusters against classes, as one line of a table."""
    matched, best = class_scores(table, hungarian(table)), class_scores(table, many_to_one(table))
    return {
        "pixels": table.pixels,
        "clusters_used": int(table.counts.any(axis=1).sum()),
        "hungarian_accuracy": matched.accuracy,
        "hungarian_miou": matched.miou,
        "many_to_one_accuracy": best.accuracy,
        "many_to_one_miou": best.miou,
        "ari": adjusted_rand(table),
        "nmi": normalized_mutual_information(table),
        "purity": purity(table),
    }
