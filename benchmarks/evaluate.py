"""Time and memory of the evaluation of many images, and agreement with COCOeval on the same set.

    python benchmarks/evaluate.py [--quick] [--images 1000] [--masks 100]

Images of 512 x 512 with 30 true regions (unions of grid cells) and masks that are moved copies of them or other
regions. One core, images one at a time. COCOeval (pycocotools, useCats=0) gets the same masks in memory at once.
The last line is a JSON object with the figures.
"""

import argparse
import contextlib
import io
import json
import resource
import time
from collections.abc import Iterator

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import common  # noqa: F401
from regionflow.evaluate.masks import SetScores, score_image
from regionflow.evaluate.truth import ImageTruth, TrueRegion
from regionflow.formats import rle

SIDE, REGIONS = 512, 30


def blob(rng: np.random.Generator) -> np.ndarray:
    """A rough ellipse somewhere, bool [SIDE, SIDE]."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    centre, axes = rng.integers(0, SIDE, 2).tolist(), rng.integers(5, 90, 2).tolist()
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool) & (cv2.blur(rng.random((SIDE, SIDE)), (9, 9)) > 0.42)


def image(seed: int, masks: int) -> tuple[list[dict], ImageTruth]:
    """Records and truth of one image."""
    rng = np.random.default_rng(seed)
    true = [blob(rng) for _ in range(REGIONS)]
    proposed = [np.roll(true[i % REGIONS], rng.integers(-9, 10, 2), (0, 1)) for i in range(masks)]
    records = [{"segmentation": rle.encode(m), "predicted_iou": float(rng.random())} for m in proposed]
    return records, ImageTruth(f"{seed}", SIDE, SIDE, tuple(TrueRegion(rle.encode(m)) for m in true))


def cocoeval(pairs: Iterator[tuple[list[dict], ImageTruth]]) -> tuple[float, float]:
    """AR@1000 and CPU seconds of COCOeval."""
    images, annotations, results = [], [], []
    for i, (records, truth) in enumerate(pairs, start=1):
        images.append({"id": i, "height": SIDE, "width": SIDE})
        for region in truth.regions:
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": 1, "iscrowd": 0,
                                "segmentation": region.mask, "area": rle.area(region.mask),
                                "bbox": rle.bbox(region.mask)})  # fmt: skip
        results += [{"image_id": i, "category_id": 1, "segmentation": r["segmentation"], "score": r["predicted_iou"]}
                    for r in records]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        started, coco = time.process_time(), COCO()
        coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}], "info": {}}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.params.useCats, evaluation.params.maxDets = 0, [1, 100, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["recall"][:, 0, 0, 2].mean()), time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 images")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--masks", type=int, default=100)
    arguments = parser.parse_args()
    count = 100 if arguments.quick else arguments.images
    cv2.setNumThreads(1)
    total, seconds = SetScores(), 0.0
    for seed in range(count):
        records, truth = image(seed, arguments.masks)
        started = time.process_time()
        total.add(score_image(records, truth))
        seconds += time.process_time() - started
    gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ours = total.summary()
    print(f"{count} images x {arguments.masks} masks: {seconds:.1f} CPU s, peak {gb:.2f} GB of the process")
    some = min(count, 200)
    again = SetScores()
    for seed in range(some):
        again.add(score_image(*image(seed, arguments.masks)))
    theirs, their_seconds = cocoeval(image(seed, arguments.masks) for seed in range(some))
    difference = abs(again.summary()["ar_1000"] - theirs)
    print(f"AR@1000 of {some} images: ours and COCOeval's {theirs:.6f} differ by {difference:.1e}; COCOeval (AR alone) "
          f"{their_seconds:.1f} CPU s, ours (all scores) {seconds * some / count:.1f}")  # fmt: skip
    figures = {"images": count, "masks": arguments.masks, "seconds": round(seconds, 2), "gb": round(gb, 3),
               "ar_1000": round(ours["ar_1000"], 6), "ar_difference": difference}  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
