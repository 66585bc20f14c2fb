"""Very long images: pooling needs time and memory in proportion to the pixels, and gives the same numbers."""

import time
import tracemalloc

import numpy as np
import pytest

from regionflow.formats import rle
from regionflow.formats.geometry import Geometry
from regionflow.pooled import sampling
from regionflow.pooled.sampling import region_weights


def masks(height: int, width: int, count: int, seed: int = 0) -> list:
    """Random blobs, a full mask, an empty one, and boxes that lie between pixels and across the edge."""
    random = np.random.default_rng(seed)
    maps = [np.ones((height, width), bool), np.zeros((height, width), bool)]
    for _ in range(count):
        y, x = random.integers(height), random.integers(width)
        near = np.hypot(*np.meshgrid((np.arange(height) - y) / height, (np.arange(width) - x) / width, indexing="ij"))
        maps.append((near < random.uniform(0.1, 0.6)) & (random.random((height, width)) < 0.8))
    boxes = [(0.3, 0.7, width / 2, height / 3), (-3.0, -2.0, 5.5, 6.5), (width - 2.5, 1.0, 9.0, height * 1.0)]
    return [rle.encode(m) for m in maps] + boxes


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry.pad_to_multiple(61, 43, 14),
        Geometry.pad_to_multiple(1, 1, 14),
        Geometry.pad_to_multiple(300, 3, 8),
        Geometry.resize(37, 90, 56, "long", 14),
        Geometry.resize_into_square(40, 90, 128, 16),
    ],
)
@pytest.mark.parametrize("pixels", [1 << 20, 50])
def test_both_ways_give_the_same_weights(monkeypatch, geometry, pixels):
    regions = masks(*geometry.image, count=6)
    monkeypatch.setattr(sampling, "_PIXELS", pixels)
    monkeypatch.setattr(sampling, "_is_long", lambda geometry: False)
    sums = region_weights(regions, geometry)
    monkeypatch.setattr(sampling, "_is_long", lambda geometry: True)
    by_pixels = region_weights(regions, geometry)
    assert abs(sums - by_pixels).max() < 1e-6
    areas = [rle.area(region) for region in regions if isinstance(region, dict)]
    assert by_pixels.sum(axis=1)[: len(areas)] == pytest.approx(areas)


@pytest.mark.parametrize("shape", [(20000, 10), (10, 20000), (30000, 10)])
def test_long_images_cost_what_their_pixels_cost(shape):
    strip = np.zeros(shape, bool)
    regions = []
    for i in range(20):
        mask = strip.copy()
        along = slice(i * max(shape) // 20, (i + 1) * max(shape) // 20)
        mask[along if shape[0] > shape[1] else slice(None), along if shape[1] > shape[0] else slice(None)] = True
        regions.append(rle.encode(mask))
    geometry = Geometry.pad_to_multiple(*shape, 8)
    tracemalloc.start()
    start = time.process_time()
    weights = region_weights([*regions, rle.encode(~strip)], geometry)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert weights.sum() == pytest.approx(2 * strip.size)
    assert peak < 200 * strip.size and seconds < 5, f"{peak / 2**20:.0f} MiB, {seconds:.1f} s"


def test_ordinary_images_take_the_fast_way():
    for shape in ((450, 450), (1080, 1920), (4000, 6000), (64, 48)):
        assert not sampling._is_long(Geometry.pad_to_multiple(*shape, 14))
    assert sampling._is_long(Geometry.pad_to_multiple(20000, 10, 14))
