"""Geometry: padding, resizing, interpolation weights and their round trip through attributes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionflow.formats.geometry import Geometry

lengths = st.integers(1, 90)


@st.composite
def geometries(draw: Any) -> Geometry:
    height, width, multiple = draw(lengths), draw(lengths), draw(st.sampled_from([1, 8, 14, 16, 32]))
    kind = draw(st.sampled_from(["pad", "long", "short", "square"]))
    if kind == "pad":
        return Geometry.pad_to_multiple(height, width, multiple)
    if kind == "square":
        return Geometry.resize_into_square(height, width, 64, multiple=16)
    return Geometry.resize(height, width, draw(st.integers(8, 60)), kind, multiple)


@pytest.mark.parametrize("pad", range(14))
def test_half_of_the_padding_rounded_down_comes_first(pad: int) -> None:
    geometry = Geometry.pad_to_multiple(28 - pad, 42 - pad, 14)
    assert geometry.padded == (28, 42)
    assert geometry.grid == (2, 3)
    assert geometry.offset == (pad // 2, pad // 2)
    assert geometry.resized == geometry.image == (28 - pad, 42 - pad)


def test_resize_keeps_the_aspect_ratio_and_pads_the_rest() -> None:
    assert Geometry.resize(300, 600, 140, "long", 14) == Geometry((300, 600), (70, 140), (0, 0), (70, 140), (5, 10))
    assert Geometry.resize(300, 600, 50, "short", 14) == Geometry((300, 600), (50, 100), (3, 6), (56, 112), (4, 8))
    assert Geometry.resize(3, 5000, 100, "long", 14).resized == (1, 100)
    assert Geometry.resize(5000, 3, 100, "long", 14).resized == (100, 1)


def test_square_puts_the_image_top_left() -> None:
    square = Geometry.resize_into_square(600, 800, 1024, 16)
    assert square == Geometry((600, 800), (768, 1024), (0, 0), (1024, 1024), (64, 64))


@given(geometries())
def test_attributes_round_trip(geometry: Geometry) -> None:
    assert Geometry.from_attrs({k: np.array(v) for k, v in geometry.attrs().items()}) == geometry


@given(geometries())
def test_weights_of_a_pixel_sum_to_one_and_interpolate_positions(geometry: Geometry) -> None:
    for axis in (0, 1):
        matrix = geometry.interpolation_matrix(axis)
        assert matrix.shape == (geometry.image[axis], geometry.grid[axis])
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        # Bilinear interpolation reproduces a ramp: cell centres must give back the pixel's own place.
        cell = geometry.padded[axis] / geometry.grid[axis]
        centres = (np.arange(geometry.grid[axis]) + 0.5) * cell
        pixel = np.arange(geometry.image[axis]) + 0.5
        place = geometry.offset[axis] + pixel * geometry.resized[axis] / geometry.image[axis]
        np.testing.assert_allclose(matrix @ centres, np.clip(place, centres[0], centres[-1]), atol=1e-9)


@given(geometries())
def test_pixels_outside_of_the_outermost_centres_read_one_cell_alone(geometry: Geometry) -> None:
    for axis, cells in enumerate(geometry.grid):
        lower, upper, fraction = geometry.taps(axis)
        pixel = np.arange(geometry.image[axis]) + 0.5
        place = geometry.offset[axis] + pixel * geometry.resized[axis] / geometry.image[axis]
        in_grid = place * cells / geometry.padded[axis] - 0.5
        before, after = in_grid < -1e-9, in_grid > cells - 1 + 1e-9
        assert (lower[before] == 0).all() and (fraction[before] == 0).all()
        assert (upper[after] == cells - 1).all() and (lower[after] == cells - 1).all() and (fraction[after] == 0).all()


@given(geometries(), st.data())
def test_cumulative_rows_give_the_weight_of_a_span(geometry: Geometry, data: Any) -> None:
    stop = data.draw(st.integers(0, geometry.image[0]))
    start = data.draw(st.integers(0, stop))
    expected = geometry.interpolation_matrix(0)[start:stop].sum(axis=0)
    cumulative = geometry.cumulative(0)
    np.testing.assert_allclose(cumulative[stop] - cumulative[start], expected, atol=1e-9)


def test_cell_centres_in_the_padding_have_no_pixel() -> None:
    geometry = Geometry.pad_to_multiple(1, 16, 14)
    assert geometry.centre_pixels(0).tolist() == [-1]  # the one row lies at frame row 6, the centre in row 7
    assert geometry.centre_pixels(1).tolist() == [1, 15]
    assert Geometry.resize_into_square(10, 20, 64, 16).centre_pixels(0).tolist() == [2, 7, -1, -1]


@pytest.mark.parametrize(
    "fields",
    [
        {"offset": (1, 0)},
        {"offset": (-1, 0)},
        {"grid": (0, 1)},
        {"image": (0, 14)},
        {"padded": (13, 14)},
    ],
)
def test_impossible_geometry_is_refused(fields: dict[str, Any]) -> None:
    valid: dict[str, Any] = {
        "image": (14, 14),
        "resized": (14, 14),
        "offset": (0, 0),
        "padded": (14, 14),
        "grid": (1, 1),
    }
    Geometry(**valid)
    with pytest.raises(ValueError, match="does not lie inside"):
        Geometry(**{**valid, **fields})


def test_from_attrs_refuses_what_is_not_a_pair() -> None:
    attrs = {**Geometry.pad_to_multiple(5, 5, 4).attrs(), "grid": [1, 2, 3]}
    with pytest.raises(ValueError, match="pairs"):
        Geometry.from_attrs(attrs)


@given(geometries())
def test_the_pixel_of_a_cell_is_the_one_that_holds_its_centre(geometry: Geometry) -> None:
    for axis in (0, 1):
        pixels = geometry.image[axis]
        edges = geometry.offset[axis] + np.arange(pixels + 1) * geometry.resized[axis] / pixels
        centres = (np.arange(geometry.grid[axis]) + 0.5) * geometry.padded[axis] / geometry.grid[axis]
        found = geometry.centre_pixels(axis)
        assert found.shape == (geometry.grid[axis],)
        for pixel, centre in zip(found, centres, strict=True):
            if pixel < 0:
                assert pixel == -1 and (centre <= edges[0] + 1e-9 or centre >= edges[-1] - 1e-9)
            else:
                assert edges[pixel] - 1e-9 <= centre <= edges[pixel + 1] + 1e-9


def test_cells_of_a_pixel_each_are_the_pixels() -> None:
    geometry = Geometry.pad_to_multiple(3, 5, 1)
    assert geometry.centre_pixels(0).tolist() == [0, 1, 2]
    assert geometry.centre_pixels(1).tolist() == [0, 1, 2, 3, 4]
    assert (geometry.interpolation_matrix(1) == np.eye(5)).all()
