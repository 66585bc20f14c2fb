"""Automatic mask generation: a grid of points, one mask decoder pass over them, the good and distinct masks kept.

The algorithm is segment-anything's `SamAutomaticMaskGenerator` (Kirillov et al. 2023), for SAM, MobileSAM and HQ-SAM
alike; filters, their order and the order of records are the same. Where the time goes is not: see prompting.py (from
points to masks), decoder.py (the transformer), masks.py (full-size masks) and docs/sam.md.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes, is_box_near_crop_edge
from torch import Tensor
from torchvision.ops.boxes import batched_nms, box_area

from regionflow.base.arrays import check_rgb
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.formats import rle
from regionflow.formats.rle import Rle
from regionflow.sam.cleanup import remove_small_parts, suppress_duplicates
from regionflow.sam.encoder import EncodedImage, Encodings
from regionflow.sam.masks import FullMask
from regionflow.sam.options import AmgOptions
from regionflow.sam.prompting import Answer, Prompter

# Points between looks at what the masks so far cover, where covered points are skipped.
WAVE = 16


@dataclass
class Candidates:
    """Masks that passed the filters: boxes [n, 4] are x0, y0, x1, y1 of inclusive pixels in the image."""

    rles: list[Rle]
    boxes: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    points: NDArray[np.float64]
    crops: NDArray[np.int64]

    @classmethod
    def none(cls) -> "Candidates":
        """No masks at all."""
        boxes, scores = np.empty((0, 4), np.int64), np.empty(0, np.float32)
        return cls([], boxes, scores, scores, np.empty((0, 2)), boxes)

    @classmethod
    def join(cls, parts: "list[Candidates]") -> "Candidates":
        """All parts one after the other."""
        arrays = ("boxes", "predicted_iou", "stability", "points", "crops")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
        return cls([r for part in parts for r in part.rles], **joined)

    def take(self, index: NDArray[np.int64]) -> "Candidates":
        """Those masks, in that order."""
        return Candidates(
            [self.rles[i] for i in index],
            self.boxes[index],
            self.predicted_iou[index],
            self.stability[index],
            self.points[index],
            self.crops[index],
        )


def generate(
    sam: Sam, image: NDArray[np.uint8], options: AmgOptions, *, points_per_batch: int | None = None
) -> list[dict]:
    """All masks of an image, in segment-anything's order.

    Args:
        sam: a SAM, MobileSAM or HQ-SAM in eval mode, on any device.
        image: RGB uint8 [H, W, 3].
        options: what decides the masks.
        points_per_batch: prompts decoded at a time; None chooses by the memory at hand. Does not change the masks
            beyond float rounding.

    Returns:
        Annotations with segmentation (RLE), area, bbox [x, y, width, height] (pycocotools' convention; segment-anything
        reports width and height one less), predicted_iou, stability_score, point_coords [[x, y]], crop_box
        [x, y, width, height]. Empty when no mask passes.

    Raises:
        ValueError: the image is not uint8 [H, W, 3] with pixels in it.
    """
    (on_card,) = begin(sam, [image], options, points_per_batch=points_per_batch)
    return on_card(at_once)()


def begin(
    sam: Sam, images: Sequence[NDArray[np.uint8]], options: AmgOptions, *, points_per_batch: int | None = None
) -> list[OnCard[list[dict]]]:
    """Begin with several images, and for each, in their order, what is left to do for the masks that `generate` gives.

    On a card the images (and their crops) are encoded several at a time; while it works, RLEs are made and duplicates
    sought beside it. Masks then differ from those of one image by what kernels for other batch sizes round otherwise.
    On a CPU images are encoded one by one, each when its turn has come. Raises what `generate` raises.
    """
    for image in images:
        check_rgb(image, "sam segmenter")
    cut = [_crops(image, options) for image in images]
    pixels = [image[y0:y1, x0:x1] for image, crops in zip(images, cut, strict=True) for x0, y0, x1, y1 in crops.boxes]
    firsts = np.cumsum([0, *(len(crops.boxes) for crops in cut)]).tolist()
    encodings = Encodings(sam, pixels, options.precision == "bf16")
    if sam.device.type != "cpu":
        with torch.inference_mode():
            encodings.begin(0)
    return [
        partial(_on_card, Run(sam, options, points_per_batch), crops, partial(_taken, encodings, first))
        for crops, first in zip(cut, firsts, strict=False)
    ]


@dataclass(frozen=True)
class Run:
    """What all crops have in common; `batch` is the number of points per batch, None for what the memory holds."""

    sam: Sam
    options: AmgOptions
    batch: int | None


@dataclass(frozen=True)
class Crops:
    """The crops of an image of that height and width that have pixels: boxes x0, y0, x1, y1 and their layers."""

    size: tuple[int, int]
    boxes: list[tuple[int, int, int, int]]
    layers: list[int]


def _crops(image: NDArray[np.uint8], options: AmgOptions) -> Crops:
    """A strip thinner than the number of crops would leave some empty."""
    size = (image.shape[0], image.shape[1])
    both = zip(*generate_crop_boxes(size, options.crop_n_layers, options.crop_overlap_ratio), strict=True)
    boxes, layers = zip(*((box, layer) for box, layer in both if box[0] < box[2] and box[1] < box[3]), strict=True)
    return Crops(size, [tuple(box) for box in boxes], list(layers))


def _taken(encodings: Encodings, first: int, number: int) -> EncodedImage:
    return encodings.take(first + number)


def _on_card(run: Run, crops: Crops, encoded: Callable[[int], EncodedImage], beside: Beside) -> Later[list[dict]]:
    """Prompt all crops of an image."""
    options = run.options
    grids = _point_grids(options)
    if options.skip_covered_iou is not None:
        grids = [grid[_coarse_first(grid)] for grid in grids]
    parts: list[Later[Candidates]] = []
    covered = np.zeros(crops.size, bool)
    with torch.inference_mode():
        for number, (box, layer) in enumerate(zip(crops.boxes, crops.layers, strict=True)):
            crop, grid = Crop(box, crops.size), grids[layer]
            if options.skip_covered_iou is not None and parts:
                covered |= confidently_covered(parts[-1](), crops.size, options.skip_covered_iou)
                x, y = crop.pixels(crop.points(grid)).T
                grid = grid[~covered[y + box[1], x + box[0]]]
            parts.append(_one_crop(run, partial(encoded, number), crop, grid, beside))
    return beside(lambda: _joined([part() for part in parts], crops, options))


def _joined(parts: list[Candidates], crops: Crops, options: AmgOptions) -> list[dict]:
    """The annotations of the masks of all crops, without duplicates."""
    candidates = Candidates.join(parts)
    if options.crop_n_layers > 0:
        scores = 1 / box_area(torch.from_numpy(candidates.crops))
        candidates = candidates.take(_nms(candidates.boxes, scores, options.crop_nms_thresh, crops.size))
    if options.min_mask_region_area > 0:
        thresh = max(options.box_nms_thresh, options.crop_nms_thresh)
        candidates.rles, kept = remove_small_parts(candidates.rles, options.min_mask_region_area, thresh)
        candidates = candidates.take(kept)
    kept = suppress_duplicates(candidates.rles, options.mask_nms_thresh, options.containment_nms_thresh)
    return _annotations(candidates.take(kept))


def _point_grids(options: AmgOptions) -> list[NDArray[np.float64]]:
    """Points [n, 2] in [0, 1] for each crop layer."""
    if options.point_grids is not None:
        return [np.array(grid, dtype=np.float64).reshape(-1, 2) for grid in options.point_grids]
    return build_all_layer_point_grids(
        options.points_per_side, options.crop_n_layers, options.crop_n_points_downscale_factor
    )


@dataclass(frozen=True)
class Crop:
    """A part of an image: box x0, y0, x1, y1 and the height and width of the whole image."""

    box: tuple[int, int, int, int]
    image_size: tuple[int, int]

    def points(self, grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of a grid in [0, 1] as x and y in pixels of the crop."""
        x0, y0, x1, y1 = self.box
        return grid * np.array([[x1 - x0, y1 - y0]])

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """The pixels of the crop in which points lie; one on the right or lower edge lies in the last."""
        x0, y0, x1, y1 = self.box
        return np.minimum(points.astype(np.int64), [[x1 - x0 - 1, y1 - y0 - 1]])


