"""What a search found: a table, and a sheet of crops."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.base.files import write_table
from regionflow.dataset import RegionSet
from regionflow.formats.images import read_images
from regionflow.search.nearest import Hits

COLUMNS = ("rank", "similarity", "image_id", "region_id", "region", "x", "y", "width", "height", "area", "path")
SIDE, GAP, BAR, COLUMNS_OF_SHEET = 220, 8, 20, 5
INK, PAPER, LINE = (40, 40, 40), 255, (255, 60, 0)


def paths_of(regions: RegionSet) -> dict[str, Path]:
    """Path of each image by the table of images; relative ones as seen from the folder in which the workflow runs."""
    table = regions.root / "images.tsv"
    return {row.id: _there(Path(row.path), table.parent.parent) for row in read_images(table)}


def _there(path: Path, folder: Path) -> Path:
    beside = folder / path
    return beside if not path.is_file() and beside.is_file() else path


def write_hits(path: Path, regions: RegionSet, hits: Hits, paths: Mapping[str, Path]) -> None:
    """Write a TSV file with one row per hit, best first."""
    write_table(path, COLUMNS, (_cells(regions, hits, rank, paths) for rank in range(len(hits))), delimiter="\t")


def _cells(regions: RegionSet, hits: Hits, rank: int, paths: Mapping[str, Path]) -> list:
    row = int(hits.rows[rank])
    image = regions.image_ids[regions.image[row]]
    which = [rank + 1, f"{hits.similarity[rank]:.6f}", image, regions.region_id[row], int(regions.region[row])]
    return [*which, *regions.bbox[row].tolist(), int(regions.area[row]), paths.get(image, "")]


def sheet(
    regions: RegionSet,
    hits: Hits,
    read: Callable[[str], NDArray[np.uint8] | None],
    query: int | None = None,
) -> NDArray[np.uint8]:
    """Crops of the hits, each around its region, whose outline is drawn; the query's own region first, if it is one.

    Args:
        regions: the set.
        hits: what was found.
        read: gives the pixels [H, W, 3] of an image by its id, None for one that is no longer there.
        query: row of the query.
    """
    shown = [] if query is None else [(query, "query")]
    captions = [f"{i + 1}: {similarity:.3f}" for i, similarity in enumerate(hits.similarity)]
    shown += zip(hits.rows.tolist(), captions, strict=True)
    tiles = [_tile(regions, row, caption, read) for row, caption in shown]
    if not tiles:
        return np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    tiles += [np.full_like(tiles[0], PAPER)] * (-len(tiles) % min(COLUMNS_OF_SHEET, len(tiles)))
    columns = min(COLUMNS_OF_SHEET, len(tiles))
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])


def _tile(
    regions: RegionSet, row: int, caption: str, read: Callable[[str], NDArray[np.uint8] | None]
) -> NDArray[np.uint8]:
    """A square crop with a quarter of the box around it, and two lines below: what it is, and of which image."""
    tile = np.full((SIDE + 2 * BAR + GAP, SIDE + GAP, 3), PAPER, np.uint8)
    image = regions.image_ids[regions.image[row]]
    pixels = read(image)
    if pixels is not None:
        crop = _outlined(pixels, regions.mask(row), regions.bbox[row].tolist())
        tile[: crop.shape[0], : crop.shape[1]] = crop
    _written(tile, caption, SIDE + BAR - 5)
    _written(tile, f"{'...' if len(image) > 22 else ''}{image[-22:]}  {regions.region[row]}", SIDE + 2 * BAR - 5)
    return tile


def _outlined(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], box: list[int]) -> NDArray[np.uint8]:
    x, y, w, h = box
    height, width = mask.shape
    around = max(w, h) // 4 + 4
    rows = slice(max(0, y - around), min(height, y + h + around))
    columns = slice(max(0, x - around), min(width, x + w + around))
    crop, inside = pixels[rows, columns], mask[rows, columns]
    scale = SIDE / max(crop.shape[:2])
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    view = np.ascontiguousarray(cv2.resize(crop, size, interpolation=how))
    enlarged = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(view, outlines, -1, LINE, 2, cv2.LINE_AA)
    return view.astype(np.uint8, copy=False)


def _written(tile: NDArray[np.uint8], text: str, y: int) -> None:
    ascii_text = text.encode("ascii", "replace").decode()  # what OpenCV's letters can write
    cv2.putText(tile, ascii_text, (2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
