"""Pictures for people: overlays of one image, and a contact sheet of many."""

from collections.abc import Iterable, Sequence
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
SHEET_WIDTH = 2000
# Panels of smaller photos are enlarged to about this, so that their captions have room.
LEAST_SIDE = 240
FONT, CAPTION, NAME = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0.4
SWATCH, LEGEND_ENTRIES = 16, 60
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
    colours = palette(max(42, int(labels.max(initial=0))))
    covered = rle.union(from_segmenter, height, width).mean()
    views = [
        (f"{regions.image.image_id}  {width} x {height}", image),
        (f"{len(from_segmenter)} masks, {covered:.0%}", _numbered(image, from_segmenter, colours)),
        (f"{len(masks)} regions", _numbered(image, masks, colours)),
        ("clusters", overlay(image, labels, colours, alpha=0.7)),
    ]
    fitted = [(title, _fitted(view, max_side)) for title, view in views]
    # On a contact sheet a wide row is shrunk: its letters are larger by as much.
    size = max(1.0, (len(fitted) + len(named)) * fitted[0][1].shape[1] / SHEET_WIDTH)
    fitted += [(one.title, _with_names(image, one.labels, one.names, max_side, size)) for one in named]
    return _row([_titled(view, title, size) for title, view in fitted])


def notice(text: str) -> Picture:
    """A strip with a line of text, in place of the overlay of an image that could not be read."""
    return _titled(np.full((GAP, 900, 3), PAPER, np.uint8), text)


def contact_sheet(pictures: Iterable[Picture], clusters: Sequence[tuple[str, Sequence[int]]] = ()) -> Picture:
    """A legend of the clusters, then overlays from left to right and from top to bottom, as many in a row as fit.

    One that is wider than the sheet is shrunk to its width; a notice if there are none.

    Args:
        pictures: overlays [H, W, 3].
        clusters: name and colour of each cluster.
    """
    rows: list[list[Picture]] = []
    for picture in pictures:
        shrunk = _within(picture, SHEET_WIDTH)
        if not rows or sum(p.shape[1] + 2 * GAP for p in rows[-1]) + shrunk.shape[1] > SHEET_WIDTH:
            rows.append([])
        rows[-1].append(shrunk)
    if not rows:
        return notice("no image could be read")
    return np.concatenate([*legend(clusters), *(_filled(row) for row in rows)])


def legend(clusters: Sequence[tuple[str, Sequence[int]]]) -> list[Picture]:
    """Strips as wide as the sheet with a patch of colour and the name of each cluster, the first sixty of many."""
    strips: list[Picture] = []
    left = SHEET_WIDTH
    for i, (name, colour) in enumerate(clusters):
        text = name if i < LEGEND_ENTRIES else f"and {len(clusters) - i} more"
        width = SWATCH + 3 * GAP + cv2.getTextSize(text, FONT, CAPTION, 1)[0][0]
        if left + width > SHEET_WIDTH:
            strips.append(np.full((BAR, SHEET_WIDTH, 3), PAPER, np.uint8))
            left = 0
        if i < LEGEND_ENTRIES:
            strips[-1][GAP : GAP + SWATCH, left + GAP : left + GAP + SWATCH] = colour
        cv2.putText(strips[-1], text, (left + SWATCH + 2 * GAP, BAR - 5), FONT, CAPTION, INK, 1, cv2.LINE_AA)
        left += width
        if i == LEGEND_ENTRIES:
            break
    return strips


def _within(picture: Picture, width: int) -> Picture:
    if picture.shape[1] <= width:
        return picture
    size = width, max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _filled(row: Sequence[Picture]) -> Picture:
    """Pictures side by side on paper as wide as the sheet."""
    height = max(picture.shape[0] for picture in row) + GAP
    paper = np.full((height, SHEET_WIDTH, 3), PAPER, np.uint8)
    left = 0
    for picture in row:
        paper[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + 2 * GAP
    return paper


def _numbered(image: Picture, masks: list[rle.Rle], colours: NDArray[np.uint8]) -> Picture:
    ids = rle.to_label_map(masks, range(1, len(masks) + 1), *image.shape[:2])
    return overlay(image, ids, colours)


def _fitted(view: Picture, max_side: int) -> Picture:
    """Shrunk to that longer side; pixels of a small one are repeated."""
    height, width = view.shape[:2]
    longer = max(height, width)
    scale = max_side / longer
    if scale >= 1:
        times = max(1, min(-(-LEAST_SIDE // longer), max_side // longer))
        return np.repeat(np.repeat(view, times, axis=0), times, axis=1)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(view, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _with_names(
    image: Picture, labels: NDArray[np.integer], names: Sequence[str], max_side: int, letters: float
) -> Picture:
    """The overlay of a map of classes, each class's name in the middle of its largest patch."""
    view = _fitted(overlay(image, labels, palette(len(names)), alpha=0.7), max_side)
    size = view.shape[1], view.shape[0]
    small = cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
    for value in np.unique(small[small > 0]).tolist():
        # The pixel farthest from the edge of the class; a class on a few pixels keeps its name to itself.
        depth = cv2.distanceTransform(np.pad(small == value, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] >= LEAST_NAMED * min(small.shape):
            _written(view, names[value - 1], int(x), int(y), NAME * letters)
    return view


def _written(view: Picture, text: str, x: int, y: int, letters: float) -> None:
    """Write a word on a dark plate around (x, y), inside the picture."""
    (width, height), _ = cv2.getTextSize(text, FONT, letters, 1)
    left = min(max(2, x - width // 2), max(2, view.shape[1] - width - 3))
    bottom = min(max(height + 3, y + height // 2), view.shape[0] - 4)
    cv2.rectangle(view, (left - 2, bottom - height - 3), (left + width + 1, bottom + 3), INK, cv2.FILLED)
    cv2.putText(view, text, (left, bottom), FONT, letters, LINE, 1, cv2.LINE_AA)


def _titled(panel: Picture, title: str, size: float = 1.0) -> Picture:
    """A line of letters above a panel, cut in the middle where it does not fit."""
    bar = np.full((round(BAR * size), panel.shape[1], 3), PAPER, dtype=np.uint8)
    text, kept = title, len(title)
    while kept > 4 and cv2.getTextSize(text, FONT, CAPTION * size, 1)[0][0] > panel.shape[1] - 6:
        kept -= 1
        text = f"{title[: kept - kept // 2]}...{title[len(title) - kept // 2 :]}"
    thickness = max(1, round(size * 0.8))
    cv2.putText(bar, text, (4, round((BAR - 8) * size)), FONT, CAPTION * size, INK, thickness, cv2.LINE_AA)
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
