"""Masks and superpixels become regions that cover the image.

The rule is that of "Region-Based Representations Revisited" (arXiv 2402.02352, merge_sam_and_slic_regions.py): all
masks stay as they are; a superpixel is kept if enough of it lies outside every mask, and only that part of it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.regions import SLIC, Annotation, annotation
from regionflow.regions.options import RegionsOptions

NO_LABEL = -1


def merge(
    mask_annotations: list[Annotation],
    labels: NDArray[np.integer] | None,
    height: int,
    width: int,
    options: RegionsOptions,
) -> list[Annotation]:
    """Regions of one image: the masks that are not too large in their order, then what superpixels add, in ascending
    order of label.

    Unlike the original, an image without masks works, and source and scores of the masks survive.

    Args:
        mask_annotations: records of the masks, [height, width] each; may be empty.
        labels: superpixel labels >= 0 [height, width], or None for masks alone.
        height: image height in pixels.
        width: image width in pixels.
        options: all but the names of the sources are used.
    """
    # ALPS's filter is as strict: a mask of just that share stays.
    limit = options.max_area_fraction * height * width
    kept = [
        {key: value for key, value in a.items() if key not in ("id", "region_id")}
        for a in mask_annotations
        if a["area"] <= limit
    ]
    if labels is None:
        return kept
    covered = rle.union([a["segmentation"] for a in kept], height, width)
    added = uncovered_superpixels(labels, covered, options)
    if options.split_fragments:
        return kept + [a for label, mask in rle.from_label_map(added).items() for a in _fragments(mask, label)]
    return kept + [annotation(mask, SLIC, label=label) for label, mask in rle.from_label_map(added).items()]


def uncovered_superpixels(
    labels: NDArray[np.integer], covered: NDArray[np.bool_], options: RegionsOptions
) -> NDArray[np.int64]:
    """The label map [H, W] of the kept superpixels' uncovered pixels, NO_LABEL elsewhere."""
    total = np.bincount(labels.ravel())
    uncovered = np.bincount(labels[~covered], minlength=len(total))
    keep = (uncovered >= options.min_pixels) & (uncovered >= options.min_proportion * total)
    return np.where(keep[labels] & ~covered, labels, NO_LABEL).astype(np.int64)


def _fragments(mask: rle.Rle, label: int) -> list[Annotation]:
    """One record per 4-connected piece, in raster order of the pieces' first pixels."""
    _, components = cv2.connectedComponents(rle.decode(mask).astype(np.uint8), connectivity=4)
    pieces = components.astype(np.int64)
    return [annotation(piece, SLIC, label=label) for piece in rle.from_label_map(pieces - 1).values()]
