"""Which mask lies in which: against decoded pixels, and as a forest."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


def parents_of_pixels(masks: list[np.ndarray], share: Fraction) -> list[int]:
    """The same from pixels, by the words of the definition alone."""
    size = [int(mask.sum()) for mask in masks]
    above = []
    for i, mask in enumerate(masks):
        holders = [
            (size[j], -j)
            for j, other in enumerate(masks)
            if size[i] and (size[j] > size[i] or (size[j] == size[i] and j < i))
            if int((mask & other).sum()) >= share * size[i]
        ]
        above.append(-min(holders)[1] if holders else NO_PARENT)
    return above


def blobs(height: int, width: int) -> st.SearchStrategy[np.ndarray]:
    """Boxes, their unions and differences, and scattered pixels: what holds nearly nine tenths of another is common."""
    edges = st.tuples(st.integers(0, height), st.integers(0, height), st.integers(0, width), st.integers(0, width))

    def box(corners: tuple[int, ...]) -> np.ndarray:
        top, bottom, left, right = corners
        mask = np.zeros((height, width), bool)
        mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = True
        return mask

    boxes = edges.map(box)
    mixed = st.tuples(boxes, boxes, st.sampled_from([np.logical_or, np.greater])).map(lambda m: m[2](m[0], m[1]))
    return boxes | mixed | arrays(bool, (height, width))


@given(
    st.tuples(st.integers(1, 11), st.integers(1, 11)).flatmap(lambda size: st.lists(blobs(*size), max_size=9)),
    st.sampled_from([0.5, 0.9, 1.0]),
)
def test_the_table_is_that_of_the_pixels_and_a_forest(masks: list[np.ndarray], share: float) -> None:
    above = parents([rle.encode(mask) for mask in masks], share).tolist()
    assert above == parents_of_pixels(masks, Fraction(str(share)))
    for i in range(len(masks)):
        chain = [i]
        while above[chain[-1]] != NO_PARENT:
            chain.append(above[chain[-1]])
            assert len(chain) <= len(masks)
