"""Pooling options: vanished and empty regions, boxes between pixels, normalisation, shared weights."""

import numpy as np
import pytest

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.pooled import pool as pooling
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.pool import RegionPooler, Status, pool, region_weights

GEOMETRY = Geometry.pad_to_multiple(56, 84, 14)


def feature_map(channels: int = 5) -> FeatureMap:
    return FeatureMap(np.random.default_rng(0).normal(size=(channels, *GEOMETRY.grid)).astype(np.float32), GEOMETRY)


def rectangle(x: int, y: int, width: int, height: int) -> rle.Rle:
    mask = np.zeros(GEOMETRY.image, dtype=bool)
    mask[y : y + height, x : x + width] = True
    return rle.encode(mask)


BIG = rectangle(0, 0, 40, 40)
THIN = rectangle(30, 16, 3, 1)  # in the third column of cells, above the centres of the second row
EMPTY = rectangle(0, 0, 0, 0)


def test_vanished_region_takes_its_nearest_cell() -> None:
    options = PoolingOptions(interpolation="downsample", vanished="nearest")
    for method in ("average", "max"):
        pooled = pool(feature_map(), [THIN, BIG, THIN], options.model_copy(update={"method": method}))
        assert pooled.status.tolist() == [Status.NEAREST, Status.POOLED, Status.NEAREST]
        assert pooled.region.tolist() == [0, 1, 2]
        assert np.array_equal(pooled.features[0], feature_map().features[:, 1, 2])
        assert np.array_equal(pooled.features[0], pooled.features[2])


@pytest.mark.parametrize("interpolation", ["upsample", "downsample"])
@pytest.mark.parametrize("method", ["average", "max"])
def test_policies_for_regions_without_cells(interpolation: str, method: str) -> None:
    regions = [EMPTY, THIN, BIG]
    gone = interpolation == "downsample"
    base = {"interpolation": interpolation, "method": method}
    expected = pool(feature_map(), [BIG], PoolingOptions(**base)).features[0]

    nan = pool(feature_map(), regions, PoolingOptions(**base, vanished="nan"))
    assert nan.status.tolist() == [Status.NAN, Status.NAN if gone else Status.POOLED, Status.POOLED]
    assert nan.region.tolist() == [0, 1, 2]
    assert np.isnan(nan.features).all(axis=1).tolist() == [True, gone, False]

    dropped = pool(feature_map(), regions, PoolingOptions(**base, vanished="drop"))
    assert dropped.status.tolist() == [Status.DROPPED, Status.DROPPED if gone else Status.POOLED, Status.POOLED]
    assert dropped.region.tolist() == ([2] if gone else [1, 2])

    nearest = pool(feature_map(), regions, PoolingOptions(**base, vanished="nearest"))
    assert nearest.status.tolist() == [Status.DROPPED, Status.NEAREST if gone else Status.POOLED, Status.POOLED]
    assert nearest.region.tolist() == [1, 2]
    for pooled in (nan, dropped, nearest):
        assert np.array_equal(pooled.features[-1], expected)


@pytest.mark.parametrize("interpolation", ["upsample", "downsample"])
@pytest.mark.parametrize("method", ["average", "max"])
def test_no_regions(interpolation: str, method: str) -> None:
    pooled = pool(feature_map(), [], PoolingOptions(interpolation=interpolation, method=method))
    assert pooled.features.shape == (0, 5)
    assert (len(pooled.status), len(pooled.region)) == (0, 0)


def test_box_between_pixels_weighs_pixels_by_their_covered_share() -> None:
    box = (2.25, 3.5, 1.5, 1.0)  # columns 2 and 3 by 0.75 each, rows 3 and 4 by half
    pixels = {(3, 2): 0.375, (3, 3): 0.375, (4, 2): 0.375, (4, 3): 0.375}
    expected = sum(
        share * region_weights([rectangle(x, y, 1, 1)], GEOMETRY).toarray() for (y, x), share in pixels.items()
    )
    np.testing.assert_allclose(region_weights([box], GEOMETRY).toarray(), expected, atol=1e-12)
    overlapping = region_weights([(-5, -5, 10, 10), (200, 0, 5, 5)], GEOMETRY)
    np.testing.assert_allclose(overlapping.sum(axis=1), [25, 0])


