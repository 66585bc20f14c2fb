"""Automatic mask generation: a grid of points, one mask decoder pass over them, the good and distinct masks kept.

The algorithm is segment-anything's `SamAutomaticMaskGenerator` (Kirillov et al. 2023), for SAM, MobileSAM and HQ-SAM
alike; filters, their order and the order of records are the same. Where the time goes is not: see decoder.py (the
transformer), masks.py (full-size masks) and docs/sam.md.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes, is_box_near_crop_edge
from torch import Tensor, nn
from torchvision.ops.boxes import batched_nms, box_area

from regionflow import rle
from regionflow.rle import Rle
from regionflow.sam.cleanup import remove_small_parts, suppress_duplicates
from regionflow.sam.decoder import ImageDecoder, Prompts
from regionflow.sam.encoder import encode_image
from regionflow.sam.masks import FullMask, FullSize, Thresholds
from regionflow.sam.options import AmgOptions

# A larger batch only streams more memory through a CPU's caches; a GPU wants as many prompts as fit.
CPU_BATCH_BYTES = 16 << 20
GPU_BATCH_FRACTION = 0.4


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
    sam: nn.Module, image: NDArray[np.uint8], options: AmgOptions, *, points_per_batch: int | None = None
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
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"mask generation needs an RGB uint8 image [H, W, 3], got {image.dtype} {list(image.shape)}")
    with torch.inference_mode():
        found = _all_crops(sam, image, options, points_per_batch)
    if options.min_mask_region_area > 0 and found.rles:
        thresh = max(options.box_nms_thresh, options.crop_nms_thresh)
        found.rles, kept = remove_small_parts(found.rles, options.min_mask_region_area, thresh)
        found = found.take(kept)
    kept = suppress_duplicates(found.rles, options.mask_nms_thresh, options.containment_nms_thresh)
    return _annotations(found.take(kept))


def generate_many(
    sam: nn.Module,
    images: Iterable[NDArray[np.uint8]],
    options: AmgOptions,
    *,
    points_per_batch: int | None = None,
    workers: int = 2,
) -> Iterator[list[dict]]:
    """`generate` for many images, in their order; one image's RLE and the next one's reading overlap a GPU's work.

    At most `workers` + 1 images are in memory. On a CPU one worker is best: the arithmetic already uses all threads.
    """
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[list[dict]]] = deque()
        for image in images:
            running.append(pool.submit(generate, sam, image, options, points_per_batch=points_per_batch))
            if len(running) > workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _all_crops(sam: nn.Module, image: NDArray[np.uint8], options: AmgOptions, batch: int | None) -> Candidates:
    size = (image.shape[0], image.shape[1])
    grids = _point_grids(options)
    boxes, layers = generate_crop_boxes(size, options.crop_n_layers, options.crop_overlap_ratio)
    parts = [
        _one_crop(sam, image, crop, grids[layer], options, batch)
        for crop, layer in zip(boxes, layers, strict=True)
        if crop[0] < crop[2] and crop[1] < crop[3]  # a strip thinner than the number of crops leaves some empty
    ]
    found = Candidates.join(parts)
    if len(boxes) > 1 and found.rles:
        scores = 1 / box_area(torch.from_numpy(found.crops))
        found = found.take(_nms(found.boxes, scores, options.crop_nms_thresh))
    return found


def _point_grids(options: AmgOptions) -> list[NDArray[np.float64]]:
    """Points [n, 2] in [0, 1] for each crop layer."""
    if options.point_grids is not None:
        return [np.array(grid, dtype=np.float64).reshape(-1, 2) for grid in options.point_grids]
    return build_all_layer_point_grids(
        options.points_per_side, options.crop_n_layers, options.crop_n_points_downscale_factor
    )


def _one_crop(
    sam: nn.Module,
    image: NDArray[np.uint8],
    crop: list[int],
    grid: NDArray[np.float64],
    options: AmgOptions,
    batch: int | None,
) -> Candidates:
    """Masks of one crop (x0, y0, x1, y1) that pass all filters, without duplicates."""
    x0, y0, x1, y1 = crop
    bf16 = options.precision == "bf16"
    encoded = encode_image(sam, image[y0:y1, x0:x1], bf16)
    decoder = ImageDecoder(sam, encoded, torch.bfloat16 if bf16 else torch.float32)
    height, width = decoder.grid
    full = FullSize((4 * height, 4 * width), sam.image_encoder.img_size, encoded.input_size, encoded.size, sam.device)
    points = grid * np.array([[x1 - x0, y1 - y0]])
    prompts = _to_model(points, encoded.size, sam.image_encoder.img_size)
    step = batch or _batch_size(decoder)
    parts = [Candidates.none()]
    for start in range(0, len(points), step):
        stop = start + step
        decoded = decoder.decode(torch.from_numpy(prompts[start:stop]).to(sam.device))
        parts.append(_filter(decoded, points[start:stop], full, crop, (image.shape[0], image.shape[1]), options, sam))
    found = Candidates.join(parts)
    return found.take(_nms(found.boxes, torch.from_numpy(found.predicted_iou), options.box_nms_thresh))


def _to_model(points: NDArray[np.float64], size: tuple[int, int], long_side: int) -> NDArray[np.float32]:
    """Points in pixels of an image to [0, 1] of the padded model input; half a pixel is added as for all prompts."""
    height, width = size
    scale = long_side / max(height, width)
    resized = int(width * scale + 0.5), int(height * scale + 0.5)
    scaled = points * np.array([resized[0] / width, resized[1] / height])
    return ((scaled + 0.5) / long_side).astype(np.float32)


def _batch_size(decoder: ImageDecoder) -> int:
    """Prompts to decode at a time."""
    per_prompt = decoder.keys.numel() * decoder.keys.element_size()
    if decoder.keys.device.type == "cuda":
        # Image tokens, their product before the norm, and the attention weights.
        free, _ = torch.cuda.mem_get_info(decoder.keys.device)
        return max(1, min(512, int(free * GPU_BATCH_FRACTION) // (4 * per_prompt)))
    return min(64, max(1, CPU_BATCH_BYTES // (decoder.keys.numel() * 4)))


def _filter(
    decoded: Prompts,
    points: NDArray[np.float64],
    full: FullSize,
    crop: list[int],
    size: tuple[int, int],
    options: AmgOptions,
    sam: nn.Module,
) -> Candidates:
    """The masks of one batch that pass the predicted IoU, the stability score and the crop's edges."""
    iou = decoded.predicted_iou
    wanted = iou > options.pred_iou_thresh if options.pred_iou_thresh > 0 else torch.ones_like(iou, dtype=torch.bool)
    prompt, mask = (index.cpu().numpy() for index in wanted.nonzero(as_tuple=True))
    thresholds = Thresholds(sam.mask_threshold, options.stability_score_offset, options.stability_score_thresh)
    masks = _full_masks(decoded, wanted, full, thresholds)
    kept = [i for i, m in enumerate(masks) if m is not None and not _cut_by_crop(m, crop, size)]
    if not kept:
        return Candidates.none()
    good = [m for m in (masks[i] for i in kept) if m is not None]
    origin = (crop[0], crop[1])
    return Candidates(
        rles=[m.encode(full.size, origin, size) for m in good],
        boxes=np.array([m.box for m in good]) + np.array([*origin, *origin]),
        predicted_iou=iou.cpu().numpy()[prompt[kept], mask[kept]],
        stability=np.array([m.stability for m in good], np.float32),
        points=points[prompt[kept]] + np.array([origin]),
        crops=np.tile(np.array(crop), (len(good), 1)),
    )


