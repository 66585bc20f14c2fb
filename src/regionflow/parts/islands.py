"""Islands: neighbouring columns that hold like vectors. How well they follow the teacher's masks, and as colours.

The original draws the length of a fresh random projection to two numbers, so that no two pictures compare. Here one
projection to three colours is fitted to the teacher's embeddings of the whole set, and used for all images, levels and
iterations: the same colour is the same vector everywhere.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from regionflow.formats.part_set import Projection
from regionflow.formats.parts import EMPTY

FIT_ROWS = 20_000
TAILS = (2, 98)
"""Percentiles of the fitted embeddings that become black and full colour."""


def fit_projection(embeddings: NDArray[np.floating], seed: int = 0) -> Projection:
    """The three main axes of the teacher's embeddings [M, E], from a seeded sample of them.

    Fewer than three embeddings, or alike ones, have fewer axes: the colours of the others are black.
    """
    chosen = np.random.default_rng(seed).permutation(len(embeddings))[:FIT_ROWS]
    rows = np.asarray(embeddings[np.sort(chosen)], np.float64)
    mean, axes, tails = np.zeros(rows.shape[1]), np.zeros((3, rows.shape[1])), np.zeros((2, 3))
    if len(rows):
        mean = rows.mean(axis=0)
    if len(rows) and np.ptp(rows, axis=0).any():
        pca = PCA(min(3, *rows.shape), svd_solver="full").fit(rows)
        mean, axes[: len(pca.components_)] = pca.mean_, pca.components_
        tails[:, : len(pca.components_)] = np.percentile(pca.transform(rows), TAILS, axis=0)
    return Projection(*(np.asarray(x, np.float32) for x in (mean, axes, tails)))


def agreement(
    vectors: NDArray[np.floating], index: NDArray[np.int64], members: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How much more alike columns of one mask are than columns of different masks, per level [L], from -2 to 2.

    The mean cosine of pairs of patches that lie in each other's mask, minus that of pairs of which neither lies in the
    other's; the remaining pairs count nowhere. NaN for a level that lacks either kind of pair.

    Args:
        vectors: of every patch and level [P, L, D].
        index: rows of `members` [P, L], EMPTY where a patch has no mask.
        members: which patches lie in each mask [M, P].
    """
    scores = np.full(vectors.shape[1], np.nan)
    for level in range(len(scores)):
        with_mask = np.flatnonzero(index[:, level] != EMPTY)
        holds = members[index[with_mask, level]][:, with_mask]
        pairs = ~np.eye(len(with_mask), dtype=bool)
        same, apart = holds & holds.T & pairs, ~holds & ~holds.T & pairs
        if same.any() and apart.any():
            rows = vectors[with_mask, level].astype(np.float64)
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            cosine = rows @ rows.T
            scores[level] = cosine[same].mean() - cosine[apart].mean()
    return scores
