"""Our run-length code gives the strings of pycocotools and loses no pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from regionflow.formats import rle

SIDES = st.integers(1, 12)
LABELS = hnp.arrays(np.int64, st.tuples(SIDES, SIDES), elements=st.integers(-2, 4))
MASKS = hnp.arrays(np.bool_, st.tuples(SIDES, SIDES))


@given(LABELS)
def test_a_label_map_encodes_as_pycocotools_encodes_each_label(labels):
    found = rle.from_label_map(labels)
    assert list(found) == sorted(set(labels[labels >= 0].tolist()))
    for label, mask in found.items():
        assert mask == rle.encode(labels == label)


@given(MASKS)
def test_round_trip_area_and_box(mask):
    encoded = rle.encode(mask)
    assert (rle.decode(encoded) == mask).all()
    assert rle.area(encoded) == mask.sum()
    ys, xs = np.nonzero(mask)
    box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1] if len(xs) else [0, 0, 0, 0]
    assert rle.bbox(encoded) == box


@given(MASKS)
def test_counts_are_those_that_were_compressed(mask):
    encoded = rle.encode(mask)
    counts = rle.counts(encoded)
    assert counts.sum() == mask.size
    assert rle.from_runs(counts, *mask.shape) == encoded


@given(st.lists(st.integers(1, 2**27), min_size=1, max_size=30))
def test_counts_of_any_size_survive(runs):
    total = sum(runs)
    assert rle.counts(rle.from_runs(runs, 1, total)).tolist() == runs


@given(MASKS)
def test_spans_paint_the_mask_each_in_one_column(mask):
    painted = np.zeros(mask.shape, dtype=int)
    for x, top, bottom in zip(*rle.spans(rle.encode(mask)), strict=True):
        assert bottom > top
        painted[top:bottom, x] += 1
    assert (painted == mask).all()


@pytest.mark.parametrize("at_once", [1, 7, rle.DECODED_AT_ONCE])
@given(masks=st.lists(hnp.arrays(np.bool_, (5, 7)), max_size=5))
def test_spans_of_several_masks_are_those_of_each(at_once, masks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "DECODED_AT_ONCE", at_once)
        all_spans = list(rle.each_spans([rle.encode(mask) for mask in masks]))
    assert len(all_spans) == len(masks)
    for mask, spans in zip(masks, all_spans, strict=True):
        assert [column.tolist() for column in spans] == [column.tolist() for column in rle.spans(rle.encode(mask))]


@pytest.mark.parametrize("short_run", [0, rle.SHORT_RUN])
@given(masks=st.lists(hnp.arrays(np.bool_, (5, 7)), max_size=5))
def test_label_map_shows_the_smallest_mask_and_of_equal_ones_the_first(short_run, masks):
    expected = np.zeros((5, 7), int)
    for value, mask in sorted(enumerate(masks, 10), key=lambda pair: (-pair[1].sum(), -pair[0])):
        expected[mask] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "SHORT_RUN", short_run)
        painted = rle.to_label_map([rle.encode(mask) for mask in masks], range(10, 10 + len(masks)), 5, 7)
    assert painted.tolist() == expected.tolist()
    assert painted.dtype == np.uint16


@given(st.lists(hnp.arrays(np.bool_, (5, 7)), max_size=4))
def test_union_is_any(masks):
    expected = np.any(masks, axis=0) if masks else np.zeros((5, 7), bool)
    assert (rle.union([rle.encode(m) for m in masks], 5, 7) == expected).all()


def test_strings_decode_with_pycocotools():
    mask = np.zeros((300, 400), bool)
    mask[10:250, 20:21] = True
    assert (coco.decode(rle.encode(mask)) == mask).all()
