"""A 2-D map of region features: near in the map is near in the space in which the clusters were found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from regionflow.formats.labels import NO_CLUSTER, Labels
from regionflow.formats.pooled import SetColumn, image_ids
from regionflow.formats.regions import region_id

# t-SNE of so many principal components is that of all, in less time.
COMPONENTS = 50


def features_map(path: Path, labels_of: Callable[[str], Labels], count: int, seed: int = 0) -> dict[str, list[Any]]:
    """t-SNE of a seeded sample of at most `count` regions of a set file, started from the principal components.

    `labels_of` gives the labels of an image by its id. Returns a column each for x and y (0 to 1), cluster, image (its
    row in the file), region and area.
    """
    every = SetColumn(path)
    rows = np.sort(np.random.default_rng(seed).permutation(len(every))[:count])
    features = every.take(rows)
    good = np.isfinite(features).all(axis=1)
    rows, features = rows[good], features[good]
    if len(rows) < 4:
        return {name: [] for name in ("x", "y", "cluster", "image", "region", "area")}
    with threadpool_limits(1):
        reduced = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit_transform(features)
        tsne = TSNE(perplexity=min(30.0, (len(rows) - 1) / 3), init="random", random_state=seed, max_iter=500, n_jobs=1)
        if reduced.shape[1] >= 2:
            tsne.set_params(init="pca")
        place = tsne.fit_transform(reduced)
    place = (place - place.min(0)) / np.maximum(np.ptp(place, axis=0), 1e-12)
    columns = {name: SetColumn(path, name).take(rows).tolist() for name in ("image", "region", "area")}
    return {
        "x": place[:, 0].round(4).astype(float).tolist(),
        "y": place[:, 1].round(4).astype(float).tolist(),
        "cluster": _clusters(image_ids(path), columns["image"], columns["region"], labels_of),
        **columns,
    }


def _clusters(ids: list[str], images: list[int], regions: list[int], labels_of: Callable[[str], Labels]) -> list[int]:
    """The cluster of each region, from the label file of its image, which is read once."""
    labels = {image: labels_of(ids[image]).cluster for image in set(images)}
    return [
        labels[image].get(region_id(ids[image], region), NO_CLUSTER)
        for image, region in zip(images, regions, strict=True)
    ]
