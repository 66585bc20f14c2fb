"""Automatic labels: k-means over the region features of the whole set, then the nearest centre for every region.

sklearn.cluster.MiniBatchKMeans (Sculley 2010), as in ALPS (arXiv 2406.10855), but started on a sample of all images
and fed in a seeded order for several passes. Features are read in blocks, so memory does not grow with the set, and
the order does not depend on how many jobs made them.
"""

import contextlib
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin_min, silhouette_score
from threadpoolctl import ThreadpoolController, threadpool_limits

from regionflow.base.errors import UserError
from regionflow.formats.clusters import Clusters, Features
from regionflow.formats.pooled import BLOCK_ROWS, SetColumn
from regionflow.labels.options import ClustersOptions

# The silhouette takes time and memory by the square of its rows.
SILHOUETTE_ROWS = 2000


class TooFewRegions(UserError):
    """The set has fewer usable regions than clusters were asked for."""


class Rows:
    """The rows of region features [N, C] that a fit sees: those chosen, of finite values; read in blocks."""

    def __init__(self, features: SetColumn | Features, chosen: NDArray[np.bool_] | None = None) -> None:
        self.features = features
        self.chosen = np.ones(len(features), bool) if chosen is None else chosen
        self.starts = np.arange(0, len(features), BLOCK_ROWS)

    def block(self, start: int | np.integer) -> Features:
        """The usable rows of one block."""
        part = slice(int(start), int(start) + BLOCK_ROWS)
        if not self.chosen[part].any():
            return self.none()
        block = np.asarray(self.features[part], dtype=np.float32)[self.chosen[part]]
        return block[np.isfinite(block).all(axis=1)]

    def __iter__(self) -> Iterator[Features]:
        return (self.block(start) for start in self.starts)

    def none(self) -> Features:
        """No rows, of the right width."""
        return np.empty((0, self.features.shape[1]), np.float32)


def fit(
    features: SetColumn | Features, options: ClustersOptions, parts: Sequence[NDArray[np.bool_]] | None = None
) -> Clusters:
    """Fit `options.first_k` clusters to features [N, C], or to those in some `parts` [N] of them, such as a split each.

    Rows with NaN or infinite values are left out and counted. Raises TooFewRegions with both numbers if there are
    fewer usable rows than clusters; as published the first part alone must have as many.
    """
    k, rows = options.first_k, Rows(features, None if parts is None else np.logical_or.reduce(parts))
    # One thread: sums in one order, so equal input gives equal centres on every machine size.
    with threadpool_limits(1):
        sample, usable = _sample(rows, options)
        unusable = int(rows.chosen.sum()) - usable
        if usable < k:
            raise TooFewRegions(
                f"{usable} usable regions ({unusable} with NaN or infinite features) are fewer than "
                f"clusters.k = {k}; lower clusters.k or add images"
            )
        if options.as_published:
            fed = [Rows(features, part) for part in parts or [rows.chosen]]
            model, epochs, reassignments = _as_published(fed, options)
        else:
            model, epochs, reassignments = _epochs(rows, sample, options)
        centres = model.cluster_centers_.astype(np.float32)
        sizes, inertia = _assess(rows, centres)
        silhouette = _silhouette(sample, centres, options.seed)
    return Clusters(centres, sizes, inertia, silhouette, epochs, reassignments, usable, unusable)


