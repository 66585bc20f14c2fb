"""Masks without weights: felzenszwalb's graph-based segmentation at several scales.

Stands behind the same record format as SAM. `predicted_iou` of a mask is the best mask IoU it reaches with a mask of a
neighbouring scale, `stability_score` the lowest of these over its neighbouring scales: a mask that the segmentation
finds again at another scale is more likely a thing than one that appears once.
"""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

from regionflow.base.arrays import check_rgb
from regionflow.formats import rle
from regionflow.formats.regions import Annotation, annotation
from regionflow.masks.options import GraphOptions

SOURCE = "graph"
Labels = NDArray[np.int64]


class Graph:
    """Felzenszwalb's segmentation at several scales as a segmenter."""

    def __init__(self, options: GraphOptions, device: str = "cpu", points_per_batch: int | None = None) -> None:
        self._options = options  # there is no model: device and batch have no effect

    def generate(self, image: NDArray[np.uint8]) -> list[Annotation]:
        """Masks of an RGB image [H, W, 3], best predicted IoU first (ties: smaller scale, then smaller label first)."""
        return generate(image, self._options)


def generate(image: NDArray[np.uint8], options: GraphOptions) -> list[Annotation]:
    """What `Graph.generate` gives."""
    check_rgb(image, "graph segmenter")
    height, width = image.shape[:2]
    levels = label_maps(image, options)
    counts = [int(level.max()) + 1 for level in levels]
    offsets = np.cumsum([0, *counts])
    scores = _scores(levels)
    predicted = np.concatenate([best for best, _ in scores])
    stability = np.concatenate([worst for _, worst in scores])
    keep = _without_duplicates(levels, offsets, predicted, options)
    annotations = []
    encoded = [rle.from_label_map(level) for level in levels]
    of_level = [int(np.searchsorted(offsets, index, side="right")) - 1 for index in keep]
    masks = [encoded[level][int(index - offsets[level])] for index, level in zip(keep, of_level, strict=True)]
    for index, level, mask, point in zip(keep, of_level, masks, rle.points_inside(masks), strict=True):
        scored: dict[str, Any] = {
            "predicted_iou": round(float(predicted[index]), 6),
            "stability_score": round(float(stability[index]), 6),
            "point_coords": [point],
            "crop_box": [0, 0, width, height],
            "scale": options.scales[level],
        }
        annotations.append(annotation(mask, SOURCE, **scored))
    return annotations


def label_maps(image: NDArray[np.uint8], options: GraphOptions) -> list[Labels]:
    """One label map [H, W] per scale, labels 0 ... K-1 without gaps."""
    height, width = image.shape[:2]
    shrink = min(1.0, options.max_side / max(height, width))
    small = image
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    levels = []
    for scale in options.scales:
        labels = felzenszwalb(small, scale=scale, sigma=options.sigma, min_size=options.min_size, channel_axis=-1)
        if shrink < 1:
            labels = cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        levels.append(np.unique(labels, return_inverse=True)[1].reshape(height, width))
    return levels


def _ious(
    a: NDArray[np.int64], b: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Mask IoU of every pair of labels of two label maps that overlap at all: labels of a, labels of b, IoU."""
    size_b = int(b.max()) + 1
    pairs, inter = np.unique(a.ravel() * size_b + b.ravel(), return_counts=True)
    in_a, in_b = np.divmod(pairs, size_b)
    union = np.bincount(a.ravel())[in_a] + np.bincount(b.ravel())[in_b] - inter
    return in_a, in_b, inter / union


def _scores(levels: list[Labels]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Per level and label: the best and the lowest of the agreements with the neighbouring levels."""
    agreements: list[list[NDArray[np.float64]]] = [[] for _ in levels]
    for i, (fine, coarse) in enumerate(pairwise(levels)):
        in_fine, in_coarse, iou = _ious(fine, coarse)
        for level, labels, index in ((i, in_fine, fine), (i + 1, in_coarse, coarse)):
            best = np.zeros(int(index.max()) + 1)
            np.maximum.at(best, labels, iou)
            agreements[level].append(best)
    return [(np.max(a, axis=0), np.min(a, axis=0)) for a in agreements]


def _without_duplicates(
    levels: list[Labels], offsets: NDArray[np.int64], predicted: NDArray[np.float64], options: GraphOptions
) -> list[int]:
    """Greedy suppression by mask IoU over all levels; masks of one level never overlap."""
    near: dict[int, list[int]] = {}
    for i in range(len(levels)):
        for j in range(i + 1, len(levels)):
            in_i, in_j, iou = _ious(levels[i], levels[j])
            for a, b in zip(*(x[iou > options.duplicate_iou] for x in (in_i, in_j)), strict=True):
                first, second = int(offsets[i] + a), int(offsets[j] + b)
                near.setdefault(first, []).append(second)
                near.setdefault(second, []).append(first)
    kept: list[int] = []
    dropped: set[int] = set()
    for index in np.argsort(-predicted, kind="stable").tolist():
        if index in dropped or predicted[index] < options.pred_iou_thresh:
            continue
        kept.append(index)
        dropped.update(near.get(index, []))
    return kept
