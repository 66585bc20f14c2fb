"""The page about ground truth: all variants side by side, and the images on which regions fit worst and best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from regionflow.formats import rle
from regionflow.formats.evaluation import read_rows
from regionflow.formats.rle import Rle
from regionflow.report import page, pictures, survey

Picture = NDArray[np.uint8]
SIDE, SHOWN, COUNTED = 360, 6, 300
"""Longer side of a picture in pixels; worst and best images of each kind; images whose regions are in the histogram."""
GOOD, BAD = np.array([0, 114, 178], float), np.array([230, 159, 0], float)
"""Colours of an IoU of 1 and of 0: told apart with colour vision deficiencies."""


@dataclass(frozen=True)
class Judged:
    """One kind of region: scores by image (TSV), and the masks of an image by its id."""

    name: str
    images: Path
    masks: Callable[[str], Sequence[Rle]]


def build_evaluation(
    path: Path,
    tables: Mapping[str, Path],
    kinds: Sequence[Judged],
    truth: Callable[[str], Sequence[Rle]],
    photo: Callable[[str], Picture],
) -> None:
    """Write the page. tables: by kind of scores, a row per variant and split; truth: true regions of an image."""
    data = {
        "tables": [{"name": name, "rows": rows} for name, table in tables.items() if (rows := read_rows(table))],
        "kinds": [_kind(kind, truth, photo) for kind in kinds],
        "colours": {"good": GOOD.tolist(), "bad": BAD.tolist()},
    }
    page.write_page(path, "evaluation", data, template="evaluation", scripts=("base", "figures", "evaluation"))


def _kind(kind: Judged, truth: Callable[[str], Sequence[Rle]], photo: Callable[[str], Picture]) -> dict[str, Any]:
    rows = [row for row in read_rows(kind.images) if isinstance(row["mean_best_iou"], float)]
    rows.sort(key=lambda row: (row["mean_best_iou"], str(row["image"])))
    ends = {"worst": rows[:SHOWN], "best": [row for row in reversed(rows) if row not in rows[:SHOWN]][:SHOWN]}
    counted = [str(rows[i]["image"]) for i in survey.spread(COUNTED, len(rows))]
    best = [best_masks(truth(image), kind.masks(image))[1] for image in counted]
    every = np.concatenate([*best, np.zeros(0)])
    return {
        "name": kind.name,
        "regions": survey.histogram(every, np.linspace(0, 1, 21)),
        "counted": len(counted),
        "images": survey.histogram(np.array([row["mean_best_iou"] for row in rows], float), np.linspace(0, 1, 21)),
        **{end: [_shown(row, kind, truth, photo) for row in chosen] for end, chosen in ends.items()},
    }


def _shown(
    row: Mapping[str, Any], kind: Judged, truth: Callable[[str], Sequence[Rle]], photo: Callable[[str], Picture]
) -> dict[str, Any]:
    image = str(row["image"])
    picture = overlay(photo(image), truth(image), kind.masks(image))
    known = {name: row.get(name) for name in ("mean_best_iou", "true_regions", "masks", "boundary_f")}
    return {"image": image, "src": pictures.jpeg(picture, 80), **known}


def best_masks(truth: Sequence[Rle], masks: Sequence[Rle]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each true region the mask that overlaps it most (-1 without any) and their IoU."""
    if not truth or not masks:
        return np.full(len(truth), -1), np.zeros(len(truth))
    ious = np.asarray(coco.iou(list(masks), list(truth), [0] * len(truth)))
    return ious.argmax(axis=0), ious.max(axis=0)


def overlay(image: Picture, truth: Sequence[Rle], masks: Sequence[Rle], side: int = SIDE) -> Picture:
    """The photo, at most `side` pixels long; the best mask of each true region in a colour between BAD (IoU 0) and
    GOOD (1), the outlines of the true regions in white."""
    height, width = image.shape[:2]
    size = pictures.fit((height, width), side)
    out = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).astype(float)
    chosen, ious = best_masks(truth, masks)
    for i in sorted(range(len(truth)), key=lambda i: -rle.area(truth[i])):
        if chosen[i] >= 0 and ious[i] > 0:
            inside = _small(masks[chosen[i]], size)
            out[inside] = 0.45 * out[inside] + 0.55 * (ious[i] * GOOD + (1 - ious[i]) * BAD)
    for mask in truth:
        inside = _small(mask, size)
        inner = cv2.erode(np.asarray(inside, np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
        out[inside & (np.asarray(inner) == 0)] = 255
    return out.astype(np.uint8)


def _small(mask: Rle, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(cv2.resize(rle.decode(mask).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)) > 0
