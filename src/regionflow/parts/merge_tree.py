"""A merge tree as teacher: three nested regions of the image for every patch, without any weights."""

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats.parts import PartMasks
from regionflow.masks import merge_tree
from regionflow.masks.options import MergeTreeOptions
from regionflow.masks.tree import MergeTree
from regionflow.parts.options import TeacherOptions
from regionflow.parts.teacher import patch_points

LEVELS = 3
LEAST_GROWTH = 2.0
"""By how much a level is larger than the one below, in area, where the tree has such regions."""


class MergeTreeTeacher:
    """Of all regions of the tree that hold a patch's centre, three: see `TeacherOptions.merge_levels`."""

    def __init__(self, options: TeacherOptions, segmenter: MergeTreeOptions) -> None:
        self._options, self._segmenter = options, segmenter

    def masks(self, square: NDArray[np.uint8]) -> PartMasks:
        """Part masks of a square RGB image [S, S, 3]: three per patch, each inside the next or equal to it.

        Scores are the tree's: the IoU that so prominent a region can be expected to have, and the share of the merge
        distances up to its parent's over which it stands.
        """
        size = len(square)
        tree = merge_tree.build(square, self._segmenter)
        if len(tree.labels) != size:
            labels = cv2.resize(tree.labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
            tree = tree.enlarged(np.asarray(labels, np.int32))
        prominence = merge_tree.prominence(tree)
        nodes = np.array([self._levels(tree, prominence, chain) for chain in tree.nodes_at(self._points(size))])
        used, index = np.unique(nodes, return_inverse=True)
        iou = merge_tree.predicted_iou(prominence)
        stability = np.clip(tree.persistence / np.maximum(tree.parent_height, 1e-12), 0, 1)
        masks = tree.rles(used)
        parts = PartMasks(size, masks, index.reshape(nodes.shape), iou[nodes], stability[nodes], merge_tree.SOURCE)
        return parts.keep(self._options.keep_levels)

    def _points(self, size: int) -> NDArray[np.float64]:
        return patch_points(size, self._options.grid)

    def _levels(self, tree: MergeTree, prominence: NDArray[np.float64], chain: list[int]) -> list[int]:
        """Three nodes of the chain from a cell to the root, in its order."""
        distances = self._options.merge_levels
        if isinstance(distances, list):
            return [_last_below(tree, chain, distance) for distance in distances]
        chosen: list[int] = []
        for place in np.argsort(-prominence[chain], kind="stable").tolist():
            areas = tree.area[[chain[other] for other in chosen]] / tree.area[chain[place]]
            if len(chosen) < LEVELS and ((areas >= LEAST_GROWTH) | (areas <= 1 / LEAST_GROWTH)).all():
                chosen.append(place)
        chosen.sort()
        # A flat image has too few regions: the largest then is part and whole at once.
        return [chain[place] for place in chosen + chosen[-1:] * (LEVELS - len(chosen))]


def _last_below(tree: MergeTree, chain: list[int], distance: float) -> int:
    """The largest region up to which no merge was farther than this; the cell itself if its own was."""
    above = np.flatnonzero(tree.height[chain] > distance)
    return chain[max(0, int(above[0]) - 1)] if len(above) else chain[-1]
