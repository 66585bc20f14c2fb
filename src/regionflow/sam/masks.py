"""From low-resolution mask logits to stability scores, boxes and RLEs at full size.

Segment-anything enlarges every mask twice with bilinear interpolation and then thresholds all pixels. Both steps
together are one linear map per axis. Since interpolation never exceeds what it interpolates, only rows and columns
around low-resolution samples above the lowest threshold can hold any mask pixel: only those are computed, in blocks
that stay in the cache. Everything is transposed, [x, y], because RLE runs go down the columns.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from regionflow.formats import rle
from regionflow.formats.rle import Rle

# Columns of one block on a CPU, and elements of full-size logits that exist at once on a GPU.
CPU_COLUMNS = 256
GPU_ELEMENTS = 1 << 26

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Thresholds:
    """Mask threshold on logits, and the stability score's offset and threshold."""

    mask: float
    stability_offset: float
    stability: float


@dataclass(frozen=True)
class FullMask:
    """One mask of a crop at full size: vertical spans as flat column-major pixel ranges [start, stop) of the crop.

    edges: start and stop of each span in turn, int64 [2 n]; box: x0, y0, x1, y1, inclusive pixels, zeros if empty.
    """

    edges: NDArray[np.int64]
    box: Box
    stability: float

    @property
    def area(self) -> int:
        """Pixels."""
        return int((self.edges[1::2] - self.edges[::2]).sum())

    def holds(self, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these pixels of the crop, flat and column-major, lie in the mask."""
        return np.searchsorted(self.edges, pixels, side="right") % 2 == 1

    def encode(self, crop_size: tuple[int, int], origin: tuple[int, int], size: tuple[int, int]) -> Rle:
        """RLE in the image (height, width); `origin` is the crop's left and top."""
        (crop_height, _), (left, top), (height, width) = crop_size, origin, size
        edges = self.edges
        if (crop_height, left, top) != (height, 0, 0):
            columns, rows = np.divmod(edges, crop_height)
            # A span's stop may be the head of the next column; it belongs to the foot of its own.
            columns[1::2], rows[1::2] = (edges[1::2] - 1) // crop_height, (edges[1::2] - 1) % crop_height + 1
            edges = (columns + left) * height + rows + top
        joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])
        edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
        counts = np.diff(edges, prepend=0, append=height * width)
        return rle.from_runs(counts[:-1] if counts[-1] == 0 else counts, height, width)


