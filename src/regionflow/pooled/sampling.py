"""Where on a feature grid a region reads: sparse matrices [samples, h * w] for average and max pooling.

Bilinear upsampling, the crop to the image and the sum over a region's pixels are linear, so their product is a weight
per grid cell: the adjoint of upsampling applied to the mask. It comes straight from the vertical spans of the RLE and
running sums of the interpolation weights; neither the upsampled features nor a stack of masks is ever made.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from regionflow.formats import rle
from regionflow.formats.geometry import Geometry
from regionflow.formats.rle import Rle, Spans

Box = tuple[float, float, float, float]
Region = Rle | Box
"""An RLE mask of the image's size, or a box (x, y, width, height) in pixels that may lie between pixels."""

Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""What `Geometry.taps` gives."""
Block = tuple[NDArray[np.float64], int, int]
"""Weights on a part of the grid, and that part's first row and column."""

# Pixels of a mask that are looked at together: 8 MiB for each of their numbers.
_PIXELS = 1 << 20
# Of masks that are worked out together: spans times rows of the grid.
_NUMBERS = 1 << 16


def check_sizes(regions: Sequence[Region], geometry: Geometry) -> None:
    """Raise ValueError for a mask whose size is not its image's."""
    for index, region in enumerate(regions):
        if isinstance(region, dict) and tuple(region["size"]) != geometry.image:
            raise ValueError(
                f"region {index} has size {list(region['size'])}, its image {list(geometry.image)} (height, width): "
                "make regions and features from the same image"
            )


def region_weights(regions: Sequence[Region], geometry: Geometry) -> sparse.csr_array:
    """Weights [R, h * w] (float64) of the grid cells in each region: times features, the sum over its pixels.

    A row sums to the region's area in pixels; an empty region has an empty row. A box counts the pixels on its edges
    by the share that it covers.
    """
    check_sizes(regions, geometry)
    blocks = _by_pixels(geometry) if _is_long(geometry) else _by_running_sums(geometry)
    cells, weights = [], []
    for block, top, left in blocks(_spans_or_boxes(regions)):
        y, x = np.nonzero(block)
        cells.append((y + top) * geometry.grid[1] + x + left)
        weights.append(block[y, x])
    return _rows(cells, weights, geometry)


def _is_long(geometry: Geometry) -> bool:
    """Whether the interpolation matrices of the two axes hold far more numbers than the image has pixels."""
    height, width = geometry.image
    return height * geometry.grid[0] + width * geometry.grid[1] > 4 * height * width


def _spans_or_boxes(regions: Sequence[Region]) -> Iterator[Spans | Box]:
    """The spans of each mask, and each box as it is."""
    spans = rle.each_spans([region for region in regions if isinstance(region, dict)])
    for region in regions:
        yield next(spans) if isinstance(region, dict) else region


def _by_running_sums(geometry: Geometry) -> Callable[[Iterable[Spans | Box]], Iterator[Block]]:
    """Weights of regions on the part of the grid that each touches, from running sums along both axes."""
    edges = geometry.cumulative(0), geometry.cumulative(1)
    columns = geometry.interpolation_matrix(1)

    def blocks(regions: Iterable[Spans | Box]) -> Iterator[Block]:
        together: list[Spans] = []
        numbers = 0
        for region in regions:
            if len(region) == 3:
                together.append(region)
                numbers += len(region[0]) * geometry.grid[0]
            if len(region) == 4 or numbers >= _NUMBERS:
                yield from _mask_blocks(together, edges[0], columns)
                together, numbers = [], 0
            if len(region) == 4:
                x, y, width, height = region
                down = _at(edges[0], y + height) - _at(edges[0], y)
                yield np.outer(down, _at(edges[1], x + width) - _at(edges[1], x)), 0, 0
        yield from _mask_blocks(together, edges[0], columns)

    return blocks


def _by_pixels(geometry: Geometry) -> Callable[[Iterable[Spans | Box]], Iterator[Block]]:
    """The same pixel by pixel: slower, but neither time nor memory grows with the square of a long image's length."""
    taps = geometry.taps(0), geometry.taps(1)

    def blocks(regions: Iterable[Spans | Box]) -> Iterator[Block]:
        for region in regions:
            if len(region) == 3:
                yield _mask_block_by_pixels(region, taps)
                continue
            x, y, width, height = region
            down, top = _axis_weights(taps[0], y, y + height)
            across, left = _axis_weights(taps[1], x, x + width)
            yield np.outer(down, across), top, left

    return blocks


