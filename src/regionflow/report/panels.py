"""Pictures for people: overlays of one image, and a contact sheet of many."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from regionflow.formats import rle
from regionflow.formats.palette import palette
from regionflow.formats.regions import SLIC, RegionFile

Picture = NDArray[np.uint8]
LINE = (255, 255, 255)
INK, PAPER = (40, 40, 40), 255
BAR, GAP = 24, 6
SHEET_WIDTH = 1600
# Depth of a class's largest patch, as a share of the shorter side, from which on its name is written.
LEAST_NAMED = 0.02


class NamedMap(NamedTuple):
    """A label map [H, W] of classes with their names, and what stands above it."""

    title: str
    labels: NDArray[np.integer]
    names: Sequence[str]


def panels(
    image: Picture,
    regions: RegionFile,
    labels: NDArray[np.integer],
    max_side: int,
    named: Sequence[NamedMap] = (),
) -> Picture:
    """Photo, masks, regions and labels [H, W] of one image side by side, each at most `max_side` long.

    `named`: maps of classes, for one panel more each.
    """
    height, width = image.shape[:2]
    masks = [a["segmentation"] for a in regions.annotations]
    from_segmenter = [a["segmentation"] for a in regions.annotations if a["source"] != SLIC]
    colours = palette(42)
    covered = rle.union(from_segmenter, height, width).mean()
    views = [
        (f"{regions.image.image_id}  {width} x {height}", image),
        (f"{len(from_segmenter)} masks, {covered:.0%} of pixels", _numbered(image, from_segmenter, colours)),
        (f"{len(masks)} regions", _numbered(image, masks, colours)),
        ("clusters", overlay(image, labels, colours, alpha=0.7)),
    ]
    row = [_titled(_shrunk(view, max_side), title) for title, view in views]
    for one in named:
        row.append(_titled(_with_names(image, one.labels, one.names, max_side), one.title))
    return _row(row)


def notice(text: str) -> Picture:
    """A strip with a line of text, in place of the overlay of an image that could not be read."""
    return _titled(np.full((GAP, 900, 3), PAPER, np.uint8), text)


def contact_sheet(pictures: Sequence[Picture]) -> Picture:
    """Overlays under each other, each scaled to the sheet's width; a notice if there are none."""
    if not pictures:
        return notice("no image could be read")
    rows = []
    for picture in pictures:
        scale = SHEET_WIDTH / picture.shape[1]
        size = SHEET_WIDTH, max(1, round(picture.shape[0] * scale))
        shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        rows.append(np.pad(shrunk, ((0, GAP), (0, 0), (0, 0)), constant_values=PAPER))
    return np.concatenate(rows)


def _numbered(image: Picture, masks: list[rle.Rle], colours: NDArray[np.uint8]) -> Picture:
    ids = rle.to_label_map(masks, range(1, len(masks) + 1), *image.shape[:2])
    return overlay(image, ids, colours)


def _shrunk(view: Picture, max_side: int) -> Picture:
    height, width = view.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return view
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(view, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _with_names(image: Picture, labels: NDArray[np.integer], names: Sequence[str], max_side: int) -> Picture:
    """The overlay of a map of classes, each class's name in the middle of its largest patch."""
    view = _shrunk(overlay(image, labels, palette(len(names)), alpha=0.7), max_side)
    size = view.shape[1], view.shape[0]
    small = cv2.resize(labels.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    for value in np.unique(small[small > 0]).tolist():
        # The pixel farthest from the edge of the class; a class on a few pixels keeps its name to itself.
        depth = cv2.distanceTransform(np.pad(small == value, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] >= LEAST_NAMED * min(small.shape):
            _written(view, names[value - 1], int(x), int(y))
    return view


def _written(view: Picture, text: str, x: int, y: int) -> None:
    """Write a word on a dark plate around (x, y), inside the picture."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    left = min(max(2, x - width // 2), max(2, view.shape[1] - width - 3))
    bottom = min(max(height + 3, y + height // 2), view.shape[0] - 4)
    cv2.rectangle(view, (left - 2, bottom - height - 3), (left + width + 1, bottom + 3), INK, cv2.FILLED)
    cv2.putText(view, text, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.4, LINE, 1, cv2.LINE_AA)


def _titled(panel: Picture, title: str) -> Picture:
    bar = np.full((BAR, panel.shape[1], 3), PAPER, dtype=np.uint8)
    cv2.putText(bar, title, (4, BAR - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return np.concatenate([bar, panel])


def _row(views: Sequence[Picture]) -> Picture:
    return np.concatenate([np.pad(v, ((0, 0), (0, GAP), (0, 0)), constant_values=PAPER) for v in views], axis=1)


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.integer], colours: NDArray[np.uint8], alpha: float = 0.55
) -> NDArray[np.uint8]:
    """Lay colours[i - 1] over the pixels of label i > 0 of an image [H, W, 3], white lines between labels."""
    out = image.astype(np.float32)
    painted = labels > 0
    out[painted] = (1 - alpha) * out[painted] + alpha * colours[(labels[painted] - 1) % len(colours)]
    result = out.astype(np.uint8)
    result[find_boundaries(labels, mode="inner")] = LINE
    return result
