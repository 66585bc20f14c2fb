"""Weights of grid cells in regions: by every way that there is, for masks and boxes wherever they lie."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.geometry import Geometry
from regionflow.pooled import sampling
from regionflow.pooled.sampling import cells_inside, extreme_samples, region_weights

GEOMETRIES = [
    Geometry.pad_to_multiple(11, 17, 4),
    Geometry.pad_to_multiple(11, 17, 5),
    Geometry.resize(11, 17, 24, "long", 7),
    Geometry.resize(11, 17, 6, "short", 4),
    Geometry.resize_into_square(11, 17, 32, 8),
    Geometry.pad_to_multiple(11, 17, 1),
    Geometry.pad_to_multiple(11, 17, 32),
]
MASKS = st.lists(hnp.arrays(np.bool_, (11, 17)), max_size=4)
PLACES = st.integers(-80, 160).map(lambda n: n / 8)
SIZES = st.integers(0, 240).map(lambda n: n / 8)
BOXES = st.tuples(PLACES, PLACES, SIZES, SIZES)


def by_hand(box: Any, geometry: Geometry) -> NDArray[np.float64]:
    """The pixels' weights, each times the share of the pixel that the box covers."""
    x, y, width, height = box
    shares = [
        np.clip(np.minimum(start + length, np.arange(pixels) + 1) - np.maximum(start, np.arange(pixels)), 0, None)
        for start, length, pixels in ((y, height, geometry.image[0]), (x, width, geometry.image[1]))
    ]
    down, across = (share @ geometry.interpolation_matrix(axis) for axis, share in enumerate(shares))
    return np.outer(down, across).ravel()


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@settings(deadline=None, max_examples=25)
@given(masks=MASKS, boxes=st.lists(BOXES, max_size=4), together=st.sampled_from([1, 7, 1 << 20]))
def test_both_ways_give_the_sums_of_the_pixels_weights(
    geometry: Geometry, long: bool, masks: list[NDArray[np.bool_]], boxes: list[Any], together: int
) -> None:
    rows, columns = geometry.interpolation_matrix(0), geometry.interpolation_matrix(1)
    expected = [(rows.T @ mask @ columns).ravel() for mask in masks] + [by_hand(box, geometry) for box in boxes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_is_long", lambda geometry: long)
        patch.setattr(sampling, "_PIXELS", together)
        patch.setattr(sampling, "_NUMBERS", 3 * together)
        weights = region_weights([*(rle.encode(m) for m in masks), *boxes], geometry)
    assert weights.shape == (len(expected), rows.shape[1] * columns.shape[1])
    assert weights.dtype == np.float64
    for row, one in enumerate(expected):
        np.testing.assert_allclose(weights[[row]].toarray()[0], one, atol=1e-9)


@pytest.mark.parametrize("size", [(50_000, 10), (10, 50_000), (1000, 800), (300, 2000), (14, 14)])
def test_a_long_image_is_taken_pixel_by_pixel_and_an_ordinary_one_is_not(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Interpolation matrices of a strip of 50,000 pixels would hold 180 million numbers."""
    ways: list[str] = []
    for way in ("_by_pixels", "_by_running_sums"):
        monkeypatch.setattr(sampling, way, lambda geometry, way=way: lambda regions: ways.append(way) or iter(()))
    region_weights([], Geometry.pad_to_multiple(*size, 14))
    assert ways == ["_by_pixels" if max(size) == 50_000 else "_by_running_sums"]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@settings(deadline=None, max_examples=25)
@given(mask=hnp.arrays(np.bool_, (11, 17)), box=BOXES)
def test_the_largest_sample_is_the_largest_pixel(geometry: Geometry, mask: NDArray[np.bool_], box: Any) -> None:
    """For masks, and for the pixels that a box touches, whatever the features."""
    x, y, width, height = box
    touched = np.zeros((11, 17), bool)
    touched[max(0, int(np.floor(y))) : max(0, int(np.ceil(y + height))), :] = True
    touched[:, : max(0, int(np.floor(x)))] = False
    touched[:, max(0, int(np.ceil(x + width))) :] = False
    features = np.random.default_rng(0).normal(size=geometry.grid)
    dense = geometry.interpolation_matrix(0) @ features @ geometry.interpolation_matrix(1).T
    samples, counts = extreme_samples([rle.encode(mask), box], geometry)
    values, ends = samples @ features.ravel(), np.cumsum(counts)
    assert samples.shape == (ends[-1], features.size)
    for inside, start, stop in ((mask, 0, ends[0]), (touched, ends[0], ends[1])):
        assert (stop > start) == inside.any()
        if inside.any():
            assert values[start:stop].max() == pytest.approx(dense[inside].max(), abs=1e-9)


def test_the_pixel_beside_the_first_is_a_sample_where_it_is_the_largest() -> None:
    """Cells of 1.4 pixels: the first pixel lies before the first centre, the second between two, the third behind."""
    geometry = Geometry((7, 7), (5, 5), (0, 0), (5, 5), (5, 5))
    features = np.zeros((5, 5))
    features[:, 1:3] = 1, -5
    mask = np.zeros((7, 7), bool)
    mask[3, :3] = True
    dense = geometry.interpolation_matrix(0) @ features @ geometry.interpolation_matrix(1).T
    assert dense[3, :3].argmax() == 1
    samples, _ = extreme_samples([rle.encode(mask)], geometry)
    assert (samples @ features.ravel()).max() == pytest.approx(dense[3, 1])


@pytest.mark.parametrize("patch", [7, 14])
def test_of_each_linear_piece_along_an_axis_two_pixels_are_samples(patch: int) -> None:
    geometry = Geometry.pad_to_multiple(20 * patch, 30 * patch, patch)
    _, counts = extreme_samples([rle.encode(np.ones(geometry.image, bool))], geometry)
    assert counts.tolist() == [2 * 21 * 2 * 31]  # a piece between two centres of cells, and one at each end


@pytest.mark.parametrize("geometry", GEOMETRIES)
@settings(deadline=None, max_examples=25)
@given(mask=hnp.arrays(np.bool_, (11, 17)), box=BOXES)
def test_a_cell_lies_in_the_regions_that_hold_its_centre(geometry: Geometry, mask: NDArray[np.bool_], box: Any) -> None:
    x, y, width, height = box
    rows, columns = np.mgrid[:11, :17]
    touched = (rows >= np.floor(y)) & (rows < np.ceil(y + height))
    touched &= (columns >= np.floor(x)) & (columns < np.ceil(x + width))
    cells = cells_inside([rle.encode(mask), box], geometry).toarray().reshape(2, *geometry.grid)
    for i, row in enumerate(geometry.centre_pixels(0)):
        for j, column in enumerate(geometry.centre_pixels(1)):
            in_image = row >= 0 and column >= 0
            assert cells[0, i, j] == (in_image and mask[row, column])
            assert cells[1, i, j] == (in_image and touched[row, column])


@pytest.mark.parametrize("way", [region_weights, extreme_samples, cells_inside])
def test_a_mask_of_another_image_is_refused_by_number(way: Any) -> None:
    masks = [rle.encode(np.ones(size, bool)) for size in ((11, 17), (17, 11))]
    with pytest.raises(ValueError, match=r"region 1 has size \[17, 11\], its image \[11, 17\] \(height, width\)"):
        way(masks, GEOMETRIES[0])
