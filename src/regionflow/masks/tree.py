"""A binary tree of regions over the cells of an image: every pair of nodes is nested or disjoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MergeTree:
    """N = 2n - 1 nodes over n cells; nodes 0 ... n-1 are the cells, each later one is made by a merge, the last is all.

    labels: int32 [H, W], the cell of each pixel. children: int [n - 1, 2], of node n + i. parent: int [N], -1 for the
    root. height: [N], distance at which a node was merged from its children, 0 for cells; a node can be lower than its
    children. area: int [N] pixels. perimeter: [N] length in pixels of the border inside the image.
    """

    labels: NDArray[np.int32]
    children: Ints
    parent: Ints
    height: NDArray[np.float64]
    area: Ints
    perimeter: NDArray[np.float64]

    @classmethod
    def from_merges(
        cls,
        labels: NDArray[np.int32],
        children: Ints,
        height: NDArray[np.float64],
        perimeter: NDArray[np.float64],
    ) -> "MergeTree":
        """The tree of n - 1 merges; height [n - 1] is that of the merged nodes, perimeter [2n - 1] of all."""
        n = len(children) + 1
        parent = np.full(2 * n - 1, -1, np.int64)
        parent[children] = np.arange(n, 2 * n - 1)[:, None]
        area = np.bincount(labels.ravel(), minlength=n).tolist()
        for a, b in children.tolist():
            area.append(area[a] + area[b])
        every = np.r_[np.zeros(n), height]
        return cls(labels, children, parent, every, np.array(area, np.int64), perimeter)

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def cells(self) -> int:
        """Number n of cells."""
        return len(self.children) + 1

    @property
    def root(self) -> int:
        """The node that is the whole image."""
        return len(self) - 1

    @property
    def parent_height(self) -> NDArray[np.float64]:
        """[N] height of each node's parent; the root's own height for the root."""
        return np.r_[self.height[self.parent[:-1]], self.height[-1:]]

    @property
    def persistence(self) -> NDArray[np.float64]:
        """[N] how much farther than the node itself its parent was merged; at least 0, 0 for the root."""
        return np.maximum(self.parent_height - self.height, 0)

    @cached_property
    def intervals(self) -> tuple[Ints, Ints, Ints]:
        """first [N], last [N], place [n]: node v is made of the cells whose place is in first[v] ... last[v] - 1."""
        n = self.cells
        size = [1] * n
        for a, b in self.children.tolist():
            size.append(size[a] + size[b])
        first = [0] * len(self)
        for node in range(len(self) - 1, n - 1, -1):
            a, b = self.children[node - n].tolist()
            first[a], first[b] = first[node], first[node] + size[a]
        start = np.array(first, np.int64)
        return start, start + np.array(size, np.int64), start[:n]

    def cells_of(self, node: int) -> Ints:
        """Numbers of the cells that a node is made of, ascending."""
        first, last, place = self.intervals
        return np.flatnonzero((place >= first[node]) & (place < last[node]))

    def mask(self, node: int) -> NDArray[np.bool_]:
        """Pixels [H, W] of a node."""
        first, last, place = self.intervals
        at = place[self.labels]
        return (at >= first[node]) & (at < last[node])

    def ancestors(self, node: int) -> list[int]:
        """The node itself, its parent, and so on to the root."""
        chain = [node]
        while (node := int(self.parent[node])) >= 0:
            chain.append(node)
        return chain

    def nodes_at(self, points: NDArray[np.floating] | Sequence[Sequence[float]]) -> list[list[int]]:
        """All nodes that hold a point, smallest first, for points [P, 2] of x and y in pixels, pixel centres at .5."""
        height, width = self.labels.shape
        at = np.floor(np.asarray(points, np.float64).reshape(-1, 2)).astype(np.int64)
        outside = (at < 0).any(axis=1) | (at >= (width, height)).any(axis=1)
        if outside.any():
            raise ValueError(f"point {at[outside][0].tolist()} is not in an image of {width} x {height} pixels")
        return [self.ancestors(int(cell)) for cell in self.labels[at[:, 1], at[:, 0]]]

    def within(self, node: int, nodes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of the nodes lie in `node`, itself included."""
        first, last, _ = self.intervals
        return (first[nodes] >= first[node]) & (last[nodes] <= last[node])

    def enlarged(self, labels: NDArray[np.int32]) -> "MergeTree":
        """The same tree over another label map [H', W'] of the same cells; areas follow, perimeters do not."""
        return MergeTree.from_merges(labels, self.children, self.height[self.cells :], self.perimeter)

    def rles(self, nodes: NDArray[np.integer]) -> list[rle.Rle]:
        """Masks of nodes, without drawing them: from the runs of the label map that their cells are made of."""
        height, width = self.labels.shape
        first, last, place = self.intervals
        flat = place[self.labels.ravel(order="F")]
        starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
        stops = np.r_[starts[1:], flat.size]
        by_place = np.argsort(flat[starts], kind="stable")
        sorted_places = flat[starts][by_place]
        masks = []
        begins, ends = (np.searchsorted(sorted_places, edge[nodes]).tolist() for edge in (first, last))
        for begin, end in zip(begins, ends, strict=True):
            runs = np.sort(by_place[begin:end])
            run_starts, run_stops = starts[runs], stops[runs]
            apart = np.flatnonzero(run_starts[1:] != run_stops[:-1])  # others go on where the one before ends
            edges = np.empty(2 * len(apart) + 4, np.int64)
            edges[0], edges[1], edges[-2], edges[-1] = 0, run_starts[0], run_stops[-1], flat.size
            edges[2:-2:2], edges[3:-2:2] = run_stops[apart], run_starts[apart + 1]
            counts = (edges[1:] - edges[:-1]).tolist()
            masks.append(rle.from_runs(counts if counts[-1] else counts[:-1], height, width))
        return masks
