"""From the scores of a labeler to one class per region and per pixel.

A labeler gives scores of regions, a dense map, or both. A region's class is its likeliest; where that is none, the
dense map votes. A pixel has the class of the smallest region that holds it; a pixel in no region that of the dense map.
With SEEM's scores this is the rule of the SAM + SEEM pipeline by fremk (its `inference_total.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.formats.regions import Annotation
from regionflow.formats.rle import to_label_map
from regionflow.formats.semantics import NONE, TOP, DecidedBy, RegionClass
from regionflow.pooled.pool import pool
from regionflow.semantics.options import FusionOptions
from regionflow.semantics.tables import ClassTable

Scores = NDArray[np.float32]
# Values of an upsampled dense map held at a time: 64 MiB of float32.
_BLOCK = 1 << 24


@dataclass(frozen=True)
class LabelScores:
    """What a labeler says of one image, in its own C classes.

    regions: [R, C + 1], rows sum to 1, the last column is none; or None for a labeler that knows no regions
    dense: [C, h, w], not negative, sums over C at most 1 (the rest is none), the whole image; or None
    names: those of the classes
    """

    regions: Scores | None = None
    dense: Scores | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Classes:
    """One class per region, in the order of the masks, and the label map [H, W] with the shares of its pixels."""

    regions: list[RegionClass]
    map: NDArray[np.uint32]
    shares: dict[str, float]


def normalised(scores: Scores) -> Scores:
    """Scores [C, ...] that are not negative, divided in place by their sum over C where that is above 1.

    The rest is none. In place because a map of many classes is the largest thing that a labeler holds beside its model.
    """
    scores /= np.maximum(scores.sum(axis=0, keepdims=True), 1)
    return scores


def eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask [H, W] without its border: by an 11 x 11 ellipse, or 3 x 3 if less than 30 % would be left.

    The whole mask if nothing would be left. The image's edge is no border.
    """
    area = np.count_nonzero(mask)
    inner = _erode(mask, 11)
    left = np.count_nonzero(inner)
    if left == 0:
        return mask
    return _erode(mask, 3) if left < 0.3 * area else inner


