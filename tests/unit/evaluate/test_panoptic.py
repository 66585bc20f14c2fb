"""Panoptic quality against torchmetrics."""

import numpy as np
import pytest

from regionflow.evaluate.panoptic import Panoptic

CLASSES = 4


def random_maps(seed):
    """Segments with classes on a coarse grid, and the same with other segments and classes here and there.

    The guess covers the image: torchmetrics leaves true pixels without a prediction out of the union, panopticapi (and
    regionflow) does not.
    """
    rng = np.random.default_rng(seed)

    def grown(grid):
        return np.repeat(np.repeat(grid, 8, axis=0), 8, axis=1)

    true = grown(rng.integers(-1, 8, (6, 7)))
    guess = np.where((grown(rng.random((6, 7)) < 0.75)) & (true >= 0), true, grown(rng.integers(0, 8, (6, 7))))
    guess = np.roll(guess, rng.integers(-2, 3, 2), (0, 1))
    classes = rng.integers(0, CLASSES, 8)
    guessed = np.where(rng.random(8) < 0.8, classes, rng.integers(0, CLASSES, 8))
    return guess, guessed, true, classes


@pytest.mark.parametrize("seed", range(8))
def test_it_is_torchmetrics(seed):
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchmetrics.detection")
    void = CLASSES
    metric = detection.PanopticQuality(
        things=set(range(CLASSES)), stuffs={CLASSES + 1}, allow_unknown_preds_category=True, return_per_class=True
    )
    ours = Panoptic(CLASSES)
    for image in range(3):
        guess, guessed, true, classes = random_maps(seed * 10 + image)
        ours.add(guess, guessed, true, classes)
        pairs = []
        for segments, of in ((guess, guessed), (true, classes)):
            category = np.where(segments >= 0, of[segments], void)
            pairs.append(torch.from_numpy(np.stack([category, np.maximum(segments, 0)], axis=-1)[None]))
        metric.update(*pairs)
    expected = metric.compute().numpy().ravel()[:CLASSES]
    np.testing.assert_allclose(np.nan_to_num(ours.quality()), expected, atol=1e-9)
    assert 0 < ours.mean() < 1


def test_pixels_without_a_prediction_count_in_the_union_as_in_panopticapi_and_not_in_torchmetrics():
    """60 of 100 pixels of a segment are predicted: an IoU of 0.6, which torchmetrics 1.x gives as 1."""
    true = np.zeros((10, 10), int)
    guess = np.where(np.arange(100).reshape(10, 10) < 60, 0, -1)
    panoptic = Panoptic(1)
    panoptic.add(guess, np.array([0]), true, np.array([0]))
    assert panoptic.mean() == pytest.approx(0.6)
    assert panopticapi_iou(guess + 1, true + 1) == pytest.approx(0.6)

    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchmetrics.detection")
    metric = detection.PanopticQuality(things={0, 1}, stuffs={2}, allow_unknown_preds_category=True)
    maps = [np.stack([np.where(ids < 0, 7, 0), np.maximum(ids, 0)], axis=-1)[None] for ids in (guess, true)]
    metric.update(*map(torch.from_numpy, maps))
    assert metric.compute().item() == pytest.approx(1.0)


def panopticapi_iou(predicted, true):
    """IoU of the segments 1 of two id maps by panopticapi's formula: 0 is VOID, and of the union only that part of the
    prediction is left out that lies in the ground truth's VOID."""
    overlap = ((predicted == 1) & (true == 1)).sum()
    in_void = ((predicted == 1) & (true == 0)).sum()
    return overlap / ((predicted == 1).sum() + (true == 1).sum() - overlap - in_void)


def test_a_perfect_image_and_an_empty_one():
    segments = np.arange(12).reshape(3, 4) // 6
    panoptic = Panoptic(3)
    assert np.isnan(panoptic.mean())
    panoptic.add(segments, np.array([0, 2]), segments, np.array([0, 2]))
    assert panoptic.quality()[[0, 2]].tolist() == [1.0, 1.0] and np.isnan(panoptic.quality()[1])
    panoptic.add(np.full((3, 4), -1), np.empty(0, int), segments, np.array([0, 2]))
    assert panoptic.mean() == pytest.approx(1 / 1.5)
