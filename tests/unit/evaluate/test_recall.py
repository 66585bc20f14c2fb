"""AR and best IoUs against pycocotools' own evaluation."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from regionflow.evaluate import recall as module
from regionflow.evaluate.masks import SetScores, ranked, score_image
from regionflow.evaluate.recall import LIMITS, SIZES, Recall, ious, recall
from regionflow.evaluate.truth import ImageTruth, TrueRegion
from regionflow.formats import rle

SIDE = 140


def boxes(rng, n, largest):
    """n random rectangles, some of them equal to each other."""
    out = []
    for _ in range(n):
        mask = np.zeros((SIDE, SIDE), bool)
        y, x = rng.integers(0, SIDE - 4, 2)
        h, w = rng.integers(2, largest, 2)
        mask[y : y + h, x : x + w] = True
        out.append(rle.encode(mask))
    return out


def random_set(seed, images=6):
    """Truth and records per image: true regions jittered, repeated, missed; crowds; scores with ties."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(images):
        true = boxes(rng, int(rng.integers(0, 14)), 130)
        regions = tuple(TrueRegion(mask, crowd=bool(rng.random() < 0.15)) for mask in true)
        masks = boxes(rng, int(rng.integers(0, 20)), 60)
        for mask in true:
            for _ in range(int(rng.integers(0, 4))):
                moved = np.roll(rle.decode(mask), rng.integers(-4, 5, 2), (0, 1))
                if moved.any():
                    masks.append(rle.encode(moved))
        order = rng.permutation(len(masks))
        scores = np.round(rng.random(len(masks)), 1)
        records = [
            {"segmentation": masks[k], "predicted_iou": float(s), "stability_score": float(rng.random())}
            for k, s in zip(order, scores, strict=True)
        ]
        pairs.append((records, ImageTruth(f"image_{i}", SIDE, SIDE, regions)))
    return pairs


def coco_recall(pairs, limits):
    """COCOeval's recall [T, A, M] for these records; ours and its areas are named alike."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, results = COCO(), []
        annotations, images = [], []
        for i, (records, image) in enumerate(pairs, start=1):
            images.append({"id": i, "height": SIDE, "width": SIDE})
            for region in image.regions:
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": i, "category_id": 1, "segmentation": region.mask,
                        "area": int(coco_mask.area(region.mask)), "bbox": list(coco_mask.toBbox(region.mask)),
                        "iscrowd": int(region.crowd),
                    }
                )  # fmt: skip
            results += [
                {"image_id": i, "category_id": 1, "segmentation": r["segmentation"], "score": r["predicted_iou"]}
                for r in records
            ]
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}], "info": {}}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    assert evaluation.params.areaRngLbl == list(SIZES)
    return evaluation.eval["recall"][:, 0]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limits", [(1, 100, 1000), (1, 5, 10)])
def test_recall_is_cocoevals(seed, limits, monkeypatch):
    monkeypatch.setattr(module, "LIMITS", limits)
    pairs = random_set(seed)
    total = Recall(found=np.zeros((len(SIZES), len(limits), 10), np.int64))
    for records, image in pairs:
        masks = [r["segmentation"] for r in ranked(records, "predicted_iou")]
        crowd = [r.crowd for r in image.regions]
        regions = [r.mask for r in image.regions]
        total += recall(ious(masks, regions, crowd), [rle.area(m) for m in regions], crowd)
    reference = coco_recall(pairs, limits)  # -1 where there are no true regions
    for s in range(len(SIZES)):
        for m in range(len(limits)):
            if total.regions[s]:
                np.testing.assert_allclose(total.found[s, m] / total.regions[s], reference[:, s, m], atol=1e-9)
            else:
                assert (reference[:, s, m] == -1).all()


def test_average_recall_is_that_of_coco_at_100():
    pairs = random_set(5, images=10)
    total = SetScores()
    for records, image in pairs:
        total.add(score_image(records, image))
    reference = coco_recall(pairs, (1, 100, 1000))
    summary = total.summary()
    assert summary["ar_1000"] == pytest.approx(reference[:, 0, 2].mean(), abs=1e-9)
    assert summary["ar_1"] == pytest.approx(reference[:, 0, 0].mean(), abs=1e-9)
    assert summary["ar_1000_medium"] == pytest.approx(reference[:, 2, 2].mean(), abs=1e-9)
    assert LIMITS == (1, 10, 100, 1000)


def test_image_scores_against_dense_masks():
    ((records, image),) = random_set(3, images=1)
    masks = np.stack([rle.decode(r["segmentation"]) for r in records])
    truth = np.stack([rle.decode(r.mask) for r in image.regions if not r.crowd])
    both = (masks[:, None] & truth).sum((2, 3))
    either = (masks[:, None] | truth).sum((2, 3))
    scores = score_image(records, image)
    np.testing.assert_allclose(scores.best, (both / either).max(0), atol=1e-9)
    row = scores.row()
    assert row["coverage"] == pytest.approx(masks.any(0).mean())
    assert row["foreground_coverage"] == pytest.approx(masks.any(0)[truth.any(0)].mean())
    assert row["masks_per_region"] == len(masks) / len(truth)


def test_rank_rules():
    a, b, c = (
        {"id": 0, "predicted_iou": 0.5, "stability_score": 1.0},
        {"id": 1, "predicted_iou": 0.8, "stability_score": 0.2},
        {"id": 2},
    )
    assert [r["id"] for r in ranked([c, a, b], "predicted_iou")] == [1, 0, 2]
    assert [r["id"] for r in ranked([c, b, a], "mean_of_scores")] == [0, 1, 2]
    assert [r["id"] for r in ranked([c, b, a], "order")] == [2, 1, 0]


def test_images_without_masks_or_regions():
    empty = ImageTruth("a", SIDE, SIDE, ())
    total = SetScores()
    total.add(score_image([], empty))
    summary = total.summary()
    assert summary["images"] == 1 and np.isnan(summary["mean_best_iou"]) and np.isnan(summary["ar_100"])
    mask = rle.encode(np.eye(SIDE, dtype=bool))
    row = score_image([], ImageTruth("b", SIDE, SIDE, (TrueRegion(mask),))).row()
    assert row["mean_best_iou"] == row["ar_1000"] == row["coverage"] == row["boundary_f"] == 0.0