class FullSize:
    """Enlarges the mask logits [n, h, w] of one crop to full size and thresholds them."""

    def __init__(
        self,
        map_size: tuple[int, int],
        model_size: int,
        input_size: tuple[int, int],
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.size = size
        self.device = device
        self.rows = _Axis(map_size[0], model_size, input_size[0], size[0], device)
        self.columns = _Axis(map_size[1], model_size, input_size[1], size[1], device)

    def masks(self, logits: Tensor, thresholds: Thresholds) -> list[FullMask | None]:
        """Full-size masks of logits [n, h, w]; None for those below the stability threshold."""
        step = 1 if self.device.type == "cpu" else max(1, GPU_ELEMENTS // (self.size[0] * self.size[1]))
        return [mask for chunk in logits.split(step) for mask in self._chunk(chunk, thresholds)]

    def _chunk(self, logits: Tensor, thresholds: Thresholds) -> list[FullMask | None]:
        low, high = thresholds.mask - thresholds.stability_offset, thresholds.mask + thresholds.stability_offset
        active = _anywhere(logits, low)
        top, bottom = self.rows.reach(np.any(active, axis=1))
        left, right = self.columns.reach(np.any(active, axis=0))
        # A pixel before the first and one below each column end every span.
        shape = len(logits), right - left, bottom - top + 1
        flat = torch.zeros(1 + math.prod(shape), dtype=torch.bool, device=self.device)
        pixels = flat[1:].view(shape)
        above_low, above_high = np.zeros(len(logits), dtype=np.int64), np.zeros(len(logits), dtype=np.int64)
        samples, weights = self.rows.weights_of(top, bottom)
        tall = logits.mT[:, :, samples] @ weights.T
        step = CPU_COLUMNS if self.device.type == "cpu" else max(right - left, 1)
        for start in range(left, right, step):
            stop = min(start + step, right)
            samples, weights = self.columns.weights_of(start, stop)
            block = weights @ tall[:, samples]
            above_low += _count(block, low)
            above_high += _count(block, high)
            _above(block, thresholds.mask, pixels[:, start - left : stop - left, :-1])
        # A mask with no pixel above the low threshold has no score; segment-anything's NaN fails any threshold.
        scores = np.divide(
            above_high, above_low, out=np.zeros(len(logits), np.float32), where=above_low > 0, dtype=np.float32
        )
        stable = scores >= thresholds.stability if thresholds.stability > 0 else np.ones(len(logits), dtype=bool)
        if not stable.any():
            return [None] * len(logits)
        return [
            FullMask(*spans, float(score)) if keep else None
            for spans, score, keep in zip(self._spans(flat, shape, (left, top)), scores, stable, strict=True)
        ]

    def _spans(
        self, flat: Tensor, shape: tuple[int, int, int], first: tuple[int, int]
    ) -> list[tuple[NDArray[np.int64], Box]]:
        """Edges and box of each of the masks of `shape` [n, x, y] that follow the first element of `flat`.

        first: x and y of their first pixel. Only the edges leave the device.
        """
        columns, rows = np.divmod(_flatnonzero(flat[1:] != flat[:-1]), shape[2])
        which, columns = np.divmod(columns, shape[1])
        ends = np.searchsorted(which, np.arange(shape[0] + 1)).tolist()
        columns, rows = columns + first[0], rows + first[1]
        edges = columns * self.size[0] + rows
        return [(edges[a:b], _box(columns[a:b], rows[a:b])) for a, b in itertools.pairwise(ends)]


class _Axis:
    """Bilinear interpolation along one axis: map to model input, cut the padding off, to full size."""

    def __init__(self, length: int, model_size: int, input_length: int, full_length: int, device: torch.device) -> None:
        one_hot = torch.eye(length)[None]
        once = F.interpolate(one_hot, model_size, mode="linear", align_corners=False)[..., :input_length]
        weights = F.interpolate(once, full_length, mode="linear", align_corners=False)[0].T.contiguous()
        used = weights.numpy() != 0
        self.weights = weights.to(device)
        # Samples that a full-size position reads, and full-size positions that read a sample: both [first, last).
        self.reads = used.argmax(1), used.shape[1] - used[:, ::-1].argmax(1)
        self.read_by = used.argmax(0), np.where(used.any(0), used.shape[0] - used[::-1].argmax(0), 0)

    def reach(self, active: NDArray[np.bool_]) -> tuple[int, int]:
        """Full-size positions [first, last) that read any of the active samples, a bool per sample."""
        samples = np.flatnonzero(active & (self.read_by[1] > 0))
        if not len(samples):
            return 0, 0
        return int(self.read_by[0][samples].min()), int(self.read_by[1][samples].max())

    def weights_of(self, first: int, last: int) -> tuple[slice, Tensor]:
        """The samples that full-size positions first to last read, and their weights [last - first, samples]."""
        if first == last:
            return slice(0, 0), self.weights[:0, :0]
        samples = slice(int(self.reads[0][first]), int(self.reads[1][last - 1]))
        return samples, self.weights[first:last, samples]


def _box(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Box:
    """Box of the spans that start and stop there in turn."""
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[::2].min()), int(columns[-1]), int(rows[1::2].max()) - 1


# What numpy does here takes torch up to four times as long on a CPU.


def _anywhere(x: Tensor, level: float) -> NDArray[np.bool_]:
    """Where any of the maps [n, h, w] is above a level."""
    return np.any(x.numpy() > level, axis=0) if x.device.type == "cpu" else (x > level).any(0).cpu().numpy()


def _above(x: Tensor, level: float, out: Tensor) -> None:
    """Whether each element is above a level."""
    if x.device.type == "cpu":
        np.greater(x.numpy(), level, out=out.numpy())
    else:
        torch.gt(x, level, out=out)


def _flatnonzero(x: Tensor) -> NDArray[np.int64]:
    """Indices of what is true."""
    return np.flatnonzero(x.numpy()) if x.device.type == "cpu" else x.nonzero()[:, 0].cpu().numpy()


def _count(x: Tensor, level: float) -> NDArray[np.int64]:
    """Number of elements above a level, per mask."""
    if x.device.type == "cpu":
        return np.array([np.count_nonzero(mask > level) for mask in x.numpy()])
    return (x > level).flatten(1).sum(1).cpu().numpy()
