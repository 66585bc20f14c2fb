"""Patch points and part masks against segment-anything's own classes on the same small SAM."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from skimage import data

from helpers.small_sam import save_small_sam
from regionflow.formats import rle
from regionflow.formats.parts import EMPTY, PartMasks
from regionflow.masks.options import SamOptions
from regionflow.parts.options import TeacherOptions
from regionflow.parts.pixels import square
from regionflow.parts.teacher import SamTeacher, patch_points
from regionflow.sam.build import build_sam

SIZE, GRID = 96, 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_sam(tmp_path_factory.mktemp("sam") / "sam.pth")


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return square(data.astronaut(), SIZE)


def published(sam: Sam, image: NDArray[np.uint8], labels: list[int]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Masks [P, 3, S, S] and predicted IoUs [P, 3] by the original's way: one prompt per point through Sam.forward."""
    resize = ResizeLongestSide(sam.image_encoder.img_size)
    patch = SIZE // GRID
    points = [[[x, y]] for y in range(patch // 2, SIZE, patch) for x in range(patch // 2, SIZE, patch)]
    pixels = torch.as_tensor(resize.apply_image(image)).permute(2, 0, 1).contiguous()
    request = {
        "image": pixels,
        "point_coords": resize.apply_coords_torch(torch.tensor(points), (SIZE, SIZE)),
        "point_labels": torch.tensor(labels)[:, None],
        "original_size": (SIZE, SIZE),
    }
    answer = sam([request], multimask_output=True)[0]
    return answer["masks"].numpy(), answer["iou_predictions"].numpy()


def pixels(parts: PartMasks) -> NDArray[np.bool_]:
    """Masks [P, L, S, S]."""
    stack = np.stack([*(rle.decode(mask) for mask in parts.masks), np.zeros((parts.size, parts.size), bool)])
    return stack[parts.index]


def teacher(checkpoint: Path, **options: str) -> SamTeacher:
    return SamTeacher(TeacherOptions(segmenter="small", grid=GRID, **options), SamOptions(checkpoint=str(checkpoint)))


def test_points_are_the_centres_of_the_published_patches() -> None:
    points = patch_points(224, 14)
    assert points[:3].tolist() == [[8, 8], [24, 8], [40, 8]]
    assert points[14].tolist() == [8, 24]
    assert points[-1].tolist() == [216, 216]


@pytest.mark.parametrize(
    ("prompt_label", "labels"), [("foreground", [1] * GRID**2), ("as_published", list(range(GRID**2)))]
)
def test_masks_are_segment_anythings(
    checkpoint: Path, image: NDArray[np.uint8], prompt_label: str, labels: list[int]
) -> None:
    masks, iou = published(build_sam("auto", checkpoint), image, labels)
    ours = teacher(checkpoint, prompt_label=prompt_label).masks(image)
    # Logits differ by rounding: a pixel on the threshold may fall on either side.
    assert (pixels(ours) != masks).mean() < 1e-5
    np.testing.assert_allclose(ours.predicted_iou, iou, atol=1e-5)
    assert ours.index.shape == (GRID**2, 3)


def test_masks_are_those_of_segment_anythings_predictor(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    predictor = SamPredictor(build_sam("auto", checkpoint))
    predictor.set_image(image)
    ours = teacher(checkpoint).masks(image)
    masks, wrong = pixels(ours), 0
    for patch, point in enumerate(patch_points(SIZE, GRID)):
        expected, iou, _ = predictor.predict(point[None], np.ones(1, np.int64), multimask_output=True)
        wrong += int((masks[patch] != expected).sum())
        np.testing.assert_allclose(ours.predicted_iou[patch], iou, atol=1e-5)
    assert wrong / masks.size < 1e-5


def test_the_published_labels_change_the_masks(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    right, wrong = teacher(checkpoint), teacher(checkpoint, prompt_label="as_published")
    assert (pixels(right.masks(image)) != pixels(wrong.masks(image))).mean() > 1e-3


def test_levels_by_area_grow_and_keep_their_scores(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    given, sorted_ = teacher(checkpoint).masks(image), teacher(checkpoint, levels="by_area").masks(image)
    areas = pixels(sorted_).sum((2, 3))
    assert (np.diff(areas, axis=1) >= 0).all()
    assert sorted_.masks == given.masks
    for patch in range(GRID**2):
        before = dict(zip(given.index[patch], given.predicted_iou[patch], strict=True))
        assert all(
            score == before[row] for row, score in zip(sorted_.index[patch], sorted_.predicted_iou[patch], strict=True)
        )


def test_batches_do_not_change_the_masks(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    options, sam = TeacherOptions(segmenter="small", grid=GRID), SamOptions(checkpoint=str(checkpoint))
    one, many = SamTeacher(options, sam, points_per_batch=1), SamTeacher(options, sam, points_per_batch=7)
    assert (pixels(one.masks(image)) != pixels(many.masks(image))).mean() < 1e-5


def test_identical_masks_are_stored_once(checkpoint: Path) -> None:
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    parts = teacher(checkpoint).masks(black)
    assert len({mask["counts"] for mask in parts.masks}) == len(parts.masks)
    assert all(rle.area(mask) for mask in parts.masks)
    assert parts.index.min() >= EMPTY


def test_near_duplicates_count_as_the_one_with_the_best_score(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    options, sam = TeacherOptions(segmenter="small", grid=GRID), SamOptions(checkpoint=str(checkpoint))
    every = SamTeacher(options, sam).masks(image)
    fewer = SamTeacher(options.model_copy(update={"duplicate_iou": 0.8}), sam).masks(image)
    assert len(fewer.masks) < len(every.masks)
    before, after = pixels(every), pixels(fewer)
    union = (before | after).sum((2, 3))
    overlap = (before & after).sum((2, 3)) / np.maximum(union, 1)
    assert (overlap[union > 0] > 0.8).all()
    assert (every.index.ravel() == EMPTY).tolist() == (fewer.index.ravel() == EMPTY).tolist()
    iou = coco.iou(fewer.masks, fewer.masks, [0] * len(fewer.masks))
    assert (iou[~np.eye(len(iou), dtype=bool)] <= 0.8).all()
