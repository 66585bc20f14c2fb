"""Automatic labels on generated scenes of known classes: ours by default against ALPS as published.

Both see the same scenes, the same masks (the graph segmenter) and the same kind of features (DAISY with colour), since
ALPS's own need SAM's weights. What differs is ALPS's arithmetic: BGR input, the soft-mask vector, one unshuffled pass
of k-means over train and val started on the first batch, clusters painted from 0 in the order in which files are
listed. A third row has the regions of the workflow's own default: no mask is dropped, and superpixels fill
what no mask covers.

Adjusted Rand index and purity are over the pixels of the test split, means over several sets of scenes. Run:
python benchmarks/labels.py [--quick]
"""

import argparse
import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import common  # noqa: F401 - finds the library and the tests' helpers
from regionflow.evaluate.labels import Contingency, adjusted_rand, purity
from regionflow.features.daisy_lab import DaisyLab
from regionflow.formats import rle
from regionflow.formats.regions import Annotation
from regionflow.formats.rle import to_label_map
from regionflow.labels.kmeans import (
    fit,
    predict,
)
from regionflow.labels.options import ClustersOptions
from regionflow.masks import graph
from regionflow.masks.options import GraphOptions
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.pool import pool
from regionflow.regions.merge import merge
from regionflow.regions.options import RegionsOptions
from regionflow.superpixels.options import SlicOptions
from regionflow.superpixels.slic import slic_labels

SIDE = 192
CLASSES = 8
MAX_AREA_FRACTION = 0.3


def texture(kind: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """One of eight textures [SIDE, SIDE, 3]: four patterns in two colours each, which vary from scene to scene."""
    y, x = np.mgrid[:SIDE, :SIDE] + rng.integers(0, 16, 2)[:, None, None]
    pattern = (
        np.sin(2 * np.pi * y / 10),
        np.sin(2 * np.pi * x / 10),
        np.sign(np.sin(np.pi * x / 8) * np.sin(np.pi * y / 8)),
        rng.normal(0, 0.15, (SIDE, SIDE)),
    )[kind % 4]
    hue = np.array([[150, 110, 80], [80, 110, 150]][kind // 4]) + rng.normal(0, 14, 3)
    return hue + 32 * pattern[..., None] + rng.normal(0, 6, (SIDE, SIDE, 3))


def scene(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """An RGB image and its classes [SIDE, SIDE]: three areas, and discs, boxes and triangles on them."""
    y, x = np.mgrid[:SIDE, :SIDE]
    seeds = rng.integers(0, SIDE, (3, 2))
    area = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in seeds], axis=0)
    truth = rng.permutation(CLASSES)[:3][area]
    for _ in range(rng.integers(4, 8)):
        (cy, cx), r = rng.integers(20, SIDE - 20, 2), rng.integers(14, 34)
        dy, dx = abs(y - cy), abs(x - cx)
        inside = ((dy**2 + dx**2 < r**2), (dy < r) & (dx < 0.7 * r), (dx < (y - cy + r) / 2) & (y < cy + r))
        truth = np.where(inside[rng.integers(3)], rng.integers(CLASSES), truth)
    image = np.select([(truth == c)[..., None] for c in range(CLASSES)], [texture(c, rng) for c in range(CLASSES)])
    return np.clip(image, 0, 255).astype(np.uint8), truth


Scene = tuple[NDArray[np.uint8], NDArray[np.int64], list[Annotation]]


def ours(train: list[Scene], test: list[Scene], fill: bool) -> list[NDArray[np.integer]]:
    """Label maps of the test scenes by the workflow's own steps."""
    options = RegionsOptions() if fill else RegionsOptions(max_area_fraction=MAX_AREA_FRACTION)

    def described(one: Scene) -> tuple[list, NDArray[np.float32]]:
        image, _, masks = one
        labels = slic_labels(image, SlicOptions()) if fill else None
        regions = [a["segmentation"] for a in merge(masks, labels, SIDE, SIDE, options)]
        return regions, pool(DaisyLab().extract(image), regions, PoolingOptions()).features

    fitted = fit(np.concatenate([described(s)[1] for s in train]), ClustersOptions(k=CLASSES, batch_size=512))
    maps = []
    for regions, features in map(described, test):
        cluster, _ = predict(features, fitted.centres)
        maps.append(to_label_map(regions, (cluster + 1).tolist(), SIDE, SIDE))
    return maps


def as_published(fitted_to: list[Scene], test: list[Scene]) -> list[NDArray[np.integer]]:
    """Label maps of the test scenes by ALPS's arithmetic."""
    options = RegionsOptions(max_area_fraction=MAX_AREA_FRACTION)

    def described(one: Scene) -> tuple[list, NDArray[np.float32]]:
        image, _, masks = one
        regions = [a["segmentation"] for a in merge(masks, None, SIDE, SIDE, options)]
        bgr = np.ascontiguousarray(image[..., ::-1])
        return regions, pool(DaisyLab().extract(bgr), regions, PoolingOptions(method="alps")).features

    settings = ClustersOptions(k=CLASSES, batch_size=512, as_published=True)
    fitted = fit(np.concatenate([described(s)[1] for s in fitted_to]), settings)
    maps = []
    for regions, features in map(described, test):
        cluster, _ = predict(features, fitted.centres)
        out = np.zeros((SIDE, SIDE), np.uint8)
        # Files 0.png, 1.png, 10.png, ...: a stand-in for the order of the file system, which is not defined.
        for i in sorted(range(len(regions)), key=str):
            out[rle.decode(regions[i])] = cluster[i]
        maps.append(out)
    return maps


def scores(maps: list[NDArray[np.integer]], test: list[Scene]) -> tuple[float, float]:
    """Adjusted Rand index and purity over all pixels of the scenes."""
    highest = max(int(m.max()) for m in maps)
    table = Contingency(highest + 1, CLASSES)
    for found, (_, truth, _) in zip(maps, test, strict=True):
        table.add(found, truth)
    return adjusted_rand(table), purity(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small set of scenes")
    quick = parser.parse_args().quick
    seeds, (n_train, n_val, n_test) = (1, (16, 4, 6)) if quick else (3, (36, 8, 10))
    rows: dict[str, list[tuple[float, float]]] = {"ours": [], "as_published": [], "ours_with_superpixels": []}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        made = [scene(rng) for _ in range(n_train + n_val + n_test)]
        scenes = [(image, truth, graph.generate(image, GraphOptions())) for image, truth in made]
        train, val, test = scenes[:n_train], scenes[n_train:-n_test], scenes[-n_test:]
        ways: dict[str, Callable[[], list]] = {
            "ours": lambda: ours(train, test, fill=False),  # noqa: B023
            "as_published": lambda: as_published(train + val, test),  # noqa: B023
            "ours_with_superpixels": lambda: ours(train, test, fill=True),  # noqa: B023
        }
        for name, way in ways.items():
            rows[name].append(scores(way(), test))
    print(f"{'labels':24}{'ARI':>8}{'  (least, most)':18}{'purity':>8}  {seeds} sets of {n_train + n_val + n_test}")
    for name, found in rows.items():
        ari, purity = np.array(found).T
        print(f"{name:24}{ari.mean():8.3f}  ({ari.min():.3f}, {ari.max():.3f})  {purity.mean():8.3f}")
    print(
        json.dumps(
            {
                f"{figure}_{name}": round(float(np.mean([f[i] for f in found])), 4)
                for i, figure in enumerate(("ari", "purity"))
                for name, found in rows.items()
            }
        )
    )


if __name__ == "__main__":
    main()
