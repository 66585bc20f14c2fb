"""The generator with a small SAM; its parts are in test_generator_parts.py, and the original in tests/reference."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import nn

from helpers.small_sam import LOW_THRESHOLDS, save_small_sam
from regionflow.formats import rle
from regionflow.sam import decoder, encoder
from regionflow.sam.build import build_sam
from regionflow.sam.cleanup import drop_islands
from regionflow.sam.encoder import EncodedImage
from regionflow.sam.generator import (
    generate,
)
from regionflow.sam.options import AmgOptions

IMAGE = skimage.data.astronaut()[:200, :260]


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    return build_sam("auto", save_small_sam(tmp_path_factory.mktemp("weights") / "small.pth", seed=3))


def low(**options: object) -> AmgOptions:
    return AmgOptions(**LOW_THRESHOLDS | options)


def test_batch_size_does_not_change_the_masks(sam: nn.Module) -> None:
    expected = generate(sam, IMAGE, low())
    for batch in (1, 5, 144):
        found = generate(sam, IMAGE, low(), points_per_batch=batch)
        assert [a["point_coords"] for a in found] == [a["point_coords"] for a in expected]
        for a, b in zip(found, expected, strict=True):
            assert a["predicted_iou"] == pytest.approx(b["predicted_iou"], abs=1e-5)
            assert (rle.decode(a["segmentation"]) != rle.decode(b["segmentation"])).sum() <= 5


def test_twice_the_same(sam: nn.Module) -> None:
    assert generate(sam, IMAGE, low()) == generate(sam, IMAGE, low())


def test_full_resolution_only_for_masks_above_predicted_iou(sam: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    upscaled = []
    original = decoder.Prompts.mask_logits

    def spy(self: decoder.Prompts, prompts: torch.Tensor) -> torch.Tensor:
        upscaled.append(len(prompts))
        return original(self, prompts)

    monkeypatch.setattr(decoder.Prompts, "mask_logits", spy)
    generate(sam, IMAGE, low(pred_iou_thresh=0.95))
    assert 0 < sum(upscaled) < 0.5 * 12 * 12
    upscaled.clear()
    assert generate(sam, IMAGE, low(pred_iou_thresh=10.0)) == []
    assert upscaled == []


def test_out_of_memory_halves_the_batch(sam: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    original = decoder.ImageDecoder.decode

    def little_memory(self: decoder.ImageDecoder, points: torch.Tensor, labels: None) -> decoder.Prompts:
        tried.append(len(points))
        if len(points) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, points, labels)

    expected = generate(sam, IMAGE, low(), points_per_batch=16)
    monkeypatch.setattr(decoder.ImageDecoder, "decode", little_memory)
    assert generate(sam, IMAGE, low(), points_per_batch=64) == expected
    assert tried[:3] == [64, 32, 16]


def test_strip_with_crops_where_segment_anything_fails(sam: nn.Module) -> None:
    """Crops of a one-pixel-high image are empty; a very long strip rounds to no pixel at the model's size."""
    generate(sam, IMAGE[:1, :], low(crop_n_layers=2, points_per_side=4))
    found = generate(sam, np.tile(IMAGE[:1, :, :], (1, 6, 1)), low(points_per_side=4, stability_score_thresh=0.0))
    assert all(a["segmentation"]["size"] == [1, 1560] for a in found)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_wrong_images(sam: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sam segmenter: needs an RGB image"):
        generate(sam, np.zeros(shape, np.uint8), low())
    with pytest.raises(ValueError, match="float64"):
        generate(sam, np.zeros((10, 10, 3)), low())


def test_extra_suppression_only_removes(sam: nn.Module) -> None:
    plain = generate(sam, IMAGE, low())
    fewer = generate(sam, IMAGE, low(mask_nms_thresh=0.5))
    assert len(fewer) < len(plain)
    assert all(a in plain for a in fewer)


def test_only_what_is_connected_to_the_point_stays(sam: nn.Module) -> None:
    loose = low(box_nms_thresh=1.0, stability_score_thresh=0.0)
    plain = generate(sam, IMAGE, loose)
    connected = generate(sam, IMAGE, loose.model_copy(update={"only_connected": True}))
    key = [(tuple(a["point_coords"][0]), a["predicted_iou"]) for a in plain]
    of_key = dict(zip(key, plain, strict=True))
    kept = [(tuple(a["point_coords"][0]), a["predicted_iou"]) for a in connected]
    assert kept == [k for k in key if k in set(kept)]  # of masks that do not hold their point nothing stays
    scale, parts = max(IMAGE.shape[:2]) / 256, []
    for a, b in zip((of_key[k] for k in kept), connected, strict=True):
        whole, part = rle.decode(a["segmentation"]), rle.decode(b["segmentation"])
        x, y = a["point_coords"][0]
        assert part.any()
        if whole[int(y), int(x)]:
            _, labels = cv2.connectedComponents(whole.astype(np.uint8), connectivity=8)
            at_point = labels == labels[int(y), int(x)]
            assert (part & ~at_point).sum() <= 0.05 * part.sum() + scale**2
            parts.append(at_point.sum() < whole.sum() and part.sum() < whole.sum())
    assert sum(parts) >= 10


def test_points_on_the_edge_of_the_image(sam: nn.Module) -> None:
    corners = [[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]
    options = low(points_per_side=None, point_grids=corners, pred_iou_thresh=0.0, only_connected=True)
    for image in (IMAGE, np.ascontiguousarray(IMAGE[:, :120])):
        generate(sam, image, options)
        generate(sam, image, options.model_copy(update={"skip_covered_iou": 0.0}))


def test_an_island_goes_and_the_rest_keeps_its_edge() -> None:
    logits = torch.full((1, 8, 12), -2.0)
    logits[0, 2:5, 2:5] = 3.0
    logits[0, 2:5, 8:10] = 3.0
    kept = drop_islands(logits, np.array([[3, 3]]), 0.0)
    assert torch.equal(kept[:, 1:6, 1:6], logits[:, 1:6, 1:6])
    assert (kept[:, :, 6:] == -32).all()
    assert (drop_islands(logits, np.array([[0, 0]]), 0.0) <= 0).all()


def test_points_are_skipped_only_inside_masks_found_before(sam: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    prompted = []
    original = decoder.ImageDecoder.decode

    def spy(self: decoder.ImageDecoder, points: torch.Tensor, labels: None) -> decoder.Prompts:
        prompted.extend(map(tuple, points.tolist()))
        return original(self, points, labels)

    monkeypatch.setattr(decoder.ImageDecoder, "decode", spy)
    every = {"points_per_side": 20, "box_nms_thresh": 1.0}
    generate(sam, IMAGE, low(**every))
    order = list(prompted)
    prompted.clear()
    found = generate(sam, IMAGE, low(**every, skip_covered_iou=0.0), points_per_batch=7)
    assert set(prompted) < set(order)
    covered = rle.union([a["segmentation"] for a in found], *IMAGE.shape[:2])
    grid = [((i + 0.5) / 20, (j + 0.5) / 20) for j in range(20) for i in range(20)]
    skipped = [place for place, point in zip(grid, order, strict=True) if point not in set(prompted)]
    assert skipped
    assert all(covered[int(y * IMAGE.shape[0]), int(x * IMAGE.shape[1])] for x, y in skipped)
    first = list(prompted)
    prompted.clear()
    generate(sam, IMAGE, low(**every, skip_covered_iou=0.0), points_per_batch=64)
    assert prompted == first


def test_no_point_is_skipped_for_masks_that_are_not_good_enough(sam: nn.Module) -> None:
    plain = generate(sam, IMAGE, low())
    never = low(skip_covered_iou=1.0).model_copy(update={"skip_covered_iou": 10.0})  # above what options may be
    found = generate(sam, IMAGE, never)
    assert {tuple(a["point_coords"][0]) for a in found} == {tuple(a["point_coords"][0]) for a in plain}


def test_crops_that_have_no_points_left_are_not_encoded(sam: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    original = encoder.encode_images

    def spy(sam: nn.Module, images: Sequence[np.ndarray], bf16: bool) -> list[EncodedImage]:
        encoded.extend(image.shape for image in images)
        return original(sam, images, bf16)

    monkeypatch.setattr(encoder, "encode_images", spy)
    generate(sam, IMAGE, low(points_per_side=None, point_grids=[[[0.5, 0.5]], []], crop_n_layers=1))
    assert encoded == [IMAGE.shape]


def test_weights_file_is_deterministic(tmp_path: Path) -> None:
    first, second = (save_small_sam(tmp_path / name, seed=5) for name in ("a.pth", "b.pth"))
    a, b = torch.load(first, weights_only=True), torch.load(second, weights_only=True)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 40), (40, 1)])
def test_images_as_thin_as_a_pixel_get_each_mask_once(sam: nn.Module, shape: tuple[int, int]) -> None:
    """Their boxes have no area in segment-anything's convention, and IoUs that are no numbers: 192 masks of a pixel."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = generate(sam, pixels, low(pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.7))
    masks = [rle.decode(a["segmentation"]).ravel() for a in found]
    assert all(mask.any() for mask in masks)
    for i, one in enumerate(masks):
        for other in masks[:i]:
            first, last = np.flatnonzero(one)[[0, -1]], np.flatnonzero(other)[[0, -1]]
            inner = min(first[1], last[1]) - max(first[0], last[0]) + 1
            assert inner / (max(first[1], last[1]) - min(first[0], last[0]) + 1) <= 0.7 + 1e-6
