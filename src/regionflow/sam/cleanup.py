"""What happens to finished masks: small holes and islands go, and, on request, near duplicates by mask overlap."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from segment_anything.utils.amg import remove_small_regions
from torch import Tensor
from torchvision.ops.boxes import batched_nms

from regionflow.formats import rle
from regionflow.formats.rle import Rle

FAR_BELOW = 32.0


def remove_small_parts(rles: Sequence[Rle], min_area: int, nms_thresh: float) -> tuple[list[Rle], NDArray[np.int64]]:
    """Fill holes and remove islands under `min_area` pixels, as segment-anything's postprocessing does.

    One mask is decoded at a time. Returns all masks, cleaned, and the indices of those that survive another box NMS
    in which unchanged masks win over changed ones.
    """
    cleaned: list[Rle] = []
    boxes, scores = [], []
    for mask_rle in rles:
        mask = rle.decode(mask_rle)
        window = _window(mask_rle, mask.shape, min_area)
        part, filled = remove_small_regions(mask[window], min_area, mode="holes")
        part, cut = remove_small_regions(part, min_area, mode="islands")
        changed = filled or cut
        if changed:
            mask[window] = part
        cleaned.append(rle.encode(mask) if changed else mask_rle)
        x, y, width, height = rle.bbox(cleaned[-1])
        boxes.append([x, y, x + max(width - 1, 0), y + max(height - 1, 0)])
        scores.append(float(not changed))
    kept = batched_nms(
        torch.tensor(boxes).reshape(-1, 4).float(),
        torch.tensor(scores),
        torch.zeros(len(boxes)),
        iou_threshold=nms_thresh,
    )
    return cleaned, kept.numpy()


def _window(mask: Rle, size: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    """The box of a mask with a margin. What is around the box is one strip or ring of `margin` rows or columns.

    So background that goes on outside of the window has at least `margin` pixels inside, and no hole is found there
    that the whole image would not have. It begins at even pixels, since OpenCV numbers components by blocks of 2 x 2:
    of the largest islands of one size the first stays, and that must be the whole image's first.
    """
    x, y, width, height = rle.bbox(mask)
    top, left = (max(0, first - margin) // 2 * 2 for first in (y, x))
    return slice(top, min(size[0], y + height + margin)), slice(left, min(size[1], x + width + margin))


def suppress_duplicates(
    rles: Sequence[Rle], iou_thresh: float | None, containment_thresh: float | None
) -> NDArray[np.int64]:
    """Indices of masks that stay when those too like one before them go; all of them if both thresholds are None.

    `iou_thresh` limits the mask IoU. `containment_thresh` limits the fraction of a mask inside one before it, counted
    only if the mask covers at least half of that one, so that parts of a whole stay.
    """
    if iou_thresh is None and containment_thresh is None:
        return np.arange(len(rles))
    kept: list[int] = []
    for i, mask in enumerate(rles):
        before = [rles[k] for k in kept]
        if before and _is_duplicate(mask, before, iou_thresh, containment_thresh):
            continue
        kept.append(i)
    return np.array(kept, dtype=np.int64)


def _is_duplicate(mask: Rle, before: list[Rle], iou_thresh: float | None, containment_thresh: float | None) -> bool:
    if iou_thresh is not None and (coco.iou([mask], before, [0] * len(before)) > iou_thresh).any():
        return True
    if containment_thresh is None:
        return False
    # With the crowd flag pycocotools divides the intersection by the first mask's area alone.
    inside = coco.iou([mask], before, [1] * len(before))[0]
    covered = coco.iou(before, [mask], [1])[:, 0]
    return bool(((inside > containment_thresh) & (covered >= 0.5)).any())


def connected_at(masks: NDArray[np.bool_], points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each mask [N, H, W] what is connected, by sides, to its pixel (x, y) of `points` [N, 2]."""
    parts = np.zeros_like(masks)
    for mask, part, (x, y) in zip(masks, parts, points.tolist(), strict=True):
        if mask[y, x]:
            filled = mask.astype(np.uint8)
            cv2.floodFill(filled, None, (x, y), 2, flags=4)
            np.equal(filled, 2, out=part)
    return parts


def drop_islands(logits: Tensor, points: NDArray[np.int64], threshold: float) -> Tensor:
    """Mask logits [N, h, w] that are far below the threshold where the mask is not connected to its point [N, 2].

    Around what stays, logits stay for a pixel, so that its edge is interpolated as before.
    """
    parts = connected_at((logits > threshold).cpu().numpy(), points)
    around = np.stack([cv2.dilate(part.astype(np.uint8), np.ones((3, 3), np.uint8)) for part in parts]) > 0
    part, near = (torch.from_numpy(m).to(logits.device) for m in (parts, around))
    beside = torch.where(near, logits.clamp(max=threshold), threshold - FAR_BELOW)
    return torch.where(part, logits, beside)