def confidently_covered(candidates: Candidates, size: tuple[int, int], skip_covered_iou: float) -> NDArray[np.bool_]:
    """Pixels covered by a confident mask [H, W].

    Confident: predicted IoU at least (1 + skip_covered_iou) / 2, stricter than inside one crop, because smaller crops
    show more detail. Of the masks of one prompt only the smallest counts.
    """
    confident = np.flatnonzero(candidates.predicted_iou >= (1 + skip_covered_iou) / 2)
    smallest: dict[tuple[float, ...], Rle] = {}
    for i in sorted(confident, key=lambda i: rle.area(candidates.rles[i])):
        smallest.setdefault(tuple(candidates.points[i]), candidates.rles[i])
    return rle.union(list(smallest.values()), *size)


def _one_crop(
    run: Run, encoded: Later[EncodedImage], crop: Crop, grid: NDArray[np.float64], beside: Beside
) -> Later[Candidates]:
    """Masks of one crop that pass all filters, without duplicates.

    RLEs are made beside the decoding of further points. A crop without points is not encoded, but where it was with
    others.
    """
    options = run.options
    points = crop.points(grid)
    at = crop.pixels(points)
    if not len(points):
        return Candidates.none
    prompter = Prompter(run.sam, encoded(), options, run.batch)
    if options.skip_covered_iou is None:
        answers = prompter.answers(points, np.arange(len(points)))
    else:
        height = crop.box[3] - crop.box[1]
        answers = _not_covered(prompter, points, at[:, 0] * height + at[:, 1], options.skip_covered_iou)
    parts = [beside(partial(_collect, answer, points[now], crop)) for now, answer in answers]

    def joined() -> Candidates:
        candidates = Candidates.join([Candidates.none(), *(part() for part in parts)])
        scores = torch.from_numpy(candidates.predicted_iou)
        return candidates.take(_nms(candidates.boxes, scores, options.box_nms_thresh, crop.image_size))

    return beside(joined)


