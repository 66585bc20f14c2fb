"""The embedded SAM on drawn scenes that it has not seen, and on the sample photos.

    python benchmarks/sam_tiny.py [--quick] [--scenes 100] [--pictures DIR] [--weights FILE] [--set KEY=VALUE ...]

Scenes of 256 px: every true region of at least 64 pixels, whole or part, counts once with the IoU of its best mask.
Beside our masks at the preset's thresholds stand those of felzenszwalb at three scales and of SLIC.
`iou_correlation` is Pearson's r between the predicted and the true IoU of the three masks of random clicks. Photos are
measured at 512 px on one thread.
The last line is a JSON object with the figures.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb, slic

import common  # noqa: F401 - finds the library and the tests' helpers
from regionflow.config.types import Config
from regionflow.evaluate.recall import best_ious
from regionflow.formats import rle
from regionflow.formats.nesting import coverage
from regionflow.formats.palette import palette
from regionflow.formats.rle import to_label_map
from regionflow.images import scenes
from regionflow.images.find import sample_photos
from regionflow.images.read import read_image
from regionflow.images.scenes import FIRST_TEST_SEED, FIRST_VALIDATION_SEED
from regionflow.masks import graph
from regionflow.masks.options import GraphOptions, SamOptions
from regionflow.report.panels import overlay
from regionflow.sam.build import build_sam
from regionflow.sam.encoder import encode_image
from regionflow.sam.generator import generate
from regionflow.sam.prompting import Prompter

Masks = NDArray[np.bool_]
BANDS = ((64, 256), (256, 1024), (1024, 4096), (4096, 1 << 30))
CLICKS = 24


@dataclass
class Row:
    """How well one kind of proposal finds the true regions."""

    name: str
    ious: NDArray[np.float64]
    areas: NDArray[np.int64]
    masks: float

    def __str__(self) -> str:
        bands = "".join(f"{self.ious[(self.areas >= a) & (self.areas < b)].mean():10.3f}" for a, b in BANDS)
        return f"{self.name:26}{self.ious.mean():8.3f}{(self.ious > 0.5).mean():8.3f}{bands}{self.masks:8.1f}"


def row(name: str, drawn: list[scenes.Scene], propose: Callable[[NDArray[np.uint8]], Masks]) -> Row:
    """Propose masks for every scene."""
    regions = [scene.regions() for scene in drawn]
    masks = [propose(scene.image) for scene in drawn]
    ious = np.concatenate([best_ious(_rles(found), _rles(true)) for true, found in zip(regions, masks, strict=True)])
    areas = np.concatenate([r.sum((1, 2)) for r in regions])
    return Row(name, ious, areas, float(np.mean([len(m) for m in masks])))


def _rles(masks: Iterable[NDArray[np.bool_]]) -> list[rle.Rle]:
    return [rle.encode(mask) for mask in masks]


def felzenszwalb_masks(*scales: float) -> Callable[[NDArray[np.uint8]], Masks]:
    def propose(image: NDArray[np.uint8]) -> Masks:
        levels = [felzenszwalb(image, scale=scale, sigma=0.8, min_size=50) for scale in scales]
        return np.concatenate([_one_hot(level) for level in levels])

    return propose


def _one_hot(labels: NDArray[np.integer]) -> Masks:
    return labels == np.unique(labels)[:, None, None]


def click_correlation(sam: Any, options: SamOptions, drawn: list[scenes.Scene]) -> tuple[float, float]:
    """Pearson's r of predicted and true IoU over the masks of random clicks, and the mean IoU of the best of three.

    Clicks are uniform over parts; the true IoU is with the clicked part or the clicked whole, whichever is better. Of
    each mask counts what the options keep.
    """
    rng, size = np.random.default_rng(0), (scenes.SIDE, scenes.SIDE)
    every = options.model_copy(update={"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0})
    predicted, true, best = [], [], []
    for scene in drawn:
        parts = np.flatnonzero(np.bincount(scene.parts.ravel()) >= 64)
        places = [rng.choice(np.flatnonzero(scene.parts == p)) for p in rng.choice(parts, CLICKS)]
        at = np.stack(np.unravel_index(places, scene.parts.shape), 1)
        with torch.inference_mode():
            (_, answer), *_ = Prompter(sam, encode_image(sam, scene.image), every, CLICKS).answers(
                at[:, ::-1], np.arange(CLICKS)
            )
        masks = [rle.decode(m.encode(size, (0, 0), size)) for m in answer.masks]
        masks = np.stack(masks).reshape(CLICKS, -1, *size) > 0
        for (y, x), three, scores in zip(at, masks, answer.iou, strict=True):
            part, whole = scene.parts == scene.parts[y, x], scene.wholes == scene.wholes[y, x]
            ious = best_ious(_rles([part, whole]), _rles(three))
            predicted.append(scores)
            true.append(ious)
            best.append(best_ious(_rles(three), _rles([part]))[0])
    return float(np.corrcoef(np.ravel(predicted), np.ravel(true))[0, 1]), float(np.mean(best))


def photos(sam: Any, options: SamOptions, pictures: Path | None) -> float:
    """Print masks, coverage and CPU seconds per sample photo; returns the mean of the seconds."""
    print(f"\n{'photo, 512 px':26}{'masks':>8}{'cover':>8}{'CPU s':>8}{'graph masks':>13}{'cover':>8}")
    seconds = []
    for path in sample_photos():
        image = read_image(path)
        scale = 512 / max(image.shape[:2])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        started = time.process_time()
        found = generate(sam, small, options)
        seconds.append(time.process_time() - started)
        theirs = graph.generate(small, GraphOptions())
        ours, graphs = (coverage([a["segmentation"] for a in r], *small.shape[:2]) for r in (found, theirs))
        row_ = f"{path.stem:26}{len(found):8}{ours:8.2f}{seconds[-1]:8.2f}"
        print(f"{row_}{len(theirs):13}{graphs:8.2f}")
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            panels = [small, picture(small, found), picture(small, theirs)]
            cv2.imwrite(str(pictures / f"{path.stem}.jpg"), np.hstack(panels)[..., ::-1])
    return float(np.mean(seconds))


def _decoded(annotations: list[dict], image: NDArray[np.uint8]) -> Masks:
    masks = [rle.decode(a["segmentation"]) for a in annotations]
    return np.stack(masks).astype(bool) if masks else np.zeros((0, *image.shape[:2]), bool)


def picture(image: NDArray[np.uint8], annotations: list[dict]) -> NDArray[np.uint8]:
    """Masks in colours, small ones on top."""
    masks = [a["segmentation"] for a in annotations]
    labels = to_label_map(masks, range(1, len(masks) + 1), *image.shape[:2])
    return overlay(image, labels, palette(max(1, len(masks))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 scenes")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--validation", action="store_true", help="other scenes, on which thresholds may be chosen")
    parser.add_argument("--weights", type=Path, help="another file than the embedded one")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options than the preset's")
    parser.add_argument("--pictures", type=Path, help="folder for overlays: photo, ours, graph")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    preset = Config().segmenters["sam_tiny"]
    changed = {key: yaml.safe_load(value) for key, value in (pair.split("=") for pair in arguments.set)}
    options = SamOptions.model_validate({**preset.model_dump(), **changed})
    sam = build_sam("sam_tiny", arguments.weights or options.needed_weights())
    count = 4 if arguments.quick else arguments.scenes
    first = FIRST_VALIDATION_SEED if arguments.validation else FIRST_TEST_SEED
    drawn = [scenes.draw(seed) for seed in range(first, first + count)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {count} scenes")
    title = "".join(f"{f'>={a} px':>10}" for a, _ in BANDS)
    print(f"{'best-mask IoU':26}{'mean':>8}{'> 0.5':>8}{title}{'masks':>8}")
    rows = [
        row("sam_tiny", drawn, lambda image: _decoded(generate(sam, image, options), image)),
        row("felzenszwalb 100+300+1000", drawn, felzenszwalb_masks(100, 300, 1000)),
    ]
    if not arguments.quick:
        rows += [row(f"felzenszwalb {s}", drawn, felzenszwalb_masks(s)) for s in (100, 300, 1000)]
        rows.append(row("SLIC 100", drawn, lambda image: _one_hot(slic(image, n_segments=100, start_label=0))))
    print(*rows, f"{sum(len(s.regions()) for s in drawn)} true regions", sep="\n")
    correlation, click = click_correlation(sam, options, drawn)
    print(f"random clicks: best of three masks {click:.3f}, predicted against true IoU r = {correlation:.3f}")
    seconds = photos(sam, options, arguments.pictures)
    figures = {
        "mean_best_iou": rows[0].ious.mean(),
        "felzenszwalb_mean_best_iou": rows[1].ious.mean(),
        "iou_correlation": correlation,
        "seconds_per_photo": seconds,
    }
    print(json.dumps({name: round(float(value), 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
