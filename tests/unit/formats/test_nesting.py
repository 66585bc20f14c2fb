"""Which mask lies in which: against decoded pixels, and as a forest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regionflow.formats import rle
from regionflow.formats.nesting import NO_PARENT, parents


def square(first: int, last: int) -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    mask[first:last, first:last] = True
    return mask


def test_the_parent_is_the_smallest_larger_mask_that_holds_nine_tenths() -> None:
    masks = [square(0, 20), square(2, 10), square(0, 12), square(15, 19)]
    assert parents([rle.encode(mask) for mask in masks]).tolist() == [NO_PARENT, 2, 0, 0]


def test_of_equal_masks_the_first_holds_the_others_and_empty_ones_lie_in_none() -> None:
    masks = [rle.encode(mask) for mask in (square(0, 5), square(0, 5), square(0, 0))]
    assert parents(masks).tolist() == [NO_PARENT, 0, NO_PARENT]


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), max_size=8))
def test_the_table_is_a_forest_of_masks_that_hold_each_other(corners: list[tuple[int, ...]]) -> None:
    masks = [np.zeros((12, 12), bool) for _ in corners]
    for mask, (top, bottom, left, right) in zip(masks, corners, strict=True):
        mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = True
    above = parents([rle.encode(mask) for mask in masks]).tolist()
    for i, holder in enumerate(above):
        if holder != NO_PARENT:
            assert (masks[i] & masks[holder]).sum() >= 0.9 * masks[i].sum()
            assert masks[holder].sum() >= masks[i].sum()
        chain = [i]
        while above[chain[-1]] != NO_PARENT:
            chain.append(above[chain[-1]])
            assert len(chain) <= len(masks)
