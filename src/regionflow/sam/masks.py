"""From low-resolution mask logits to stability scores, boxes and RLEs at full size.

Segment-anything enlarges every mask twice with bilinear interpolation and then thresholds all pixels. Both steps
together are one linear map per axis. Since interpolation never exceeds what it interpolates, only rows and columns
around low-resolution samples above the lowest threshold can hold any mask pixel: only those are computed, in blocks
that stay in the cache. Everything is transposed, [x, y], because RLE runs go down the columns.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from regionflow.formats import rle
from regionflow.formats.rle import Rle
from regionflow.sam.memory import free_bytes

# Rows and columns of one block on a CPU: it stays in the caches and reads few low-resolution samples.
CPU_BLOCK = 64
# Elements of full-size logits that exist at once on a GPU, and pixels of finished masks that are looked at together
# there, or as many as an eighth of its free memory holds.
GPU_ELEMENTS = 1 << 26
GPU_PIXELS = 1 << 30

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Thresholds:
    """Mask threshold on logits, and the stability score's offset and threshold."""

    mask: float
    stability_offset: float
    stability: float

    @property
    def low(self) -> float:
        """The lower level of the stability score."""
        return self.mask - self.stability_offset

    @property
    def high(self) -> float:
        """Its higher level."""
        return self.mask + self.stability_offset


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

    def encode(self, crop_height: int, origin: tuple[int, int], size: tuple[int, int]) -> Rle:
        """RLE in the image of `size` (height, width); `origin` is the crop's left and top."""
        (left, top), (height, width) = origin, size
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
        if self.device.type == "cpu":
            return [mask for one in logits.split(1) for mask in self._on_cpu(one, thresholds)]
        pixels = self.size[0] * self.size[1]
        step = max(1, min(GPU_PIXELS, free_bytes(self.device) // 8) // pixels)
        return [mask for some in logits.split(step) for mask in self._on_gpu(some, thresholds)]

    def _on_cpu(self, logits: Tensor, thresholds: Thresholds) -> list[FullMask | None]:
        """Only where a mask can be, in blocks of columns that stay in the caches."""
        active = np.any(logits.numpy() > thresholds.low, axis=0)
        top, bottom = self.rows.reach(np.any(active, axis=1))
        left, right = self.columns.reach(np.any(active, axis=0))
        flat, pixels = self._empty(len(logits), right - left, bottom - top)
        above = np.zeros((2, len(logits)), dtype=np.int64)
        wide, blocks = logits.mT, (self.rows.weights_of(*rows) for rows in _blocks(top, bottom))
        tall = torch.cat([wide[..., :0], *(wide[..., samples] @ weights.T for samples, weights in blocks)], dim=2)
        for start, stop in _blocks(left, right):
            samples, weights = self.columns.weights_of(start, stop)
            # What numpy does here takes torch up to four times as long on a CPU.
            block = (weights @ tall[:, samples]).numpy()
            above += [_count(block, level) for level in (thresholds.low, thresholds.high)]
            np.greater(block, thresholds.mask, out=pixels[:, start - left : stop - left, :-1].numpy())
        return self._stable(flat, pixels.shape, (left, top), above, thresholds.stability)

    def _on_gpu(self, logits: Tensor, thresholds: Thresholds) -> list[FullMask | None]:
        """The whole image: to know where the masks are the host would wait. It waits for counts and edges alone."""
        height, width = self.size
        flat, pixels = self._empty(len(logits), width, height)
        step = max(1, GPU_ELEMENTS // (height * width))
        counts = []
        for some, out in zip(logits.split(step), pixels.split(step), strict=True):
            enlarged = self.columns.weights @ (some.mT @ self.rows.weights.T)
            torch.gt(enlarged, thresholds.mask, out=out[:, :, :-1])
            counts.append(torch.stack([(enlarged > level).sum((1, 2)) for level in (thresholds.low, thresholds.high)]))
        above = torch.cat(counts, dim=1).cpu().numpy()
        return self._stable(flat, pixels.shape, (0, 0), above, thresholds.stability)

    def _empty(self, count: int, width: int, height: int) -> tuple[Tensor, Tensor]:
        """`count` empty masks, flat and as [n, x, y]; a pixel before the first and one below each column end spans."""
        flat = torch.zeros(1 + count * width * (height + 1), dtype=torch.bool, device=self.device)
        return flat, flat[1:].view(count, width, height + 1)

    def _stable(
        self,
        flat: Tensor,
        shape: tuple[int, ...],
        first: tuple[int, int],
        above: NDArray[np.int64],
        least: float,
    ) -> list[FullMask | None]:
        """The masks of `shape` [n, x, y] with at least this stability score, from pixels `above` both levels [2, n]."""
        above_low, above_high = above
        # A mask with no pixel above the low threshold has no score; segment-anything's NaN fails any threshold.
        scores = np.divide(
            above_high, above_low, out=np.zeros(len(above_low), np.float32), where=above_low > 0, dtype=np.float32
        )
        stable = scores >= least if least > 0 else np.ones(len(scores), dtype=bool)
        if not stable.any():
            return [None] * len(scores)
        return [
            FullMask(*spans, float(score)) if keep else None
            for spans, score, keep in zip(self._spans(_changes(flat), shape, first), scores, stable, strict=True)
        ]

    def _spans(
        self, edges: NDArray[np.int64], shape: tuple[int, ...], first: tuple[int, int]
    ) -> list[tuple[NDArray[np.int64], Box]]:
        """Edges and box of each of the masks of `shape` [n, x, y], from the flat indices where pixels change.

        first: x and y of their first pixel.
        """
        columns, rows = np.divmod(edges, shape[2])
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
        samples = slice(int(self.reads[0][first]), int(self.reads[1][last - 1]))
        return samples, self.weights[first:last, samples]


def _box(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Box:
    """Box of the spans that start and stop there in turn."""
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[::2].min()), int(columns[-1]), int(rows[1::2].max()) - 1


def _blocks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of one block after the other."""
    return ((start, min(start + CPU_BLOCK, last)) for start in range(first, last, CPU_BLOCK))


def _changes(flat: Tensor) -> NDArray[np.int64]:
    """Indices of the elements after which a flat bool tensor changes. Only they leave a GPU."""
    if flat.device.type == "cpu":
        return np.flatnonzero(flat[1:].numpy() != flat[:-1].numpy())
    return (flat[1:] != flat[:-1]).nonzero()[:, 0].cpu().numpy()


def _count(x: NDArray[np.float32], level: float) -> NDArray[np.int64]:
    """Number of elements above a level, per mask."""
    return np.array([np.count_nonzero(mask > level) for mask in x])
