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


@given(st.lists(hnp.arrays(np.bool_, (5, 7)), max_size=4))
def test_areas_and_boxes_of_many_are_those_of_each(masks):
    encoded = [rle.encode(m) for m in masks]
    assert rle.areas(encoded) == [int(m.sum()) for m in masks]
    assert rle.bboxes(encoded) == [rle.bbox(mask) for mask in encoded]


def test_areas_of_more_masks_than_pycocotools_takes_together():
    masks = [rle.encode(np.arange(6).reshape(2, 3) < i % 7) for i in range(300)]
    assert rle.areas(masks) == [i % 7 for i in range(300)]


def test_an_encoded_mask_has_plain_numbers_and_text():
    encoded = rle.encode(np.ones((3, 4), bool))
    assert encoded == {"size": [3, 4], "counts": "0<"}
    assert [type(n) for n in encoded["size"]] == [int, int]


@pytest.mark.parametrize("shape", [(3, 0), (0, 3)])
def test_an_image_without_pixels_has_no_labels(shape):
    assert rle.from_label_map(np.zeros(shape, np.int64)) == {}


def test_empty_runs_are_no_spans():
    """Nobody has to write them, but they are allowed."""
    mask = rle.from_runs([2, 0, 1, 2, 1, 0], 3, 2)
    assert [part.tolist() for part in rle.spans(mask)] == [[1], [0], [2]]
    assert [part.tolist() for part in rle.spans(rle.from_runs([6], 3, 2))] == [[], [], []]
    assert [part.tolist() for part in rle.spans(rle.from_runs([0], 0, 2))] == [[], [], []]


@given(MASKS.filter(np.any))
def test_the_point_is_the_middle_of_the_longest_column_of_pixels(mask):
    ((x, y),) = rle.points_inside([rle.encode(mask)])
    assert (type(x), type(y), x % 1, y % 1) == (float, float, 0, 0)
    columns = ["".join("01"[int(p)] for p in column).split("0") for column in mask.T]
    longest = max(len(run) for column in columns for run in column)
    before = (longest - 1) // 2
    top = int(y) - before
    assert top >= 0 and mask[top : top + longest, int(x)].sum() == longest


@pytest.mark.parametrize("at_once", [1, rle.DECODED_AT_ONCE])
@pytest.mark.parametrize("short_run", [0, 1000])
@given(hnp.arrays(np.bool_, (4, 5, 6)), st.permutations([1, 2, 3, 70_000]))
def test_the_smallest_mask_that_holds_a_pixel_paints_it_and_of_equal_ones_the_first(short_run, at_once, masks, values):
    """Run after run, or all pixels at once; of runs that are worked out mask by mask, or together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "SHORT_RUN", short_run)
        patch.setattr(rle, "DECODED_AT_ONCE", at_once)
        painted = rle.to_label_map([rle.encode(m) for m in masks], values, 5, 6)
    for place in np.ndindex(5, 6):
        holding = [(int(m.sum()), i) for i, m in enumerate(masks) if m[place]]
        assert painted[place] == (values[min(holding)[1]] if holding else 0)


@pytest.mark.parametrize(("highest", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_a_map_has_as_many_bits_as_its_values_need(highest, dtype):
    mask = rle.encode(np.ones((2, 3), bool))
    painted = rle.to_label_map([mask], [highest], 2, 3)
    assert painted.dtype == dtype
    assert painted.tolist() == [[highest] * 3] * 2
    empty = rle.to_label_map([], [], 2, 3)
    assert (empty.dtype, empty.tolist()) == (np.uint16, [[0] * 3] * 2)


def test_the_first_of_several_wrong_masks_is_named_and_the_last_is_checked():
    good = rle.encode(np.ones((3, 5), bool))
    wrong = {"size": [3, 5], "counts": "1"}
    with pytest.raises(ValueError, match="mask 1 "):
        rle.check([good, wrong, good, wrong], 3, 5)
    with pytest.raises(ValueError, match="mask 2 "):
        rle.check([good, good, wrong], 3, 5)
    with pytest.raises(ValueError, match="mask 0 is of 3 x 5 pixels, its image of 5 x 3"):
        rle.check([good], 5, 3)


def test_the_longest_runs_of_pycocotools_pass_and_longer_numbers_do_not():
    rle.check([rle.from_runs([0, 2**31], 1, 2**31)], 1, 2**31)
    rle.check([{"size": [3, 5], "counts": "?PPPPPP0"}], 3, 5)  # 15, and a zero with six times "more to come"
    with pytest.raises(ValueError, match="mask 0 have a number that is too long"):
        rle.check([{"size": [3, 5], "counts": "?PPPPPPP0"}], 3, 5)


@given(st.lists(hnp.arrays(np.bool_, (9, 11)), min_size=1, max_size=5), st.integers(1, 60))
def test_masks_pass_whatever_is_checked_at_once(masks, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "CHECKED_AT_ONCE", at_once)
        rle.check([rle.encode(m) for m in masks], 9, 11)


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 20))
def test_parts_are_as_short_as_they_can_be_and_lose_no_mask(lengths, at_once):
    """More would take memory, fewer time."""
    masks = [{"size": [1, 1], "counts": "0" * n} for n in lengths]
    parts = [[len(mask["counts"]) for mask in part] for part in rle._parts(masks, at_once)]
    assert [n for part in parts for n in part] == lengths
    assert all(sum(part) >= at_once for part in parts[:-1])
    assert all(part and sum(part[:-1]) < at_once for part in parts)


@given(st.lists(hnp.arrays(np.bool_, (6, 5)), max_size=6), st.integers(1, 40))
def test_spans_of_many_masks_are_those_of_each_whatever_is_decoded_at_once(masks, at_once):
    encoded = [rle.encode(m) for m in masks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "DECODED_AT_ONCE", at_once)
        together = [[part.tolist() for part in spans] for spans in rle.each_spans(encoded)]
    assert together == [[part.tolist() for part in rle.spans(mask)] for mask in encoded]
