"""Class names: a few examples against clusters and full supervision, and SEEM's strokes over one backbone pass.

SEEM: see benchmarks/seem.py.

Examples, on generated scenes of eight classes (those of benchmarks/labels.py; train and test scenes are apart): 1, 3
and 10 labelled regions a class, drawn from the train scenes, name the regions of the test scenes. Beside them k-means
with as many clusters as classes, matched to them by Hungarian assignment on the test scenes, and the same classifier
with every region of the train scenes labelled. Pixel accuracy and mean IoU over all pixels of the test scenes, means
over draws of examples. Run: python benchmarks/semantics.py [--quick]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import labels as drawn  # noqa: E402
from regionflow.formats import rle  # noqa: E402
from regionflow.formats.rle import to_label_map  # noqa: E402
from regionflow.semantics import examples  # noqa: E402
from regionflow.semantics.example_options import ExamplesOptions  # noqa: E402
from seem import seem  # noqa: E402

PURE = 0.8
"""Share of a region's pixels that must have one class for the region to count as labelled."""


class Described:
    """A scene's regions, their features and classes (-1: in no class by a large enough share)."""

    def __init__(self, image: NDArray[np.uint8], truth: NDArray[np.int64]) -> None:
        masks = drawn.graph.Graph(drawn.GraphOptions()).generate(image)
        superpixels = drawn.slic_labels(image, drawn.SlicOptions())
        merged = drawn.merge(masks, superpixels, drawn.SIDE, drawn.SIDE, drawn.RegionsOptions())
        self.truth, self.regions = truth, [a["segmentation"] for a in merged]
        self.features = drawn.pool(drawn.DaisyLab().extract(image), self.regions, drawn.PoolingOptions()).features
        self.classes = np.array([self._class(mask) for mask in self.regions])

    def _class(self, mask: rle.Rle) -> int:
        counts = np.bincount(self.truth[rle.decode(mask)], minlength=drawn.CLASSES)
        return int(counts.argmax()) if counts.max() >= PURE * counts.sum() else -1

    def painted(self, values: NDArray[np.int64]) -> NDArray[np.uint16]:
        return to_label_map(self.regions, (values + 1).tolist(), drawn.SIDE, drawn.SIDE)


def confusion(test: Sequence[Described], guesses: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Pixels of each class [true, guessed]; the last column is none."""
    table = np.zeros((drawn.CLASSES, drawn.CLASSES + 1), np.int64)
    for scene, values in zip(test, guesses, strict=True):
        painted = scene.painted(values).astype(np.int64) - 1
        np.add.at(table, (scene.truth, np.where(painted < 0, drawn.CLASSES, painted)), 1)
    return table


def scores(table: NDArray[np.int64]) -> tuple[float, float]:
    """Pixel accuracy and mean IoU."""
    right = np.diagonal(table)
    union = table.sum(axis=1) + table.sum(axis=0)[: drawn.CLASSES] - right
    return float(right.sum() / table.sum()), float((right / np.maximum(union, 1)).mean())


def by_examples(train: Sequence[Described], test: Sequence[Described], n: int | None, seed: int) -> tuple[float, float]:
    """With n labelled regions a class, or all."""
    features, truth = np.concatenate([s.features for s in train]), np.concatenate([s.classes for s in train])
    rng = np.random.default_rng(seed)
    of_class = [np.flatnonzero(truth == c) for c in range(drawn.CLASSES)]
    rows = np.concatenate([r if n is None else rng.choice(r, n, replace=False) for r in of_class])
    names = [str(c) for c in range(drawn.CLASSES)]
    some = examples.ExampleSet(names, [""] * len(rows), np.arange(len(rows)), truth[rows], features[rows])
    options = ExamplesOptions(examples="drawn.tsv", extractor="daisy_lab")
    classifier = examples.fit(some, examples.scaling(features), options)
    return scores(confusion(test, [examples.probabilities(classifier, s.features).argmax(axis=1) for s in test]))


def by_clusters(train: Sequence[Described], test: Sequence[Described]) -> tuple[float, float]:
    """k-means over the train scenes; clusters are matched to classes so that most pixels of the test scenes agree."""
    features = np.concatenate([s.features for s in train])
    fitted = drawn.fit(features, drawn.ClustersOptions(k=drawn.CLASSES, batch_size=512))
    table = confusion(test, [drawn.predict(s.features, fitted.centres)[0] for s in test])
    true, guessed = linear_sum_assignment(-table[:, : drawn.CLASSES])
    order = np.append(guessed[np.argsort(true)], drawn.CLASSES)
    return scores(table[:, order])


def few_examples(quick: bool) -> dict[str, float]:
    sets, (n_train, n_test), draws = (1, (24, 8), 3) if quick else (3, (36, 10), 5)
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        scenes = [Described(*drawn.scene(rng)) for _ in range(n_train + n_test)]
        train, test = scenes[:n_train], scenes[n_train:]
        rows.setdefault("clusters", []).append(by_clusters(train, test))
        for n in (1, 3, 10):
            rows.setdefault(f"examples_{n}", []).extend(by_examples(train, test, n, d) for d in range(draws))
        rows.setdefault("full", []).append(by_examples(train, test, None, 0))
    print(
        f"\n{'':14}{'pixel accuracy':>16}{'mIoU':>8}   {sets} sets of {n_train} + {n_test} scenes, {draws} draws each"
    )
    for name, found in rows.items():
        accuracy, miou = np.mean(found, axis=0)
        print(f"{name:14}{accuracy:16.3f}{miou:8.3f}")
    out = {}
    for name, found in rows.items():
        key = name if name in ("clusters", "full") else "examples"
        number = name.removeprefix(key)
        out[f"{key}_miou{number}"] = round(float(np.mean(found, axis=0)[1]), 4)
        out[f"{key}_accuracy{number}"] = round(float(np.mean(found, axis=0)[0]), 4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller network and fewer scenes")
    given = parser.parse_args()
    print(json.dumps({**few_examples(given.quick), **seem(given.quick)}))


if __name__ == "__main__":
    main()
