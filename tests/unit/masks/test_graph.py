"""The graph segmenter: masks at several scales, duplicates removed by mask IoU."""

from itertools import combinations

import numpy as np
import pytest
from pycocotools import mask as coco
from skimage.segmentation import felzenszwalb

from regionflow.masks import graph
from regionflow.masks.options import GraphOptions


def scene(height=96, width=128):
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 90.0)
    image[10:60, 20:70] = (200, 60, 40)
    image[25:45, 35:55] = (220, 110, 60)
    image[50:90, 80:120] = (40, 90, 210)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def test_label_maps_are_felzenszwalb_at_each_scale():
    options = GraphOptions()
    for scale, labels in zip(options.scales, graph.label_maps(scene(), options), strict=True):
        reference = felzenszwalb(scene(), scale=scale, sigma=options.sigma, min_size=options.min_size)
        assert (labels == np.unique(reference, return_inverse=True)[1].reshape(labels.shape)).all()


def test_scores_are_mask_ious_with_neighbouring_scales_and_no_duplicates_stay():
    options = GraphOptions(pred_iou_thresh=0.0)
    found = graph.generate(scene(), options)
    levels = graph.label_maps(scene(), options)
    encoded = {s: [coco.encode(np.asfortranarray(m == i, np.uint8)) for i in range(m.max() + 1)]
               for s, m in zip(options.scales, levels, strict=True)}  # fmt: skip
    neighbours = {100.0: [300.0], 300.0: [100.0, 1000.0], 1000.0: [300.0]}
    assert found
    for a in found:
        best = [coco.iou([a["segmentation"]], encoded[s], [0] * len(encoded[s])).max() for s in neighbours[a["scale"]]]
        assert a["predicted_iou"] == pytest.approx(max(best), abs=1e-6)
        assert a["stability_score"] == pytest.approx(min(best), abs=1e-6)
    masks = [a["segmentation"] for a in found]
    ious = coco.iou(masks, masks, [0] * len(masks))
    assert all(ious[i, j] <= options.duplicate_iou for i, j in combinations(range(len(masks)), 2))


def test_objects_of_the_scene_are_found_nested_ones_too():
    found = graph.generate(scene(), GraphOptions())
    truth = np.zeros((3, 96, 128), np.uint8)
    truth[0, 10:60, 20:70] = 1
    truth[0, 25:45, 35:55] = 0
    truth[1, 25:45, 35:55] = 1
    truth[2, 50:90, 80:120] = 1
    wanted = [coco.encode(np.asfortranarray(t)) for t in truth]
    ious = coco.iou([a["segmentation"] for a in found], wanted, [0] * 3)
    assert (ious.max(axis=0) > 0.8).all()


def test_point_lies_in_its_mask_and_order_is_by_predicted_iou():
    found = graph.generate(scene(), GraphOptions())
    for a in found:
        (x, y), = a["point_coords"]  # fmt: skip
        assert coco.decode(a["segmentation"])[int(y), int(x)]
    scores = [a["predicted_iou"] for a in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5000), (2, 2)])
def test_odd_shapes_work(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for a in graph.generate(image, GraphOptions()):
        assert a["segmentation"]["size"] == list(shape)


def test_a_uniform_image_is_one_mask_and_large_images_are_shrunk():
    assert [a["area"] for a in graph.generate(np.zeros((50, 60, 3), np.uint8), GraphOptions())] == [3000]
    large = np.repeat(np.repeat(scene(), 4, axis=0), 4, axis=1)
    found = graph.generate(large, GraphOptions(max_side=128))
    assert {tuple(a["segmentation"]["size"]) for a in found} == {(384, 512)}
