"""Class names: SEEM's strokes over one backbone pass, and a few examples against clusters and full supervision.

SEEM, full size, random weights, one thread, one image with 30 masks: ours (one backbone pass, prompts in batches)
against one backbone pass per mask, as the SAM + SEEM pipeline does. Both use the network of this project, so the
difference is the arrangement alone; both must pick the same query for every mask. Seconds are CPU seconds of one
thread, which other work on the machine hardly changes.

Examples, on generated scenes of eight classes (those of benchmarks/labels.py; train and test scenes are apart): 1, 3
and 10 labelled regions a class, drawn from the train scenes, name the regions of the test scenes. Beside them k-means
with as many clusters as classes, matched to them by Hungarian assignment on the test scenes, and the same classifier
with every region of the train scenes labelled. Pixel accuracy and mean IoU over all pixels of the test scenes, means
over draws of examples. Run: python benchmarks/semantics.py [--quick]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import labels as drawn  # noqa: E402
from regionflow.formats import rle  # noqa: E402
from regionflow.formats.rle import to_label_map  # noqa: E402
from regionflow.semantics import examples, seem_checkpoint  # noqa: E402
from regionflow.semantics.options import ExamplesOptions, SeemOptions  # noqa: E402
from regionflow.semantics.seem import ImageMaps, SeemLabeler, points_of  # noqa: E402
from regionflow.semantics.seem_network import SeemSize  # noqa: E402

MASKS = 30
QUICK_SIZE = SeemSize(embed_dim=96, depths=(2, 2, 6, 2))
PURE = 0.8
"""Share of a region's pixels that must have one class for the region to count as labelled."""


def seem_labeler(size: SeemSize) -> SeemLabeler:
    network = seem_checkpoint.from_state(seem_checkpoint.random_state(size, 0))
    rows = torch.nn.functional.normalize(torch.randn(134, size.dim, generator=torch.Generator().manual_seed(1)), dim=1)
    names = [f"class {i}" for i in range(133)]
    return SeemLabeler(network, rows, names, SeemOptions(random_seed=0, short_side=None))


def seem_image(height: int, width: int) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """A picture of smooth noise, and 30 discs on it."""
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (height // 16, width // 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    discs = []
    for _ in range(MASKS):
        cy, cx, r = rng.integers(30, height - 30), rng.integers(30, width - 30), rng.integers(10, 60)
        discs.append((y - cy) ** 2 + (x - cx) ** 2 < r**2)
    return image, discs


@torch.inference_mode()
def one_arrangement(which: str, quick: bool) -> dict:
    """Seconds, peak memory and picks of one arrangement, in a process of its own."""
    torch.set_num_threads(1)
    labeler = seem_labeler(QUICK_SIZE if quick else SeemSize())
    image, masks = seem_image(256, 320) if quick else seem_image(512, 672)

    def prompts(maps: ImageMaps) -> list[list[torch.Tensor]]:
        rng = np.random.default_rng(0)
        return [[points_of(mask, maps.padded, rng)] * 4 for mask in masks]

    start = time.process_time()
    maps = labeler.maps(image)
    labeler.semantic_scores(maps)
    if which == "ours":
        _, picks = labeler.strokes(maps, prompts(maps))
    else:
        picks = []
        for prompt in prompts(maps):
            again = labeler.maps(image)
            picks += labeler.strokes(again, [prompt])[1]
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": seconds, "peak_gb": peak, "picks": picks}


def seem(quick: bool) -> dict[str, float | bool]:
    found = {}
    for which in ("ours", "as_published"):
        command = [sys.executable, __file__, "--arrangement", which, *(["--quick"] if quick else [])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[which] = json.loads(done.stdout.splitlines()[-1])
        print(f"SEEM {which:14}{found[which]['seconds']:8.1f} s {found[which]['peak_gb']:6.2f} GB", flush=True)
    ours, published = found["ours"], found["as_published"]
    return {
        "seem_speedup": round(published["seconds"] / ours["seconds"], 2),
        "seem_memory_ratio": round(ours["peak_gb"] / published["peak_gb"], 2),
        "seem_same_picks": ours["picks"] == published["picks"],
    }


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
    parser.add_argument("--arrangement", choices=["ours", "as_published"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arrangement:
        print(json.dumps(one_arrangement(given.arrangement, given.quick)))
        return
    print(json.dumps({**few_examples(given.quick), **seem(given.quick)}))


if __name__ == "__main__":
    main()
