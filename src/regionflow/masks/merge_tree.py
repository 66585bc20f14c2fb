"""Masks without weights: a tree of nested regions, those that stand out longest first.

Own work after region merging trees (Salembier and Garrido 2000, binary partition trees) over watershed basins. The
constants were chosen on drawn scenes (benchmarks/merge_tree.py), none of which the benchmark measures.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.base.arrays import check_rgb
from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.regions import Annotation, annotation
from regionflow.masks import cells
from regionflow.masks.agglomerate import agglomerate
from regionflow.masks.cell_features import cell_features
from regionflow.masks.options import MergeTreeOptions
from regionflow.masks.tree import MergeTree

SOURCE = "merge_tree"
OWN_HEIGHT = 0.6
"""How much of a node's own height counts against it; 1 would be its persistence."""
SCENE_CONTRAST = 35.7
"""Mean `contrast` of the drawn scenes to which `predicted_iou` was fitted."""
IOU_POWER, IOU_HALF = 1.38, 0.53

Floats = NDArray[np.float64]


class MergeTreeSegmenter:
    """The merge tree as a segmenter."""

    def __init__(self, options: MergeTreeOptions, device: str = "cpu", points_per_batch: int | None = None) -> None:
        self._options = options  # there is no model: device and batch have no effect

    def generate(self, image: NDArray[np.uint8], features: FeatureMap | None = None) -> list[Annotation]:
        """Masks of an RGB image [H, W, 3], best predicted IoU first; any two are nested or disjoint.

        `features`: the image's feature map by the extractor that the options name, if they name one.
        """
        return generate(image, self._options, features)


def generate(
    image: NDArray[np.uint8], options: MergeTreeOptions, features: FeatureMap | None = None
) -> list[Annotation]:
    """What `MergeTreeSegmenter.generate` gives.

    Raises UserError if the options name an extractor and there is no feature map, ValueError for one of another image.

    `stability_score` of a mask is the share of the merge distances up to its parent's over which it stands.
    """
    check_rgb(image, "merge_tree segmenter")
    height, width = image.shape[:2]
    tree = build(image, options, features)
    scores = prominence(tree)
    predicted = predicted_iou(scores * SCENE_CONTRAST / contrast(image))
    nodes = select(tree, scores, options)
    nodes = nodes[predicted[nodes] >= options.pred_iou_thresh]
    parent_height = np.maximum(tree.parent_height, 1e-12)
    stability = np.clip(tree.persistence / parent_height, 0, 1)
    if tree.labels.shape != (height, width):
        labels = cv2.resize(tree.labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        tree = tree.enlarged(np.asarray(labels, np.int32))
    annotations = []
    masks = tree.rles(nodes)
    for node, mask, point in zip(nodes.tolist(), masks, rle.points_inside(masks), strict=True):
        scored: dict[str, Any] = {
            "predicted_iou": round(float(predicted[node]), 6),
            "stability_score": round(float(stability[node]), 6),
            "point_coords": [point],
            "crop_box": [0, 0, width, height],
        }
        annotations.append(annotation(mask, SOURCE, **scored))
    return annotations


def build(image: NDArray[np.uint8], options: MergeTreeOptions, features: FeatureMap | None = None) -> MergeTree:
    """The tree of an RGB image [H, W, 3]; its label map is smaller than the image if that is larger than max_side."""
    height, width = image.shape[:2]
    if options.features is not None and features is None:
        raise UserError(f"merge_tree with features: {options.features} needs the feature map of each image")
    shrink = min(1.0, options.max_side / max(height, width))
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    weights = cells.Weights(options.border_weight, options.size_power, options.contact_power, options.feature_weight)
    lab = cells.to_lab(image)
    graph = cells.cell_graph(cells.basins(lab, options.sigma), lab, lab)
    graph = cells.merge_similar(graph, weights, options.cell_distance)
    if options.features is not None and features is not None:
        graph = replace(graph, vectors=cell_features(graph.labels, features, (height, width)))
    merges = agglomerate(graph, weights)
    return MergeTree.from_merges(graph.labels, merges.children, merges.height, merges.perimeter)


def prominence(tree: MergeTree) -> Floats:
    """[N] how much a node stands out: how far its parent's merge is, less a part of its own, for compact ones more.

    Negative infinity for the root, which is the whole image, unless there is nothing else.
    """
    compactness = np.sqrt(tree.area) / np.maximum(tree.perimeter, np.sqrt(tree.area))
    scores = (tree.parent_height - OWN_HEIGHT * tree.height) * compactness
    scores[tree.root] = -np.inf if len(tree) > 1 else 1.0
    return scores


def contrast(image: NDArray[np.uint8]) -> float:
    """Spread of the colours of an image in Lab: the root of the summed variances, at least 5.

    Distances in a dark or pale image are small throughout; its regions are no less likely for that.
    """
    step = max(1, max(image.shape[:2]) // 512)
    lab = cells.to_lab(np.ascontiguousarray(image[::step, ::step]))
    return max(float(np.sqrt(lab.reshape(-1, 3).var(axis=0).sum())), 5.0)


def predicted_iou(scores: Floats) -> Floats:
    """The IoU that a node so prominent can be expected to have with a true region.

    A fit to the best IoUs of all nodes of 60 drawn scenes (benchmarks/merge_tree.py, validation seeds).
    """
    raised = np.maximum(scores, 0) ** IOU_POWER
    return raised / (raised + IOU_HALF)


def select(tree: MergeTree, scores: Floats, options: MergeTreeOptions) -> NDArray[np.int64]:
    """The most prominent nodes in order, at most max_masks, without small ones and near-duplicates."""
    order = np.argsort(-scores, kind="stable")
    order = order[(tree.area[order] >= options.min_size) & (scores[order] > 0)]
    parent, area, cells_ = tree.parent.tolist(), tree.area.tolist(), tree.cells
    children = tree.children.tolist()
    dropped = bytearray(len(tree))
    kept: list[int] = []
    for node in order.tolist():
        if dropped[node]:
            continue
        if len(kept) == options.max_masks:
            break
        kept.append(node)
        # Nested masks have the IoU of their areas, so near-duplicates lie on one path through the tree.
        least, most = area[node] * options.duplicate_iou, area[node] / options.duplicate_iou
        above = parent[node]
        while above >= 0 and area[above] < most:
            dropped[above] = 1
            above = parent[above]
        below = node
        while below >= cells_:
            below = max(children[below - cells_], key=area.__getitem__)
            if area[below] <= least:
                break
            dropped[below] = 1
    return np.array(kept, np.int64)
