"""Automatic labels: k-means over the region features of the whole set, then the nearest centre for every region.

sklearn.cluster.MiniBatchKMeans (Sculley 2010), as in ALPS (arXiv 2406.10855), but started on a sample of all images
and fed in a seeded order for several passes. Features are read in blocks, so memory does not grow with the set, and
the order does not depend on how many jobs made them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin_min
from threadpoolctl import threadpool_limits

from regionflow.config.types import ClustersOptions
from regionflow.errors import UserError
from regionflow.options import canonical_json

Features = NDArray[np.float32]
# Rows read at once; large enough that the per-image files under a block are few per row, small beside the models.
BLOCK_ROWS = 16384


class TooFewRegions(UserError):
    """The set has fewer usable regions than clusters were asked for."""


@dataclass(frozen=True)
class Clusters:
    """Fitted clusters: centres float32 [k, C] and what is worth knowing of the fit."""

    centres: Features
    sizes: NDArray[np.int64]
    inertia: float
    epochs: int
    regions: int
    unusable: int


def fit(features: h5py.Dataset | Features, options: ClustersOptions) -> Clusters:
    """Fit k-means to features [N, C]. Rows with NaN or infinite values are left out and counted.

    Raises TooFewRegions with both numbers if there are fewer usable rows than clusters.
    """
    # One thread: sums in one order, so equal input gives equal centres on every machine size.
    with threadpool_limits(1):
        sample, usable, unusable = _sample(features, options)
        if usable < options.k:
            raise TooFewRegions(
                f"{usable} usable regions ({unusable} with NaN or infinite features) are fewer than "
                f"clusters.k = {options.k}; lower clusters.k or add images"
            )
        centres, _ = kmeans_plusplus(sample, options.k, random_state=options.seed)
        model = MiniBatchKMeans(
            options.k, init=centres, n_init=1, batch_size=options.batch_size, random_state=options.seed
        )
        # Movement is judged against the spread of the data, as sklearn's own tol is.
        spread = float(np.sqrt(np.mean(np.var(sample, axis=0)))) or 1.0
        epoch = 0
        for epoch in range(1, options.max_epochs + 1):
            before = model.cluster_centers_.copy() if epoch > 1 else centres
            for batch in _batches(features, options, epoch):
                model.partial_fit(batch)
            moved = float(np.sqrt(np.mean((model.cluster_centers_ - before) ** 2)))
            if moved <= options.tolerance * spread:
                break
        sizes, inertia = _assess(features, model.cluster_centers_)
    return Clusters(model.cluster_centers_.astype(np.float32), sizes, inertia, epoch, usable, unusable)


def predict(features: Features, centres: Features) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest centre [R] and Euclidean distance to it [R]; -1 and NaN for rows with NaN or infinite values."""
    cluster = np.full(len(features), -1, dtype=np.int64)
    distance = np.full(len(features), np.nan)
    good = np.isfinite(features).all(axis=1)
    if good.any():
        with threadpool_limits(1):
            cluster[good], distance[good] = pairwise_distances_argmin_min(features[good], centres)
    return cluster, distance


def _blocks(features: h5py.Dataset | Features) -> Iterator[Features]:
    for start in range(0, len(features), BLOCK_ROWS):
        block = np.asarray(features[start : start + BLOCK_ROWS], dtype=np.float32)
        yield block[np.isfinite(block).all(axis=1)]


def _sample(features: h5py.Dataset | Features, options: ClustersOptions) -> tuple[Features, int, int]:
    """A seeded sample over the whole set, with the numbers of usable and unusable rows."""
    share = min(1.0, options.init_regions / max(1, len(features)))
    rng = np.random.default_rng(options.seed)
    parts, usable = [np.empty((0, features.shape[1]), np.float32)], 0
    for block in _blocks(features):
        usable += len(block)
        parts.append(block[rng.random(len(block)) < share] if share < 1 else block)
    sample = np.concatenate(parts)
    if len(sample) < options.k <= usable:
        # A small sample of a small set can miss; the first rows then do.
        sample = np.concatenate([sample, *_blocks(features)])[: options.k + len(sample)]
    return sample, usable, len(features) - usable


def _batches(features: h5py.Dataset | Features, options: ClustersOptions, epoch: int) -> Iterator[Features]:
    """Mini-batches of one pass: blocks in seeded order, shuffled inside; k rows or more each where there are enough."""
    rng = np.random.default_rng([options.seed, epoch])
    starts = np.arange(0, len(features), BLOCK_ROWS)
    rng.shuffle(starts)
    rest = np.empty((0, features.shape[1]), np.float32)
    size = max(options.batch_size, options.k)
    for start in starts:
        block = np.asarray(features[start : start + BLOCK_ROWS], dtype=np.float32)
        block = block[np.isfinite(block).all(axis=1)]
        rng.shuffle(block)
        rows = np.concatenate([rest, block])
        whole = len(rows) // size * size
        yield from np.split(rows[:whole], whole // size) if whole else ()
        rest = rows[whole:]
    if len(rest):
        yield rest


def _assess(features: h5py.Dataset | Features, centres: Features) -> tuple[NDArray[np.int64], float]:
    """Regions per cluster and the mean squared distance to the nearest centre."""
    sizes, total = np.zeros(len(centres), np.int64), 0.0
    for block in _blocks(features):
        cluster, distance = predict(block, centres)
        sizes += np.bincount(cluster, minlength=len(centres))
        total += float(np.sum(distance**2))
    return sizes, total / max(1, int(sizes.sum()))


def write(path: Path, clusters: Clusters, provenance: Mapping[str, object]) -> None:
    """Store fitted clusters as arrays and attributes, never as a pickle."""
    with h5py.File(path, "w") as file:
        file["centroids"] = clusters.centres
        file["sizes"] = clusters.sizes
        file.attrs.update(
            inertia=clusters.inertia, epochs=clusters.epochs, regions=clusters.regions, unusable=clusters.unusable
        )
        file.attrs["provenance"] = canonical_json(provenance)


def read_centres(path: Path) -> Features:
    """The centres [k, C] of a stored fit."""
    with h5py.File(path) as file:
        return file["centroids"][:]