def test_l2_normalised_vectors_have_length_one() -> None:
    plain = pool(feature_map(), [BIG, THIN])
    unit = pool(feature_map(), [BIG, THIN], PoolingOptions(l2_normalize=True))
    np.testing.assert_allclose(np.linalg.norm(unit.features, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit.features * np.linalg.norm(plain.features, axis=1)[:, None], plain.features)
    zero = FeatureMap(np.zeros_like(feature_map().features), GEOMETRY)
    assert (pool(zero, [BIG], PoolingOptions(l2_normalize=True)).features == 0).all()


def test_area_weighted_vectors_of_a_partition_sum_to_the_image_mean() -> None:
    options = PoolingOptions(area_weighted=True)
    parts = pool(feature_map(), [rectangle(0, 0, 20, 56), rectangle(20, 0, 64, 56), EMPTY], options)
    halves = pool(feature_map(), [(0.0, 0.0, 20.5, 56.0), (20.5, 0.0, 64.0, 56.0)], options)
    mean = pool(feature_map(), [rectangle(0, 0, 84, 56)]).features[0]
    np.testing.assert_allclose(parts.features.sum(axis=0), mean, atol=1e-6)
    np.testing.assert_allclose(halves.features.sum(axis=0), mean, atol=1e-6)


def test_area_weighted_boxes_count_the_part_that_lies_in_the_image() -> None:
    height, width = GEOMETRY.image
    boxes = {  # x, y, width, height: square pixels of it in the image
        (-7.0, 5.0, 17.0, 9.0): 10 * 9,
        (20.0, -3.5, 6.0, 10.0): 6 * 6.5,
        (80.0, 50.0, 30.0, 40.0): 4 * 6,
        (60.0, 40.0, 10.0, 100.0): 10 * 16,
        (-9.0, -9.0, 200.0, 300.0): height * width,
        (2.0, 2.0, 10.0, 0.5): 5,
        (2.0, 2.0, 0.25, 10.0): 2.5,
    }
    for method in ("average", "max"):
        plain = pool(feature_map(), list(boxes), PoolingOptions(method=method))
        weighted = pool(feature_map(), list(boxes), PoolingOptions(method=method, area_weighted=True))
        share = np.array(list(boxes.values()))[:, None] / (height * width)
        np.testing.assert_allclose(weighted.features, plain.features * share, rtol=1e-5)


def test_boxes_beside_the_image_have_no_cells() -> None:
    beside = [(-9.0, 3.0, 5.0, 5.0), (90.0, 3.0, 5.0, 5.0), (3.0, -9.0, 5.0, 5.0), (3.0, 60.0, 5.0, 5.0)]
    for method in ("average", "max"):
        for interpolation in ("upsample", "downsample"):
            options = PoolingOptions(method=method, interpolation=interpolation, vanished="nan", area_weighted=True)
            pooled = pool(feature_map(), [*beside, BIG], options)
            assert pooled.status.tolist() == [Status.NAN] * 4 + [Status.POOLED]
            assert np.isnan(pooled.features[:4]).all() and np.isfinite(pooled.features[4]).all()


def test_extractors_of_one_geometry_share_the_weights() -> None:
    pooler = RegionPooler([BIG, THIN], GEOMETRY, PoolingOptions())
    for channels in (3, 9):
        assert np.array_equal(pooler(feature_map(channels)).features, pool(feature_map(channels), [BIG, THIN]).features)
    other = FeatureMap(np.zeros((3, 4, 6), np.float32), Geometry.pad_to_multiple(55, 84, 14))
    with pytest.raises(ValueError, match="its geometry is"):
        pooler(other)


@pytest.mark.parametrize("method", ["average", "max"])
@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (2, 4), (3, 2), (4, 3), (5, 6), (7, 5), (20, 1)])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, method: str, rows: int, channels: int) -> None:
    regions = [BIG, EMPTY, THIN, rectangle(50, 20, 34, 36)]
    whole = pool(feature_map(), regions, PoolingOptions(method=method))
    monkeypatch.setattr(pooling, "_ROWS", rows)
    monkeypatch.setattr(pooling, "_CHANNELS", channels)
    assert np.array_equal(pool(feature_map(), regions, PoolingOptions(method=method)).features, whole.features)


def test_half_precision_maps_pool_in_single_precision() -> None:
    half = FeatureMap(feature_map().features.astype(np.float16), GEOMETRY)
    single = FeatureMap(half.features.astype(np.float32), GEOMETRY)
    assert np.array_equal(pool(half, [BIG]).features, pool(single, [BIG]).features)


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"region 1 has size \[84, 56\], its image \[56, 84\]"):
        pool(feature_map(), [BIG, rle.encode(np.ones((84, 56), dtype=bool))])


def test_failed_image_is_refused_with_its_reason() -> None:
    with pytest.raises(ValueError, match="truncated JPEG"):
        pool(FeatureMap.failed("truncated JPEG"), [BIG])