def _mask_block_by_pixels(spans: Spans, taps: tuple[Taps, Taps]) -> Block:
    x, top, bottom = spans
    if not len(x):
        return np.zeros((0, 0)), 0, 0
    (y0, y1, fy), (x0, x1, fx) = taps
    first_y, first_x = int(y0[top.min()]), int(x0[x[0]])
    height, width = int(y1[bottom.max() - 1]) - first_y + 1, int(x1[x[-1]]) - first_x + 1
    block = np.zeros(height * width)
    lengths = bottom - top
    ends = np.cumsum(lengths)
    start = 0
    while start < len(x):  # as many spans at a time as have about _PIXELS pixels
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] - lengths[start] + _PIXELS)))
        size, offsets = lengths[start:stop], ends[start:stop] - lengths[start:stop]
        px = np.repeat(x[start:stop], size)
        py = np.arange(offsets[0], offsets[0] + size.sum()) - np.repeat(offsets - top[start:stop], size)
        for cells_y, part_y in ((y0[py], 1 - fy[py]), (y1[py], fy[py])):
            for cells_x, part_x in ((x0[px], 1 - fx[px]), (x1[px], fx[px])):
                cells = (cells_y - first_y) * width + cells_x - first_x
                block += np.bincount(cells, part_y * part_x, minlength=len(block))
        start = stop
    return block.reshape(height, width), first_y, first_x


def _axis_weights(taps: Taps, begin: float, end: float) -> tuple[NDArray[np.float64], int]:
    """Weights of the cells that the pixels from `begin` to `end` touch (edges by their share); the first cell."""
    lower, upper, fraction = taps
    begin, end = max(begin, 0.0), min(end, float(len(lower)))
    if end <= begin:
        return np.zeros(0), 0
    pixels = np.arange(int(begin), int(np.ceil(end)))
    share = np.minimum(end, pixels + 1) - np.maximum(begin, pixels)
    first = int(lower[pixels[0]])
    size = int(upper[pixels[-1]]) - first + 1
    weights = np.zeros(size)
    weights += np.bincount(lower[pixels] - first, share * (1 - fraction[pixels]), minlength=size)
    weights += np.bincount(upper[pixels] - first, share * fraction[pixels], minlength=size)
    return weights, first


def _mask_blocks(masks: Sequence[Spans], edges: NDArray[np.float64], columns: NDArray[np.float64]) -> Iterator[Block]:
    """Weights of each mask on the part of the grid that it touches, and that part's first row and column.

    One sparse product for the pixel columns of all: one for each mask would take most of the time of small ones.
    """
    lefts = [int(x[0]) if len(x) else 0 for x, _, _ in masks]
    rights = [int(x[-1]) + 1 if len(x) else 0 for x, _, _ in masks]
    offsets = np.cumsum([0, *(right - left for left, right in zip(lefts, rights, strict=True))])
    total = int(offsets[-1])
    if total:
        x, top, bottom = (np.concatenate(column) for column in zip(*masks, strict=True))
        at = x + np.repeat(offsets[:-1] - lefts, [len(mask[0]) for mask in masks])
        first, last = top.min(), bottom.max()
        touched = _support(edges[last] - edges[first])
        # Each span adds the running sum at its end and takes away the one at its start, in its own pixel column.
        ends = np.stack([bottom, top], axis=1).ravel() - first
        signs = np.tile([1.0, -1.0], len(at))
        pointers = 2 * np.searchsorted(at, np.arange(total + 1))
        differences = sparse.csr_array((signs, ends, pointers), shape=(total, last - first + 1))
        per_column = differences @ edges[first : last + 1, touched]
    for number, (left, right) in enumerate(zip(lefts, rights, strict=True)):
        if left == right:
            yield np.zeros((0, 0)), 0, 0
            continue
        _, top, bottom = masks[number]
        rows = _support(edges[bottom.max()] - edges[top.min()])
        cells = _support(columns[left:right].sum(axis=0))
        down = slice(rows.start - touched.start, rows.stop - touched.start)
        of_mask = np.ascontiguousarray(per_column[offsets[number] : offsets[number + 1], down])
        yield of_mask.T @ columns[left:right, cells], rows.start, cells.start


def _support(weights: NDArray[np.float64]) -> slice:
    inside = np.flatnonzero(weights)
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _at(edges: NDArray[np.float64], place: float) -> NDArray[np.float64]:
    """The running sum at a place between pixels, which is linear there; places outside the image count as its edge."""
    place = min(max(place, 0.0), len(edges) - 1.0)
    below = min(int(place), len(edges) - 2)
    return edges[below] + (place - below) * (edges[below + 1] - edges[below])


