"""Pooling against brute force: upsample with torch, crop, and take the region's pixels one by one."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.pool import Status, pool, region_weights

IMAGES = [(140, 140), (75, 131), (131, 60), (25, 31), (9, 200), (1, 1), (1, 40)]


def feature_map(geometry: Geometry, channels: int = 7) -> FeatureMap:
    values = np.random.default_rng(1).normal(size=(channels, *geometry.grid)).astype(np.float32)
    return FeatureMap(values, geometry)


def masks(height: int, width: int) -> list[np.ndarray]:
    """Random blobs and noise, single pixels at corners and inside, the full image, its border, a ring, two parts."""
    rng = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    found = [rng.random((height, width)) < p for p in (0.5, 0.02, 0.98)]
    for _ in range(8):
        radius = rng.uniform(0.7, max(height, width) / 2 + 1)
        found.append((y - rng.uniform(0, height)) ** 2 + (x - rng.uniform(0, width)) ** 2 < radius**2)
    found.append(np.ones((height, width), dtype=bool))
    found.append((y == 0) | (x == 0) | (y == height - 1) | (x == width - 1))
    found.append((abs(y - height // 2) < 3) ^ (abs(y - height // 2) < 2))
    found.append((x < 2) | (x >= width - 2))
    for corner in product((0, height - 1, height // 2), (0, width - 1, width // 3)):
        single = np.zeros((height, width), dtype=bool)
        single[corner] = True
        found.append(single)
    return [mask for mask in found if mask.any()]


def upsampled(fmap: FeatureMap) -> np.ndarray:
    """The features at every image pixel [C, H, W], in the geometry of pad_to_multiple."""
    geometry = fmap.geometry
    full = F.interpolate(
        torch.from_numpy(fmap.features)[None], size=geometry.padded, mode="bilinear", align_corners=False
    )
    top, left = geometry.offset
    return full[0, :, top : top + geometry.image[0], left : left + geometry.image[1]].numpy()


def downsampled(mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The mask on the grid: padded as the image was, then torch's nearest-exact."""
    padded = torch.zeros(geometry.padded)
    top, left = geometry.offset
    padded[top : top + geometry.image[0], left : left + geometry.image[1]] = torch.from_numpy(mask).float()
    return F.interpolate(padded[None, None], size=geometry.grid, mode="nearest-exact")[0, 0].numpy() > 0


def reduce(values: np.ndarray, method: str) -> np.ndarray:
    return values.astype(np.float64).mean(axis=1) if method == "average" else values.max(axis=1)


@pytest.mark.parametrize("method", ["average", "max"])
@pytest.mark.parametrize(("height", "width"), IMAGES)
def test_upsample_equals_brute_force(height: int, width: int, method: Any) -> None:
    fmap = feature_map(Geometry.pad_to_multiple(height, width, 14))
    regions = masks(height, width)
    dense = upsampled(fmap)
    expected = np.stack([reduce(dense[:, mask], method) for mask in regions])
    pooled = pool(fmap, [rle.encode(m) for m in regions], PoolingOptions(method=method))
    np.testing.assert_allclose(pooled.features, expected, atol=1e-5)
    assert pooled.features.dtype == np.float32
    assert (pooled.status == Status.POOLED).all()


@pytest.mark.parametrize("method", ["average", "max"])
@pytest.mark.parametrize(("height", "width"), IMAGES)
def test_downsample_equals_brute_force(height: int, width: int, method: Any) -> None:
    fmap = feature_map(Geometry.pad_to_multiple(height, width, 14))
    regions = masks(height, width)
    pooled = pool(
        fmap,
        [rle.encode(m) for m in regions],
        PoolingOptions(method=method, interpolation="downsample", vanished="nan"),
    )
    for mask, got, status in zip(regions, pooled.features, pooled.status, strict=True):
        cells = downsampled(mask, fmap.geometry)
        if cells.any():
            np.testing.assert_allclose(got, reduce(fmap.features[:, cells], method), atol=1e-5)
            assert status == Status.POOLED
        else:
            assert np.isnan(got).all()
            assert status == Status.NAN


@pytest.mark.parametrize("method", ["average", "max"])
def test_resized_geometry_equals_brute_force(method: Any) -> None:
    geometry = Geometry.resize(75, 131, 70, "long", 14)
    fmap = feature_map(geometry)
    rows, columns = geometry.interpolation_matrix(0), geometry.interpolation_matrix(1)
    dense = np.einsum("yi,cij,xj->cyx", rows, fmap.features, columns)
    regions = masks(75, 131)
    expected = np.stack([reduce(dense[:, mask], method) for mask in regions])
    pooled = pool(fmap, [rle.encode(m) for m in regions], PoolingOptions(method=method))
    np.testing.assert_allclose(pooled.features, expected, atol=1e-5)


def test_weights_are_the_adjoint_of_upsampling() -> None:
    """<upsample(f), mask> == <f, weights> by torch's own backward pass."""
    geometry = Geometry.pad_to_multiple(75, 131, 14)
    regions = masks(75, 131)
    weights = region_weights([rle.encode(m) for m in regions], geometry)
    top, left = geometry.offset
    for row, mask in enumerate(regions):
        grid = torch.zeros(1, 1, *geometry.grid, dtype=torch.float64, requires_grad=True)
        full = F.interpolate(grid, size=geometry.padded, mode="bilinear", align_corners=False)[0, 0]
        full[top : top + 75, left : left + 131][torch.from_numpy(mask)].sum().backward()
        np.testing.assert_allclose(weights[[row]].toarray().reshape(geometry.grid), grid.grad[0, 0], atol=1e-9)
        assert weights[[row]].sum() == pytest.approx(mask.sum())


@pytest.mark.parametrize("method", ["average", "max"])
@pytest.mark.parametrize("interpolation", ["upsample", "downsample"])
def test_whole_pixel_box_equals_its_mask(interpolation: Any, method: Any) -> None:
    options = PoolingOptions(method=method, interpolation=interpolation)
    fmap = feature_map(Geometry.pad_to_multiple(75, 131, 14))
    boxes = [(3, 5, 40, 30), (0, 0, 131, 75), (130, 74, 1, 1), (17, 40, 1, 20)]
    regions = []
    for x, y, width, height in boxes:
        mask = np.zeros((75, 131), dtype=bool)
        mask[y : y + height, x : x + width] = True
        regions.append(rle.encode(mask))
    by_box = pool(fmap, boxes, options)
    by_mask = pool(fmap, regions, options)
    np.testing.assert_allclose(by_box.features, by_mask.features, atol=1e-6)
    assert by_box.status.tolist() == by_mask.status.tolist()