def _not_covered(
    prompter: Prompter, points: NDArray[np.float64], pixels: NDArray[np.int64], skip_covered_iou: float
) -> Iterator[tuple[NDArray[np.int64], Answer]]:
    """The points that no mask covers when their turn comes, in waves, and their masks.

    pixels: of the points, flat and column-major. Which points are skipped depends neither on the batches nor on the
    device: a GPU answers many waves at once, and what the masks of the first waves cover is thrown away afterwards.
    """
    waiting = np.arange(len(points))
    while len(waiting):
        asked, waiting = np.split(waiting, [max(WAVE, prompter.together)])
        answer = Answer.join([answer for _, answer in prompter.answers(points, asked)])
        left = np.arange(len(asked))
        while len(left) >= WAVE or (len(left) and not len(waiting)):
            wave, left = np.split(left, [WAVE])
            masks = answer.take(wave)
            yield asked[wave], masks
            left = left[~masks.covers(pixels[asked[left]], skip_covered_iou)]
            waiting = waiting[~masks.covers(pixels[waiting], skip_covered_iou)]
        waiting = np.concatenate([asked[left], waiting])  # too few for a wave: they come first in the next


def _coarse_first(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order of the points of a grid: that of an ordered dither (Bayer 1973).

    Every fourth point along both axes comes first, then every second, then the rest, and points that follow each other
    are far apart: two neighbours in one wave would often prompt the same region.
    """
    column, row = (np.unique(axis, return_inverse=True)[1] + 3 for axis in grid.T)  # fourths begin at the second
    key = np.zeros(len(grid), np.int64)
    for bit in range(int(max(column.max(initial=0), row.max(initial=0))).bit_length()):
        key = 4 * key + 2 * ((column ^ row) >> bit & 1) + (row >> bit & 1)
    return np.argsort(key, kind="stable")


def _collect(answer: Answer, points: NDArray[np.float64], crop: Crop) -> Candidates:
    """The stable masks that the crop's edge does not cut and that have pixels."""
    x0, y0, _, y1 = crop.box
    prompt, mask = answer.wanted.nonzero()
    whole = [(i, m) for i, m in enumerate(answer.masks) if m is not None and not _cut_by_crop(m, crop)]
    encoded = [(i, m, m.encode(y1 - y0, (x0, y0), crop.image_size)) for i, m in whole]
    good = [(i, m, mask_rle) for i, m, mask_rle in encoded if rle.area(mask_rle)]
    if not good:
        return Candidates.none()
    kept = [i for i, _, _ in good]
    return Candidates(
        rles=[mask_rle for _, _, mask_rle in good],
        boxes=np.array([m.box for _, m, _ in good]) + np.array([x0, y0, x0, y0]),
        predicted_iou=answer.iou[prompt[kept], mask[kept]],
        stability=np.array([m.stability for _, m, _ in good], np.float32),
        points=points[prompt[kept]] + np.array([[x0, y0]]),
        crops=np.tile(np.array(crop.box), (len(good), 1)),
    )


def _cut_by_crop(mask: FullMask, crop: Crop) -> bool:
    """Whether the box ends within 20 pixels of the crop's edge where that is not the image's edge."""
    height, width = crop.image_size
    return bool(is_box_near_crop_edge(torch.tensor([mask.box]), list(crop.box), [0, 0, width, height]))


def _nms(boxes: NDArray[np.int64], scores: Tensor, thresh: float, size: tuple[int, int]) -> NDArray[np.int64]:
    """Indices that survive non-maximum suppression of boxes in an image of that height and width, best first.

    segment-anything's boxes go from the first to the last pixel. In an image one pixel high or wide none has an area,
    and each mask would survive as often as it was found: there the boxes are those around the pixels.
    """
    xyxy = torch.from_numpy(boxes).float()
    if min(size) == 1:
        xyxy = xyxy + torch.tensor([0.0, 0.0, 1.0, 1.0])
    return batched_nms(xyxy, scores, torch.zeros(len(boxes)), iou_threshold=thresh).numpy()


def _annotations(candidates: Candidates) -> list[dict]:
    annotations = []
    for i, segmentation in enumerate(candidates.rles):
        x0, y0, x1, y1 = candidates.crops[i].tolist()
        annotations.append(
            {
                "segmentation": segmentation,
                "area": rle.area(segmentation),
                "bbox": rle.bbox(segmentation),
                "predicted_iou": float(candidates.predicted_iou[i]),
                "stability_score": float(candidates.stability[i]),
                "point_coords": [candidates.points[i].tolist()],
                "crop_box": [x0, y0, x1 - x0, y1 - y0],
            }
        )
    return annotations
