"""Where a feature map lies on its image: resize, padding and grid, and the bilinear weights that follow from them.

A model sees the image scaled to `resized`, set into a black frame `padded` at `offset`, and returns one vector per
cell of `grid`, which divides the frame evenly. All coordinates put pixel centres at half-integers, as
`torch.nn.functional.interpolate(align_corners=False)` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Side = Literal["long", "short"]


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _scaled(height: int, width: int, size: int, side: Side) -> Size:
    """Height and width with the named side at `size` pixels, rounded as segment-anything's ResizeLongestSide does."""
    reference = max(height, width) if side == "long" else min(height, width)
    scale = size / reference
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


@dataclass(frozen=True)
class Geometry:
    """Relation of image, model input and feature grid; every pair is (height, width) or (top, left) in pixels.

    image    size of the image
    resized  size of the image inside the model input
    offset   row and column of the image's first pixel in the model input
    padded   size of the model input
    grid     number of cells of the feature map
    """

    image: Size
    resized: Size
    offset: Size
    padded: Size
    grid: Size

    def __post_init__(self) -> None:
        positive = all(n >= 1 for pair in (self.image, self.resized, self.padded, self.grid) for n in pair)
        inside = all(
            start >= 0 and start + length <= frame
            for start, length, frame in zip(self.offset, self.resized, self.padded, strict=True)
        )
        if not (positive and inside):
            raise ValueError(f"the image does not lie inside the model input: {self}")

    @classmethod
    def pad_to_multiple(cls, height: int, width: int, multiple: int) -> "Geometry":
        """No resize; both sides padded to the next multiple, pad // 2 pixels before the image, the rest after it."""
        return cls._centred((height, width), (height, width), multiple)

    @classmethod
    def resize(cls, height: int, width: int, size: int, side: Side, multiple: int) -> "Geometry":
        """The long or short side scaled to `size` pixels (aspect ratio kept), then padded as in `pad_to_multiple`."""
        return cls._centred((height, width), _scaled(height, width, size, side), multiple)

    @classmethod
    def resize_into_square(cls, height: int, width: int, size: int, multiple: int) -> "Geometry":
        """The long side scaled to `size`, the image in the top left corner of a square: segment-anything's input."""
        frame = _up(size, multiple)
        cells = frame // multiple
        return cls((height, width), _scaled(height, width, size, "long"), (0, 0), (frame, frame), (cells, cells))

    @classmethod
    def _centred(cls, image: Size, resized: Size, multiple: int) -> "Geometry":
        padded = (_up(resized[0], multiple), _up(resized[1], multiple))
        offset = ((padded[0] - resized[0]) // 2, (padded[1] - resized[1]) // 2)
        return cls(image, resized, offset, padded, (padded[0] // multiple, padded[1] // multiple))

    def attrs(self) -> dict[str, list[int]]:
        """The fields as HDF5 attributes."""
        return {field.name: [int(n) for n in getattr(self, field.name)] for field in fields(self)}

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> "Geometry":
        """Read what `attrs` gave. Raises KeyError for a missing attribute, ValueError for impossible ones."""
        pairs = {field.name: tuple(int(n) for n in attrs[field.name]) for field in fields(cls)}
        if any(len(pair) != 2 for pair in pairs.values()):
            raise ValueError(f"geometry attributes must be pairs, not {pairs}")
        return cls(**pairs)  # type: ignore[arg-type]

    def taps(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """For each image pixel along `axis`: lower cell, upper cell and the upper cell's weight, each [pixels].

        As `F.interpolate(mode="bilinear", align_corners=False)` from grid to frame, then the crop to the image; under a
        resize the sample is taken at the pixel centre's place in the frame.
        """
        cells = self.grid[axis]
        in_frame = self.offset[axis] + (np.arange(self.image[axis]) + 0.5) * (self.resized[axis] / self.image[axis])
        in_grid = np.clip(in_frame * (cells / self.padded[axis]) - 0.5, 0, cells - 1)
        lower = np.floor(in_grid).astype(np.int64)
        return lower, np.minimum(lower + 1, cells - 1), in_grid - lower

    def interpolation_matrix(self, axis: int) -> NDArray[np.float64]:
        """Bilinear weights [pixels, cells] along `axis`; each row sums to 1."""
        lower, upper, fraction = self.taps(axis)
        matrix = np.zeros((self.image[axis], self.grid[axis]))
        rows = np.arange(self.image[axis])
        np.add.at(matrix, (rows, lower), 1 - fraction)
        np.add.at(matrix, (rows, upper), fraction)
        return matrix

    def cumulative(self, axis: int) -> NDArray[np.float64]:
        """Running sums [pixels + 1, cells] of `interpolation_matrix`: row b minus row a weighs the pixels a..b-1."""
        return np.concatenate([np.zeros((1, self.grid[axis])), self.interpolation_matrix(axis).cumsum(axis=0)])

    def centre_pixels(self, axis: int) -> NDArray[np.int64]:
        """The image pixel that holds each cell's centre along `axis` [cells]; -1 where that lies in the padding."""
        in_frame = (np.arange(self.grid[axis]) + 0.5) * (self.padded[axis] / self.grid[axis])
        scale = self.image[axis] / self.resized[axis]
        pixel = np.floor((in_frame - self.offset[axis]) * scale).astype(np.int64)
        return np.where((pixel >= 0) & (pixel < self.image[axis]), pixel, -1)