def predict(features: Features, centres: Features) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest centre [R] and Euclidean distance to it [R]; -1 and NaN for rows with NaN or infinite values.

    Raises UserError if features and centres have different numbers of channels.
    """
    cluster = np.full(len(features), -1, dtype=np.int64)
    distance = np.full(len(features), np.nan)
    good = np.isfinite(features).all(axis=1)
    if good.any():
        if features.shape[1] != centres.shape[1]:
            raise UserError(
                f"region features have {features.shape[1]} channels, the cluster centres {centres.shape[1]}: "
                "clusters.model was fitted to another extractor"
            )
        with _pools().limit(limits=1):
            cluster[good], distance[good] = pairwise_distances_argmin_min(features[good], centres)
    return cluster, distance


@cache
def _pools() -> ThreadpoolController:
    """The libraries with threads of their own; looking for them takes longer than a prediction."""
    return ThreadpoolController()


def _epochs(rows: Rows, sample: Features, options: ClustersOptions) -> tuple[MiniBatchKMeans, int, int]:
    """Passes in seeded order from a k-means++ start on the sample, until they hardly move the centres."""
    centres, _ = kmeans_plusplus(sample, options.first_k, random_state=options.seed)
    model = MiniBatchKMeans(
        options.first_k,
        init=centres,
        n_init=1,
        batch_size=options.batch_size,
        random_state=options.seed,
        verbose=1,
    )
    # Movement is judged against the spread of the data, as sklearn's own tol is.
    spread = float(np.sqrt(np.mean(np.var(sample, axis=0)))) or 1.0
    reassignments = epoch = 0
    for epoch in range(1, options.max_epochs + 1):
        before = model.cluster_centers_.copy() if epoch > 1 else centres
        for batch in _batches(rows, max(options.batch_size, options.first_k), [options.seed, epoch]):
            reassignments += _step(model, batch)
        moved = float(np.sqrt(np.mean((model.cluster_centers_ - before) ** 2)))
        if moved <= options.tolerance * spread:
            break
    return model, epoch, reassignments


def _as_published(parts: Sequence[Rows], options: ClustersOptions) -> tuple[MiniBatchKMeans, int, int]:
    """ALPS's online k-means: one pass in the order of the images, started on the first batch alone.

    Each part (ALPS: train, then val) is fed for itself, so its last mini-batch may be a small one. Sums are in float64:
    ALPS feeds torch tensors, which sklearn takes for something to convert.
    """
    k = options.first_k
    model = MiniBatchKMeans(k, n_init="auto", batch_size=options.batch_size, random_state=options.seed, verbose=1)
    batches = itertools.chain.from_iterable(_batches(part, max(options.batch_size, k)) for part in parts)
    first = next(batches)
    if len(first) < k:
        raise TooFewRegions(
            f"{len(first)} usable regions in the first split of the fit are fewer than clusters.k = {k}; with "
            "clusters.as_published the centres start on them: lower clusters.k or add images"
        )
    return model, 1, sum(_step(model, batch.astype(np.float64)) for batch in itertools.chain([first], batches))


def _step(model: MiniBatchKMeans, batch: Features) -> int:
    """One mini-batch; returns how many centres it reassigned, which sklearn tells by printing it only."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        model.partial_fit(batch)
    return sum(int(n) for n in re.findall(r"Reassigning (\d+) cluster", printed.getvalue()))


def _sample(rows: Rows, options: ClustersOptions) -> tuple[Features, int]:
    """A seeded sample over all rows, and the number of usable ones."""
    chosen, wanted = int(rows.chosen.sum()), options.init_regions
    rng = np.random.default_rng(options.seed)
    parts, usable = [rows.none()], 0
    for block in rows:
        usable += len(block)
        parts.append(block if chosen <= wanted else block[rng.random(len(block)) < wanted / chosen])
    sample = np.concatenate(parts)
    if len(sample) < options.first_k <= usable:
        # A small sample of a small set can miss; the first rows then do.
        sample = np.concatenate([sample, *rows])[: options.first_k + len(sample)]
    return sample, usable


def _batches(rows: Rows, size: int, seed: list[int] | None = None) -> Iterator[Features]:
    """Mini-batches of one pass: with a seed, blocks in seeded order and shuffled inside, else in the order stored."""
    rng = None if seed is None else np.random.default_rng(seed)
    starts = rows.starts.copy()
    if rng:
        rng.shuffle(starts)
    rest = rows.none()
    for start in starts:
        block = rows.block(start)
        if rng:
            rng.shuffle(block)
        waiting = np.concatenate([rest, block])
        whole = len(waiting) // size * size
        yield from np.split(waiting[:whole], whole // size) if whole else ()
        rest = waiting[whole:]
    if len(rest):
        yield rest


def _assess(rows: Rows, centres: Features) -> tuple[NDArray[np.int64], float]:
    """Regions per cluster and the mean squared distance to the nearest centre."""
    sizes, total = np.zeros(len(centres), np.int64), 0.0
    for block in rows:
        cluster, distance = predict(block, centres)
        sizes += np.bincount(cluster, minlength=len(centres))
        total += float(np.sum(distance**2))
    return sizes, total / int(sizes.sum())


def _silhouette(sample: Features, centres: Features, seed: int) -> float:
    """Mean silhouette of some rows of the sample; NaN if they lie in one cluster or each in its own."""
    rng = np.random.default_rng(seed)
    some = sample[np.sort(rng.permutation(len(sample))[:SILHOUETTE_ROWS])]
    cluster, _ = predict(some, centres)
    if not 2 <= len(set(cluster.tolist())) < len(some):
        return float("nan")
    return float(silhouette_score(some, cluster))
