"""Boundary scores against distances measured one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt

from regionflow.evaluate.boundaries import boundary_scores, outlines
from regionflow.formats import rle


def masks(seed, n=4, height=37, width=52):
    rng = np.random.default_rng(seed)
    coarse = rng.random((n, height // 4 + 1, width // 4 + 1)) > 0.6
    return np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)[:, :height, :width]


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_outlines_are_the_masks_without_their_erosions(seed):
    drawn = masks(seed)
    expected = np.zeros(drawn.shape[1:], bool)
    for mask in drawn:
        expected |= mask & ~binary_erosion(mask, border_value=1)
    assert (outlines([rle.encode(m) for m in drawn], *drawn.shape[1:]) == expected).all()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("tolerance", [0.01, 0.02, 0.05])
def test_scores_are_those_of_a_plain_distance_transform(seed, tolerance):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 60, 80)) > 0.985
    near = tolerance * np.hypot(60, 80)
    precision = (distance_transform_edt(~b)[a] <= near).mean()
    recall = (distance_transform_edt(~a)[b] <= near).mean()
    assert boundary_scores(a, b, tolerance) == pytest.approx(
        (precision, recall, 2 * precision * recall / (precision + recall))
    )


def test_without_outlines():
    nothing, something = np.zeros((5, 6), bool), np.eye(5, 6, dtype=bool)
    assert boundary_scores(nothing, nothing) == (1.0, 1.0, 1.0)
    assert boundary_scores(nothing, something) == (0.0, 0.0, 0.0) == boundary_scores(something, nothing)
