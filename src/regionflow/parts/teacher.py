"""The teacher: three nested masks for every patch of an image, by a SAM asked with one point per patch.

As in Radwan and Shehata (ICCVW 2023): the image is resized to a square, each patch's centre is one prompt, and SAM's
three masks of it are subpart, part and whole. The image is encoded once and the points are decoded in batches; masks
leave the decoder as RLEs, so no stack of pixels exists.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco

from regionflow.base.errors import UserError
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.formats import rle
from regionflow.formats.parts import EMPTY, PartMasks, distinct
from regionflow.formats.rle import Rle
from regionflow.masks.options import SamOptions
from regionflow.parts.options import TeacherOptions
from regionflow.sam.build import build_sam
from regionflow.sam.encoder import Encodings
from regionflow.sam.prompting import Answer, Prompter

SAM_LEVELS = 3
EVERY_MASK = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "skip_covered_iou": None}
"""Automatic generation drops masks; a patch always has all of its own."""


class Teacher(Protocol):
    """Anything that gives nested masks for every patch."""

    def masks(self, square: NDArray[np.uint8]) -> PartMasks:
        """Part masks of a square RGB image [S, S, 3]."""
        ...


def patch_points(size: int, grid: int) -> NDArray[np.float64]:
    """Centres x, y of the patches [grid * grid, 2] in pixels of the square image, row by row."""
    at = (np.arange(grid) + 0.5) * (size / grid)
    y, x = np.meshgrid(at, at, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


class SamTeacher:
    """A SAM, MobileSAM or sam_tiny as teacher.

    Raises CheckpointError for weights that cannot be used, UserError for HQ-SAM, which gives one mask per point.
    """

    def __init__(
        self, options: TeacherOptions, segmenter: SamOptions, device: str = "cpu", points_per_batch: int | None = None
    ) -> None:
        self._options = options
        self._amg = segmenter.model_copy(update=EVERY_MASK)
        self._points_per_batch = points_per_batch
        self._sam = build_sam(segmenter.model, segmenter.needed_weights(), device)
        if hasattr(self._sam.mask_decoder, "hf_token"):
            raise UserError("parts.teacher: HQ-SAM gives one mask per point, not three; name a SAM or MobileSAM")

    def masks(self, square: NDArray[np.uint8]) -> PartMasks:
        """Part masks of a square RGB image [S, S, 3]: three per patch."""
        return self.begin([square])[0](at_once)()

    def begin(self, squares: Sequence[NDArray[np.uint8]]) -> list[OnCard[PartMasks]]:
        """Begin with several images, on a card encoded together; for each, in their order, what is left to do."""
        encodings = Encodings(self._sam, squares, self._amg.precision == "bf16")
        if self._sam.device.type != "cpu":
            with torch.inference_mode():
                encodings.begin(0)
        return [partial(self._on_card, encodings, number, len(square)) for number, square in enumerate(squares)]

    def _on_card(self, encodings: Encodings, number: int, size: int, beside: Beside) -> Later[PartMasks]:
        """Ask for the masks of every patch; RLEs are made beside the decoding of further ones."""
        count = self._options.grid**2
        points = patch_points(size, self._options.grid)
        # As published the label of a point is its running index: SAM then knows one foreground and one background
        # point, and 194 that are neither.
        labels = np.arange(count) if self._options.prompt_label == "as_published" else None
        iou, parts = np.zeros((count, SAM_LEVELS)), list[Later[tuple[list[Rle], list[float]]]]()
        with torch.inference_mode():
            prompter = Prompter(self._sam, encodings.take(number), self._amg, self._points_per_batch)
            for rows, answer in prompter.answers(points, np.arange(count), labels):
                iou[rows] = answer.iou
                parts.append(beside(partial(_encoded, answer, size)))

        def arranged() -> PartMasks:
            made = [part() for part in parts]
            rles = [mask for some, _ in made for mask in some]
            stability = np.array([score for _, scores in made for score in scores])
            return self._arranged(size, rles, iou, stability.reshape(iou.shape))

        return beside(arranged)

    def _arranged(
        self, size: int, rles: list[Rle], iou: NDArray[np.float64], stability: NDArray[np.float64]
    ) -> PartMasks:
        masks, index = distinct(rles)
        if self._options.duplicate_iou < 1:
            masks, index = _without_duplicates(masks, index, iou.ravel(), self._options.duplicate_iou)
        index = index.reshape(iou.shape)
        if self._options.levels == "by_area":
            areas = np.array([rle.area(mask) for mask in masks] + [0])
            order = np.argsort(areas[index], axis=1, kind="stable")
            index = np.take_along_axis(index, order, axis=1)
            iou, stability = (np.take_along_axis(scores, order, axis=1) for scores in (iou, stability))
        return PartMasks(size, masks, index, iou, stability, "sam").keep(self._options.keep_levels)


def _encoded(answer: Answer, size: int) -> tuple[list[Rle], list[float]]:
    """RLEs and stability scores of masks of an image [S, S]; there are all, since nothing is below a threshold of 0."""
    masks = [mask for mask in answer.masks if mask is not None]
    return [mask.encode(size, (0, 0), (size, size)) for mask in masks], [mask.stability for mask in masks]


def _without_duplicates(
    masks: list[Rle], index: NDArray[np.int64], scores: NDArray[np.float64], duplicate_iou: float
) -> tuple[list[Rle], NDArray[np.int64]]:
    """Keep masks with the best scores first; one that overlaps a kept mask more than `duplicate_iou` becomes that one.

    index, scores: [n], of each given mask its row in `masks` or EMPTY, and its predicted IoU.
    """
    best = np.full(len(masks), -np.inf)
    np.maximum.at(best, index[index != EMPTY], scores[index != EMPTY])
    overlap = np.asarray(coco.iou(masks, masks, [0] * len(masks))).reshape(len(masks), len(masks))
    replaced = np.full(len(masks), EMPTY)
    for row in np.argsort(-best, kind="stable"):
        if replaced[row] == EMPTY:
            replaced[(replaced == EMPTY) & (overlap[row] > duplicate_iou)] = row
            replaced[row] = row
    kept, compact = np.unique(replaced, return_inverse=True)
    return [masks[row] for row in kept], np.where(index == EMPTY, EMPTY, compact[np.maximum(index, 0)])
