"""Greedy merging of the cells of a graph, always the nearest pair of neighbours, into one tree."""

import heapq
from dataclasses import dataclass
from math import dist

import numpy as np
from numpy.typing import NDArray

from regionflow.masks.cells import COSINE_SCALE, CellGraph, Weights, cosine_distances, distances


@dataclass(frozen=True)
class Merges:
    """n - 1 merges of n cells; the node that merge i makes has the number n + i.

    children: int [n - 1, 2]. height: [n - 1] distance of the two when they merged. perimeter: [2n - 1] length of each
    node's border with other cells, cells first.
    """

    children: NDArray[np.int64]
    height: NDArray[np.float64]
    perimeter: NDArray[np.float64]


def agglomerate(graph: CellGraph, weights: Weights) -> Merges:
    """Merge the two neighbours with the smallest distance (`cells.distances`) until one node is left.

    Of equally near pairs the one with the smaller node numbers comes first. A heap holds the distances; those of a
    node that has been merged meanwhile are skipped. O(E log E) steps for a graph whose cells have few neighbours.
    """
    n = len(graph)
    nodes = 2 * n - 1
    neighbours = _neighbours(graph, nodes)
    area = [*graph.area.tolist(), *[0.0] * (n - 1)]
    perimeter = [*graph.perimeter().tolist(), *[0.0] * (n - 1)]
    mean: list[tuple[float, ...]] = [tuple(row) for row in (graph.sums / graph.area[:, None]).tolist()]
    heap = list(zip(distances(graph, weights).tolist(), graph.first.tolist(), graph.second.tolist(), strict=True))
    heapq.heapify(heap)
    push, pop = heapq.heappush, heapq.heappop
    merged = bytearray(nodes)
    children: list[tuple[int, int]] = []
    height: list[float] = []
    border, power, contact = weights.border_weight, weights.size_power, -weights.contact_power
    size_factor = 2.0 / graph.labels.size
    share = weights.feature_weight
    vectors = None if graph.vectors is None else np.concatenate([graph.vectors, np.zeros((n, graph.vectors.shape[1]))])
    while heap:
        distance, i, j = pop(heap)
        if merged[i] or merged[j]:
            continue
        new = n + len(children)
        merged[i] = merged[j] = 1
        children.append((i, j))
        height.append(distance)
        own = area[new] = area[i] + area[j]
        share_i, share_j = area[i] / own, area[j] / own
        own_mean = tuple([a * share_i + b * share_j for a, b in zip(mean[i], mean[j], strict=True)])
        mean.append(own_mean)
        around = perimeter[new] = perimeter[i] + perimeter[j] - 2 * neighbours[i][j][0]
        touching = neighbours[new] = _joined(neighbours, i, j)
        unlike: dict[int, float] = {}
        if vectors is not None:
            vectors[new] = vectors[i] + vectors[j]
            unlike = dict(zip(touching, cosine_distances(vectors[list(touching)], vectors[new]).tolist(), strict=True))
        for k, (length, contrast) in touching.items():
            its = neighbours[k]
            its.pop(i, None)
            its.pop(j, None)
            its[new] = (length, contrast)
            other = area[k]
            shorter = perimeter[k] if perimeter[k] < around else around
            look = (1 - border) * dist(own_mean, mean[k]) + border * contrast / length
            if unlike:
                look = (1 - share) * look + share * COSINE_SCALE * unlike[k]
            size = size_factor * own * other / (own + other)
            push(heap, (look * size**power * (length / shorter) ** contact, k, new))
    return Merges(np.array(children, np.int64).reshape(-1, 2), np.array(height), np.array(perimeter))


Border = tuple[float, float]
"""Length and summed contrast of the border of two nodes."""


def _neighbours(graph: CellGraph, nodes: int) -> list[dict[int, Border]]:
    neighbours: list[dict[int, Border]] = [{} for _ in range(nodes)]
    columns = (graph.first, graph.second, graph.length, graph.contrast)
    for i, j, length, contrast in zip(*(c.tolist() for c in columns), strict=True):
        neighbours[i][j] = neighbours[j][i] = (length, contrast)
    return neighbours


def _joined(neighbours: list[dict[int, Border]], i: int, j: int) -> dict[int, Border]:
    """The neighbours of i and j without the two; the larger dictionary is used again, both entries are emptied."""
    small, large = sorted((neighbours[i], neighbours[j]), key=len)
    neighbours[i] = neighbours[j] = {}
    for k in (i, j):
        small.pop(k, None)
        large.pop(k, None)
    for k, (length, contrast) in small.items():
        had = large.get(k)
        large[k] = (length, contrast) if had is None else (had[0] + length, had[1] + contrast)
    return large
