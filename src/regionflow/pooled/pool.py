"""One feature vector per region, pooled from a feature map without upsampling it.

Average pooling after bilinear upsampling is the best of the variants in Shlapentokh-Rothman et al., "Region-Based
Representations Revisited" (CVPR 2024); here it is a sparse matrix product with the same result (see
`regionflow.pooled.sampling`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.result import PooledRegions, Status
from regionflow.pooled.sampling import Region, cells_inside, extreme_samples, region_weights

__all__ = ["PooledRegions", "PoolingOptions", "RegionPooler", "Status", "pool", "region_weights"]

# Samples and channels held at a time: 8 MiB of float32.
_ROWS = 1 << 14
_CHANNELS = 128


class RegionPooler:
    """The regions of one image, ready to pool any feature map of one geometry: extractors that agree in it share this.

    Raises ValueError if a mask has another size than the image.
    """

    def __init__(self, regions: Sequence[Region], geometry: Geometry, options: PoolingOptions) -> None:
        self.geometry = geometry
        self.options = options
        samples, counts = _samples(regions, geometry, options)
        self.status = np.where(counts > 0, Status.POOLED, Status.DROPPED).astype(np.uint8)
        if options.vanished == "nan":
            self.status[counts == 0] = Status.NAN
        elif options.vanished == "nearest":
            samples, counts = self._add_nearest(samples, counts, regions)
        self._samples = sparse.csr_array(samples.astype(np.float32))
        self._counts = counts
        image_area = geometry.image[0] * geometry.image[1]
        self._share = np.array([_area(region, geometry) for region in regions], dtype=np.float32) / image_area

    def _add_nearest(
        self, samples: sparse.csr_array, counts: NDArray[np.int64], regions: Sequence[Region]
    ) -> tuple[sparse.csr_array, NDArray[np.int64]]:
        """Give each vanished region that has pixels the one cell that they weigh most."""
        vanished = [index for index, count in enumerate(counts) if count == 0]
        weights = region_weights([regions[index] for index in vanished], self.geometry)
        with_pixels = [row for row, size in enumerate(np.diff(weights.indptr)) if size]
        if not with_pixels:
            return samples, counts
        cells = [_heaviest(weights, row) for row in with_pixels]
        nearest = [vanished[row] for row in with_pixels]
        self.status[nearest] = Status.NEAREST
        extra = sparse.csr_array((np.ones(len(cells)), (np.arange(len(cells)), cells)), (len(cells), samples.shape[1]))
        owner = np.concatenate([np.repeat(np.arange(len(counts)), counts), nearest])
        counts = counts.copy()
        counts[nearest] = 1
        return sparse.vstack([samples, extra], format="csr")[np.argsort(owner, kind="stable")], counts

    def __call__(self, feature_map: FeatureMap) -> PooledRegions:
        """Pool one feature map. Raises ValueError if it has another geometry, or none because its image failed."""
        if feature_map.geometry != self.geometry:
            reason = feature_map.error or f"its geometry is {feature_map.geometry}, not {self.geometry}"
            raise ValueError(f"the feature map cannot be pooled: {reason}")
        rows = np.flatnonzero(self._counts)
        kept = np.flatnonzero(self.status != Status.DROPPED)
        features = np.full((len(self.status), len(feature_map.features)), np.nan, dtype=np.float32)
        if len(rows):
            features[rows] = self._reduce(feature_map.features)
        features = features[kept]
        if self.options.l2_normalize:
            features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        if self.options.area_weighted:
            features *= self._share[kept, None]
        return PooledRegions(features, kept, self.status)

    def _reduce(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Samples times features and the maximum over each region's samples, in blocks of samples and channels."""
        ends = np.cumsum(self._counts[self._counts > 0])
        cells = self._samples.shape[1]
        blocks = [(row, self._samples[row : row + _ROWS]) for row in range(0, ends[-1], _ROWS)]
        out = np.full((len(ends), len(features)), -np.inf, dtype=np.float32)
        for channel in range(0, len(features), _CHANNELS):
            channels = slice(channel, channel + _CHANNELS)
            chunk = np.ascontiguousarray(features[channels].reshape(-1, cells).T, dtype=np.float32)
            for row, block in blocks:
                _maxima(block @ chunk, row, ends, out[:, channels])
        return out


def _maxima(values: NDArray[np.float32], row: int, ends: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """Raise `out` [R, C] to the maxima over each region's rows of `values`, which start at sample `row`."""
    first, last = np.searchsorted(ends, [row, row + len(values) - 1], side="right")
    if last - first + 1 == len(values):
        out[first : last + 1] = np.maximum(out[first : last + 1], values)
        return
    start = 0
    # A loop, since np.maximum.reduceat along the first axis takes ten times as long.
    for region in range(first, last + 1):
        stop = min(ends[region] - row, len(values))
        np.maximum(out[region], values[start:stop].max(axis=0), out=out[region])
        start = stop


def pool(feature_map: FeatureMap, regions: Sequence[Region], options: PoolingOptions | None = None) -> PooledRegions:
    """Pool one feature map over RLE masks or boxes (x, y, width, height) of its image.

    Raises ValueError for a mask of another size than the image, or a feature map without features.
    """
    if feature_map.geometry is None:
        raise ValueError(f"the feature map cannot be pooled: {feature_map.error}")
    if options is not None and options.method == "alps":
        from regionflow.pooled import alps  # imports torch, which nothing else here needs

        return alps.pool(feature_map, regions)
    return RegionPooler(regions, feature_map.geometry, options or PoolingOptions())(feature_map)


def _samples(
    regions: Sequence[Region], geometry: Geometry, options: PoolingOptions
) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Matrix [S, h * w] whose rows, times features, are what a region's maximum is over, and S per region [R].

    For an average that is one row per region.
    """
    if options.method == "max":
        if options.interpolation == "upsample":
            return extreme_samples(regions, geometry)
        inside = cells_inside(regions, geometry)
        one_each = sparse.csr_array(
            (np.ones(inside.nnz), inside.indices, np.arange(inside.nnz + 1)), (inside.nnz, inside.shape[1])
        )
        return one_each, np.diff(inside.indptr).astype(np.int64)
    upsample = options.interpolation == "upsample"
    weights = region_weights(regions, geometry) if upsample else cells_inside(regions, geometry)
    present = np.diff(weights.indptr) > 0
    sums = weights.sum(axis=1)[present]
    weights = weights[present]
    weights.data /= np.repeat(sums, np.diff(weights.indptr))
    return weights, present.astype(np.int64)


def _heaviest(weights: sparse.csr_array, row: int) -> int:
    """The cell of the largest weight in one row."""
    entries = slice(weights.indptr[row], weights.indptr[row + 1])
    return int(weights.indices[entries][weights.data[entries].argmax()])


def _area(region: Region, geometry: Geometry) -> float:
    """Pixels of a mask, or of the part of a box in the image; a box outside of it has no features to weigh."""
    if isinstance(region, dict):
        return rle.area(region)
    x, y, width, height = region
    down = min(y + height, geometry.image[0]) - max(y, 0)
    across = min(x + width, geometry.image[1]) - max(x, 0)
    return float(down * across)