def _full_masks(decoded: Prompts, wanted: Tensor, full: FullSize, thresholds: Thresholds) -> list[FullMask | None]:
    """Full-size masks where `wanted` [B, masks per prompt] is true, row by row."""
    prompts = wanted.any(1).nonzero()[:, 0]
    if not len(prompts):
        return []
    found: list[FullMask | None] = []
    for some in prompts.split(1 if full.device.type == "cpu" else 32):
        logits = decoded.mask_logits(some)
        found += full.masks(logits[wanted[some]], thresholds)
    return found


def _cut_by_crop(mask: FullMask, crop: list[int], size: tuple[int, int]) -> bool:
    """Whether the box ends within 20 pixels of the crop's edge where that is not the image's edge."""
    box = torch.tensor([mask.box])
    return bool(is_box_near_crop_edge(box, crop, [0, 0, size[1], size[0]])[0])


def _nms(boxes: NDArray[np.int64], scores: Tensor, thresh: float) -> NDArray[np.int64]:
    """Indices that survive non-maximum suppression of boxes, best first."""
    xyxy = torch.from_numpy(boxes).float()
    return batched_nms(xyxy, scores, torch.zeros(len(boxes)), iou_threshold=thresh).numpy()


def _annotations(found: Candidates) -> list[dict]:
    annotations = []
    for i, segmentation in enumerate(found.rles):
        x0, y0, x1, y1 = found.crops[i].tolist()
        annotations.append(
            {
                "segmentation": segmentation,
                "area": rle.area(segmentation),
                "bbox": rle.bbox(segmentation),
                "predicted_iou": float(found.predicted_iou[i]),
                "stability_score": float(found.stability[i]),
                "point_coords": [found.points[i].tolist()],
                "crop_box": [x0, y0, x1 - x0, y1 - y0],
            }
        )
    return annotations