def _rows(cells: list[NDArray], weights: list[NDArray], geometry: Geometry) -> sparse.csr_array:
    pointers = np.concatenate([[0], np.cumsum([len(c) for c in cells], dtype=np.int64)])
    shape = (len(cells), geometry.grid[0] * geometry.grid[1])
    return sparse.csr_array((_joined(weights, np.float64), _joined(cells, np.int64), pointers), shape=shape)


def _joined(arrays: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *arrays])


def masks_in_boxes(regions: Sequence[Region], geometry: Geometry) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
    """Each region as a mask of its bounding box, with the box's first row and column; a box holds what it touches."""
    for region in _spans_or_boxes(regions):
        if len(region) == 3:
            yield _raster(region)
            continue
        x, y, width, height = region
        top, left = max(0, int(np.floor(y))), max(0, int(np.floor(x)))
        bottom = min(geometry.image[0], int(np.ceil(y + height)))
        right = min(geometry.image[1], int(np.ceil(x + width)))
        yield np.ones((max(0, bottom - top), max(0, right - left)), dtype=bool), top, left


def _raster(spans: Spans) -> tuple[NDArray[np.bool_], int, int]:
    x, top, bottom = spans
    if not len(x):
        return np.zeros((0, 0), dtype=bool), 0, 0
    first, left = int(top.min()), int(x[0])
    changes = np.zeros((int(bottom.max()) - first + 1, int(x[-1]) - left + 1), dtype=np.int8)
    changes[top - first, x - left] = 1
    changes[bottom - first, x - left] = -1
    return changes.cumsum(axis=0, dtype=np.int8)[:-1].astype(bool), first, left


def extreme_samples(regions: Sequence[Region], geometry: Geometry) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Interpolation weights [S, h * w] of the pixels where the upsampled features can be largest, and S per region [R].

    Between two grid cells the upsampled map is linear along rows and along columns, so a pixel between two others of
    its region within one such piece never exceeds both: leaving it out is exact and leaves about four pixels per cell.
    """
    check_sizes(regions, geometry)
    y, x, counts = [], [], []
    for mask, top, left in masks_in_boxes(regions, geometry):
        pieces = [_pieces(geometry, axis)[start : start + mask.shape[axis]] for axis, start in ((0, top), (1, left))]
        kept = mask & ~_between(mask, pieces[0])
        kept &= ~_between(kept.T, pieces[1]).T
        rows, columns = np.nonzero(kept)
        y.append(rows + top)
        x.append(columns + left)
        counts.append(len(rows))
    return _bilinear(_joined(y, np.int64), _joined(x, np.int64), geometry), np.array(counts, dtype=np.int64)


def _pieces(geometry: Geometry, axis: int) -> NDArray[np.int64]:
    """For each pixel along `axis`, which linear piece of the interpolation it lies in."""
    lower, _, fraction = geometry.taps(axis)
    return np.where((lower == 0) & (fraction == 0), -1, lower)


def _between(mask: NDArray[np.bool_], pieces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels of the mask with the pixel above and below in the mask as well, all three in one linear piece."""
    between = np.zeros_like(mask)
    same = (pieces[2:] == pieces[:-2])[:, None]
    between[1:-1] = mask[1:-1] & mask[2:] & mask[:-2] & same
    return between


def _bilinear(y: NDArray[np.int64], x: NDArray[np.int64], geometry: Geometry) -> sparse.csr_array:
    """The four cells and weights of each pixel."""
    (y0, y1, fy), (x0, x1, fx) = ((t[y] for t in geometry.taps(0)), (t[x] for t in geometry.taps(1)))
    width = geometry.grid[1]
    cells = np.stack([y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1], axis=1)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], axis=1)
    pointers = np.arange(0, 4 * len(y) + 1, 4)
    return sparse.csr_array((weights.ravel(), cells.ravel(), pointers), shape=(len(y), geometry.grid[0] * width))


def cells_inside(regions: Sequence[Region], geometry: Geometry) -> sparse.csr_array:
    """Ones [R, h * w] where the pixel at a cell's centre lies in the region; cells centred in the padding never do."""
    check_sizes(regions, geometry)
    rows, columns = geometry.centre_pixels(0), geometry.centre_pixels(1)
    cells = []
    for mask, top, left in masks_in_boxes(regions, geometry):
        y = np.flatnonzero((rows >= top) & (rows < top + mask.shape[0]))
        x = np.flatnonzero((columns >= left) & (columns < left + mask.shape[1]))
        hit_y, hit_x = np.nonzero(mask[np.ix_(rows[y] - top, columns[x] - left)])
        cells.append(y[hit_y] * geometry.grid[1] + x[hit_x])
    return _rows(cells, [np.ones(len(c)) for c in cells], geometry)
