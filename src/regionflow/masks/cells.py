"""Cells: the small pieces of an image from which larger regions are merged, and which of them touch.

A `CellGraph` holds per cell its pixels and the sum of its features, per pair of touching cells the length of their
border and the contrast along it. Both add up when cells merge, so merged cells are a `CellGraph` again.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Lab = NDArray[np.float32]
COSINE_SCALE = 50.0
"""What a cosine distance of 1 counts beside colours, in units of Lab: a step between two clear colours."""


@dataclass(frozen=True)
class Weights:
    """How distances of two neighbouring regions are weighed; see `distances`."""

    border_weight: float
    size_power: float
    contact_power: float
    feature_weight: float = 0.0


@dataclass(frozen=True)
class CellGraph:
    """n cells that cover an image, and its E pairs of touching cells.

    labels: int32 [H, W], the cell of each pixel, 0 ... n-1. area: [n] pixels. sums: [n, C] sum of the features over the
    pixels. first, second: [E] the cells of a pair, first < second, in ascending order. length: [E] pairs of pixels
    side by side across the border. contrast: [E] sum over these of their difference in Lab. vectors: [n, D] sum of
    an extractor's features over the pixels; None: colour alone counts.
    """

    labels: NDArray[np.int32]
    area: Floats
    sums: Floats
    first: Ints
    second: Ints
    length: Floats
    contrast: Floats
    vectors: Floats | None = None

    def __len__(self) -> int:
        return len(self.area)

    def perimeter(self) -> Floats:
        """[n] length of each cell's border with all other cells; the edge of the image does not count."""
        n = len(self)
        return _sums(self.first, self.length, n) + _sums(self.second, self.length, n)


def to_lab(image: NDArray[np.uint8]) -> Lab:
    """CIE Lab [H, W, 3] of an RGB image: L from 0 to 100."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def basins(lab: Lab, sigma: float) -> NDArray[np.int32]:
    """Watershed basins [H, W], numbered from 0, of the colour gradient after Gaussian smoothing by `sigma` pixels.

    One basin per local minimum of the gradient magnitude (skimage.segmentation.watershed): about ten pixels each.
    """
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma) if sigma > 0 else lab
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    magnitude = np.sqrt((across**2 + down**2).sum(axis=2))
    # Without any contrast there is no minimum, and no basin is found: the image is one.
    return np.maximum(np.asarray(watershed(magnitude), np.int32) - 1, 0)


def cell_graph(labels: NDArray[np.int32], lab: Lab, features: NDArray[np.floating]) -> CellGraph:
    """The graph of a label map [H, W] without gaps; features [H, W, C] are what cells are compared by."""
    n = int(labels.max()) + 1
    keys, steps = [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[here], labels[there]
        across = a != b
        low, high = np.minimum(a[across], b[across]), np.maximum(a[across], b[across])
        keys.append(low.astype(np.int64) * n + high)
        steps.append(np.sqrt(((lab[here][across] - lab[there][across]) ** 2).sum(axis=1)))
    contrast = np.concatenate(steps).astype(np.float64)
    pairs = _summed(np.concatenate(keys), n, np.ones(len(contrast)), contrast)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=n).astype(np.float64)
    sums = np.stack([_sums(flat, channel.ravel(), n) for channel in np.moveaxis(features, 2, 0)], axis=1)
    return CellGraph(labels, area, sums, *pairs)


def _sums(index: NDArray[np.integer], values: NDArray[np.floating], n: int) -> Floats:
    return np.asarray(np.bincount(index, values, n), np.float64)


def _summed(keys: Ints, n: int, length: Floats, contrast: Floats) -> tuple[Ints, Ints, Floats, Floats]:
    """Pairs of cells, each once and in ascending order, with their sums; a key is first * n + second."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    first, second = np.divmod(keys[starts], n)
    if not len(starts):
        return first, second, np.empty(0), np.empty(0)
    return first, second, np.add.reduceat(length[order], starts), np.add.reduceat(contrast[order], starts)


