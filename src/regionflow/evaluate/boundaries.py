"""Boundary precision, recall and F: how near the outlines of masks are to those of true regions."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle

Mask = NDArray[np.bool_]
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
TOLERANCE = 0.02
"""Distance that counts as near, as a share of the image's diagonal."""


def outlines(masks: Iterable[rle.Rle], height: int, width: int) -> Mask:
    """Pixels [height, width] of any mask that have a 4-neighbour in the image outside of that mask."""
    drawn = np.zeros((height, width), bool)
    for mask in masks:
        x, y, w, h = rle.bbox(mask)
        # One pixel more on each side: what lies at the edge of the box is an outline, unless the image ends there.
        box = slice(max(y - 1, 0), y + h + 1), slice(max(x - 1, 0), x + w + 1)
        inside = rle.decode(mask)[box].view(np.uint8)
        if inside.size:
            drawn[box] |= inside > cv2.erode(inside, CROSS)
    return drawn


def boundary_scores(predicted: Mask, true: Mask, tolerance: float = TOLERANCE) -> tuple[float, float, float]:
    """Precision, recall and F of outline pixels [H, W]: the share within `tolerance` diagonals of the other outline.

    Euclidean distance. Without any outline in one of the two, what the other misses is 0 and what it has 0; both
    without are in full agreement. The measure of Martin, Fowlkes and Malik (2004) without one-to-one matching, as in
    DAVIS.
    """
    if not predicted.any() and not true.any():
        return 1.0, 1.0, 1.0
    if not predicted.any() or not true.any():
        return 0.0, 0.0, 0.0
    near = tolerance * float(np.hypot(*predicted.shape))
    precision = float((_distance(true)[predicted] <= near).mean())
    recall = float((_distance(predicted)[true] <= near).mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def _distance(outline: Mask) -> NDArray[np.float32]:
    """Euclidean distance in pixels [H, W] of each pixel to the nearest outline pixel."""
    return np.asarray(cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
