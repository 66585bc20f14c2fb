"""Colours and agreement of islands."""

import numpy as np
import pytest

from regionflow.formats.parts import EMPTY
from regionflow.parts.islands import agreement, fit_projection


def test_equal_vectors_have_equal_colours_and_the_main_axis_is_the_widest() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 6)) * [5, 1, 0.5, 0.1, 0.1, 0.1]
    projection = fit_projection(rows)
    assert abs(projection.axes[0, 0]) > 0.99
    colours = projection.colours(np.stack([rows[0], rows[1], rows[0]]).reshape(3, 1, 6))
    assert colours.shape == (3, 1, 3)
    assert colours.dtype == np.uint8
    assert (colours[0] == colours[2]).all()
    assert (colours[0] != colours[1]).any()


def test_the_projection_is_the_same_for_the_same_set() -> None:
    rows = np.random.default_rng(1).normal(size=(100, 5)).astype(np.float16)
    first, second = fit_projection(rows), fit_projection(rows)
    np.testing.assert_array_equal(first.axes, second.axes)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (2, 5), (9, 2)])
def test_few_embeddings_have_fewer_axes_and_black_for_the_others(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(1).normal(size=shape).astype(np.float16)
    projection = fit_projection(rows)
    assert projection.axes.shape == (3, shape[1])
    assert (projection.colours(rows)[:, min(shape) :] == 0).all()
    assert (fit_projection(np.ones((4, 5))).colours(np.ones((4, 5))) == 0).all()


def test_agreement_is_the_mean_cosine_inside_masks_minus_that_between_masks() -> None:
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    vectors = np.stack([east, east, north, north])[:, None]
    index, members = np.array([[0], [0], [1], [1]]), np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    assert agreement(vectors, index, members) == pytest.approx([1.0])
    assert agreement(np.ones((4, 1, 2)), index, members) == pytest.approx([0.0])
    assert np.isnan(agreement(vectors, index, np.ones((2, 4), bool))).all()


def test_patches_without_a_mask_count_nowhere() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 1, 3))
    members = np.array([[1, 1, 0, 0, 1], [0, 0, 1, 1, 1]], bool)
    with_empty = agreement(vectors, np.array([[0], [0], [1], [1], [EMPTY]]), members)
    without = agreement(vectors[:4], np.array([[0], [0], [1], [1]]), members[:, :4])
    np.testing.assert_allclose(with_empty, without)