def distances(graph: CellGraph, weights: Weights) -> Floats:
    """[E] distance of each pair of touching cells.

    (1 - border_weight) * Euclidean distance of the mean features + border_weight * mean contrast along the border,
    times (harmonic mean of the areas / area of the image) ** size_power,
    times (length of the shared border / the shorter of the two perimeters) ** -contact_power. Where there are vectors,
    `feature_weight` of the first line is COSINE_SCALE * cosine distance of the two.
    """
    a, b = graph.first, graph.second
    mean = graph.sums / graph.area[:, None]
    perimeter = graph.perimeter()
    apart = np.sqrt(((mean[a] - mean[b]) ** 2).sum(axis=1))
    size = 2 * graph.area[a] * graph.area[b] / (graph.area[a] + graph.area[b]) / graph.labels.size
    contact = graph.length / np.minimum(perimeter[a], perimeter[b])
    look = (1 - weights.border_weight) * apart + weights.border_weight * graph.contrast / graph.length
    if graph.vectors is not None:
        unlike = COSINE_SCALE * cosine_distances(graph.vectors[a], graph.vectors[b])
        look = (1 - weights.feature_weight) * look + weights.feature_weight * unlike
    return look * size**weights.size_power * contact**-weights.contact_power


def cosine_distances(vectors: Floats, others: Floats) -> Floats:
    """[n] 1 - cosine of each row of `vectors` [n, D] and of `others` [n, D] or [D]; 0 where either is zero."""
    lengths = np.sqrt((vectors**2).sum(axis=-1)) * np.sqrt((others**2).sum(axis=-1))
    products = (vectors * others).sum(axis=-1)
    return np.asarray(1 - np.divide(products, lengths, out=np.ones_like(products), where=lengths > 0))


def merge_similar(graph: CellGraph, weights: Weights, below: float) -> CellGraph:
    """Merge pairs of cells that are each other's nearest neighbour and nearer than `below`, in rounds.

    All such pairs of a round merge at once, which takes a few array operations; in a greedy merge they would be
    merged one after the other (reciprocal nearest neighbours: Murtagh 1983). A round that leaves more than 99 % of the
    cells as they are is the last.
    """
    few = False
    while not few:
        chosen = _mutually_nearest(graph, distances(graph, weights), below)
        n = len(graph)
        few = chosen.sum() <= n // 100
        links = coo_matrix((chosen[chosen], (graph.first[chosen], graph.second[chosen])), shape=(n, n))
        count, group = connected_components(links, directed=False)
        graph = _grouped(graph, count, group)
    return graph


def _mutually_nearest(graph: CellGraph, distance: Floats, below: float) -> NDArray[np.bool_]:
    """[E] whether both cells of a pair have no nearer neighbour; of equally near ones the first in the list counts."""
    rank = np.empty(len(distance), np.int64)
    rank[np.argsort(distance, kind="stable")] = np.arange(len(distance))
    nearest = np.full(len(graph), len(distance))
    np.minimum.at(nearest, graph.first, rank)
    np.minimum.at(nearest, graph.second, rank)
    return (rank == nearest[graph.first]) & (rank == nearest[graph.second]) & (distance < below)


def _grouped(graph: CellGraph, count: int, group: NDArray[np.int32]) -> CellGraph:
    a, b = group[graph.first].astype(np.int64), group[graph.second].astype(np.int64)
    apart = a != b
    keys = np.minimum(a, b)[apart] * count + np.maximum(a, b)[apart]
    pairs = _summed(keys, count, graph.length[apart], graph.contrast[apart])
    area = _sums(group, graph.area, count)
    sums = np.stack([_sums(group, channel, count) for channel in graph.sums.T], axis=1)
    return CellGraph(group.astype(np.int32)[graph.labels], area, sums, *pairs)