def _erode(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.erode(mask.astype(np.uint8), kernel).astype(bool)


def eroded_rle(mask: rle.Rle) -> rle.Rle:
    """`eroded` of a run-length encoded mask; only the part of the image around it is looked at."""
    x, y, w, h = rle.bbox(mask)
    top, left = max(0, y - 6), max(0, x - 6)
    box = slice(top, y + h + 6), slice(left, x + w + 6)
    out = np.zeros(mask["size"], bool)
    out[box] = eroded(rle.decode(mask)[box])
    return rle.encode(out)


def looked_at(masks: Sequence[rle.Rle], height: int, width: int, options: FusionOptions) -> list[rle.Rle]:
    """The pixels of each region under which scores are read; never none where the mask has some."""
    chosen = list(masks)
    if options.visible:
        parts = rle.from_label_map(_owners(masks, height, width).astype(np.int32) - 1)
        chosen = [parts.get(i, mask) for i, mask in enumerate(masks)]
    return [eroded_rle(mask) for mask in chosen] if options.erode else chosen


def fuse(
    scores: LabelScores,
    regions: Sequence[Annotation],
    size: tuple[int, int],
    options: FusionOptions,
    table: ClassTable | None = None,
) -> Classes:
    """The classes of an image of `size` (height, width) with these regions.

    `table` renames the labeler's classes. Raises ValueError if there are not as many rows of scores as regions.
    """
    masks = [region["segmentation"] for region in regions]
    rows = _region_rows(scores, masks, size, options)
    pixels = _pixel_labels(scores.dense, size, options, table)
    seen = looked_at(masks, *size, options.model_copy(update={"erode": False}))
    classes = []
    for region, row, mask in zip(regions, rows, seen, strict=True):
        value, top = _likeliest(row, options, table)
        decided_by: DecidedBy = "regions" if value else "none"
        if not value and options.vote and pixels is not None:
            value = _majority(pixels, mask)
            decided_by = "dense" if value else "none"
        classes.append(RegionClass(region["region_id"], value, dict(top).get(value, 0.0), top, decided_by))
    return _painted(classes, _owners(masks, *size), pixels if options.fill else None)


def _region_rows(
    scores: LabelScores, masks: Sequence[rle.Rle], size: tuple[int, int], options: FusionOptions
) -> Scores:
    """One row of scores per region: the labeler's, or means of its dense map."""
    rows = scores.regions
    if rows is None:
        if scores.dense is None:
            raise ValueError("a labeler gives scores of regions, a dense map, or both")
        rows = region_means(scores.dense, looked_at(masks, *size, options), size)
    if len(rows) != len(masks):
        raise ValueError(f"{len(rows)} rows of scores for {len(masks)} regions")
    return rows


def _pixel_labels(
    dense: Scores | None, size: tuple[int, int], options: FusionOptions, table: ClassTable | None
) -> NDArray[np.uint32] | None:
    """The class of every pixel by the dense map, renamed; None without one."""
    if dense is None:
        return None
    if table is None:
        return dense_labels(dense, *size, options.min_score)
    if options.merge == "labels":
        return table.merge_labels(dense_labels(dense, *size, options.min_score))
    return dense_labels(table.merge_scores(dense), *size, options.min_score)


def _painted(
    classes: list[RegionClass], owners: NDArray[np.unsignedinteger], fill: NDArray[np.uint32] | None
) -> Classes:
    """The label map: pixels of a region have its class, the others that of `fill`."""
    painted = np.array([NONE, *(region.value for region in classes)], np.uint32)[owners]
    by_dense = np.array([True, *(region.decided_by == "dense" for region in classes)])[owners]
    if fill is not None:
        painted = np.where(owners == 0, fill, painted)
    return Classes(classes, painted, _shares(painted, by_dense))


def region_means(dense: Scores, masks: Sequence[rle.Rle], size: tuple[int, int]) -> Scores:
    """Mean of the dense scores [C, h, w] over each mask, none as the last column: [R, C + 1]; no pixels is all none."""
    geometry = Geometry(size, size, (0, 0), size, (dense.shape[1], dense.shape[2]))
    out = np.zeros((len(masks), len(dense) + 1), np.float32)
    if len(masks):
        means = pool(FeatureMap(dense, geometry), masks)
        out[means.region, :-1] = means.features
    out[:, -1] = np.clip(1 - out[:, :-1].sum(axis=1), 0, 1)
    return out


def dense_labels(dense: Scores, height: int, width: int, min_score: float = 0.0) -> NDArray[np.uint32]:
    """The likeliest class + 1 of every pixel [height, width], bilinearly between the cells of [C, h, w]; 0 for none.

    None wins where more is missing to a sum of 1 than any class has, and where no class reaches `min_score`.
    """
    geometry = Geometry((height, width), (height, width), (0, 0), (height, width), (dense.shape[1], dense.shape[2]))
    top, bottom, down = geometry.taps(0)
    left, right, across = geometry.taps(1)
    along = across.astype(np.float32)
    out = np.zeros((height, width), np.uint32)
    step = max(1, _BLOCK // max(1, len(dense) * width))
    for start in range(0, height, step):
        rows = slice(start, start + step)
        share = down[rows].astype(np.float32)[None, :, None]
        strip = dense[:, top[rows]] * (1 - share) + dense[:, bottom[rows]] * share
        strip = strip[:, :, left] * (1 - along) + strip[:, :, right] * along
        best = strip.argmax(axis=0)
        score = np.take_along_axis(strip, best[None], axis=0)[0]
        wins = (score > 0) & (score >= min_score) & (score >= 1 - strip.sum(axis=0))
        out[rows] = np.where(wins, best + 1, NONE)
    return out


def _likeliest(row: Scores, options: FusionOptions, table: ClassTable | None) -> tuple[int, list[tuple[int, float]]]:
    """The class value of one region (0: none) and its top classes."""
    merged = row if table is None else np.append(table.merge_scores(row[:-1]), row[-1])
    order = np.argsort(-merged[:-1], kind="stable")[:TOP]
    top = [(int(c) + 1, float(merged[c])) for c in order if merged[c] > 0]
    by_labels = table is not None and options.merge == "labels"
    deciding = row if by_labels else merged
    best = int(deciding.argmax())
    if best == len(deciding) - 1 or not deciding[best] > 0 or deciding[best] < options.min_score:
        return NONE, top
    if by_labels and table is not None:
        return int(table.index[best]) + 1, top
    return best + 1, top


def _majority(labels: NDArray[np.uint32], mask: rle.Rle) -> int:
    """The most frequent label under a mask; the lowest of equals. 0 for an empty mask."""
    x, y, w, h = rle.bbox(mask)
    box = slice(y, y + h), slice(x, x + w)
    inside = labels[box][rle.decode(mask)[box]]
    return int(np.bincount(inside).argmax()) if len(inside) else NONE


def _owners(masks: Sequence[rle.Rle], height: int, width: int) -> NDArray[np.unsignedinteger]:
    """Which region + 1 each pixel belongs to: the smallest that holds it; 0 for none."""
    return to_label_map(masks, range(1, len(masks) + 1), height, width)


def _shares(labels: NDArray[np.uint32], by_dense: NDArray[np.bool_]) -> dict[str, float]:
    """Shares of the pixels whose class comes from regions, from the dense map, and that have none; sum 1."""
    total = max(1, labels.size)
    dense = np.count_nonzero((labels != NONE) & by_dense) / total
    none = np.count_nonzero(labels == NONE) / total
    regions = np.count_nonzero((labels != NONE) & ~by_dense) / total
    return {"regions": round(regions, 6), "dense": round(dense, 6), "none": round(none, 6)}
