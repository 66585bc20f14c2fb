"""What happens to finished masks: as segment-anything's postprocessing has it, and what we add, in plain numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from segment_anything.automatic_mask_generator import SamAutomaticMaskGenerator
from segment_anything.utils.amg import MaskData, mask_to_rle_pytorch

from regionflow.formats import rle
from regionflow.sam.cleanup import connected_at, drop_islands, remove_small_parts, suppress_duplicates

Mask = NDArray[np.bool_]


def rectangle(y: int, x: int, height: int, width: int) -> Mask:
    mask = np.zeros((40, 50), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def as_the_original(masks: list[Mask], min_area: int, thresh: float) -> tuple[list[Mask], list[int]]:
    """The masks that stay, and which they are, by segment-anything itself."""
    stacked = torch.from_numpy(np.stack(masks))
    given = MaskData(rles=mask_to_rle_pytorch(stacked), boxes=torch.zeros(len(masks), 4), index=np.arange(len(masks)))
    kept = SamAutomaticMaskGenerator.postprocess_small_regions(given, min_area, thresh)
    decoded = [rle.decode(rle.from_runs(one["counts"], *one["size"])) for one in kept["rles"]]
    return decoded, kept["index"].tolist()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.4, 0.6, 0.8]), min_area=st.integers(1, 30))
def test_what_stays_is_what_stays_of_the_original(seed: int, share: float, min_area: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(6):
        top, left = rng.integers(0, 12, 2)
        mask = np.zeros((20, 24), bool)
        part = mask[top : top + rng.integers(1, 12), left : left + rng.integers(1, 14)]
        part[:] = rng.random(part.shape) < share
        masks.append(mask)
    cleaned, kept = remove_small_parts([rle.encode(m) for m in masks], min_area, 0.5)
    expected, which = as_the_original(masks, min_area, 0.5)
    assert kept.tolist() == which
    assert all((rle.decode(cleaned[i]) == mask).all() for i, mask in zip(which, expected, strict=True))


def test_of_islands_of_one_size_the_first_stays_by_the_count_of_the_whole_image() -> None:
    """OpenCV counts components by blocks of 2 x 2 pixels: which is the first depends on where the rows begin."""
    mask = np.zeros((14, 14), bool)
    mask[6, 5] = mask[7, 3] = True
    cleaned, _ = remove_small_parts([rle.encode(mask)], 2, 0.5)
    (expected,), _ = as_the_original([mask], 2, 0.5)
    assert expected.sum() == 1 and (rle.decode(cleaned[0]) == expected).all()


def test_masks_without_small_parts_stay_as_they_are() -> None:
    whole = [rle.encode(rectangle(2, 3, 9, 9)), rle.encode(rectangle(20, 20, 9, 9)), rle.encode(rectangle(0, 0, 0, 0))]
    cleaned, kept = remove_small_parts(whole, 5, 0.7)
    assert cleaned == whole
    assert sorted(kept.tolist()) == [0, 1, 2]
    assert remove_small_parts([], 5, 0.7)[1].tolist() == []


@pytest.mark.parametrize(("thresh", "kept"), [(0.895, [0, 1]), (0.885, [0])])
def test_boxes_go_from_the_first_to_the_last_pixel(thresh: float, kept: list[int]) -> None:
    """10 x 10 and 9 x 10 pixels: their boxes have an IoU of 72 / 81 by segment-anything's count, not of 90 / 100."""
    for other in (rectangle(5, 5, 9, 10), rectangle(5, 5, 10, 9)):
        masks = [rle.encode(rectangle(5, 5, 10, 10)), rle.encode(other)]
        assert remove_small_parts(masks, 5, thresh)[1].tolist() == kept


@pytest.mark.parametrize("shape", [(9, 1), (1, 9), (1, 1)])
def test_boxes_of_masks_a_pixel_wide_have_no_area_and_suppress_nothing(shape: tuple[int, int]) -> None:
    thin = rle.encode(rectangle(3, 4, *shape))
    assert as_the_original([rle.decode(thin)] * 2, 1, 0.5)[1] == [0, 1]
    assert remove_small_parts([thin, thin], 1, 0.5)[1].tolist() == [0, 1]


def plainly(masks: list[Mask], iou_thresh: float | None, containment_thresh: float | None) -> list[int]:
    kept: list[int] = []
    for i, mask in enumerate(masks):
        overlaps = [(int((mask & masks[k]).sum()), masks[k]) for k in kept]
        same = iou_thresh is not None and any(n / (mask | other).sum() > iou_thresh for n, other in overlaps)
        within = containment_thresh is not None and any(
            n / mask.sum() > containment_thresh and n / other.sum() >= 0.5 for n, other in overlaps
        )
        if not same and not within:
            kept.append(i)
    return kept


@given(
    st.lists(hnp.arrays(np.bool_, (3, 4)).filter(np.any), max_size=7),
    st.sampled_from([None, 0.2, 0.5, 0.9]),
    st.sampled_from([None, 0.3, 0.5, 0.8]),
)
def test_duplicates_are_those_that_plain_counting_finds(
    masks: list[Mask], iou_thresh: float | None, containment_thresh: float | None
) -> None:
    kept = suppress_duplicates([rle.encode(m) for m in masks], iou_thresh, containment_thresh)
    assert kept.tolist() == plainly(masks, iou_thresh, containment_thresh)
    assert kept.dtype == np.int64


def test_a_mask_at_a_threshold_stays_and_half_of_another_is_enough_of_it() -> None:
    whole, half = rle.encode(rectangle(0, 0, 10, 10)), rle.encode(rectangle(0, 0, 10, 5))
    almost = rle.encode(rectangle(0, 0, 7, 7))
    assert suppress_duplicates([whole, half], 0.5, None).tolist() == [0, 1]
    assert suppress_duplicates([whole, half], 0.49, None).tolist() == [0]
    assert suppress_duplicates([whole, half], None, 0.9).tolist() == [0]
    assert suppress_duplicates([whole, half], None, 1.0).tolist() == [0, 1]
    assert suppress_duplicates([whole, almost], None, 0.9).tolist() == [0, 1]  # a part: 49 of 100 pixels


@given(hnp.arrays(np.bool_, (3, 5, 6)), st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 4))] * 3))
def test_what_is_connected_to_a_point_is_its_component(masks: Mask, points: tuple) -> None:
    before = masks.copy()
    parts = connected_at(masks, np.array(points))
    for mask, part, (x, y) in zip(masks, parts, points, strict=True):
        labels, _ = ndimage.label(mask)  # by sides
        assert (part == ((labels == labels[y, x]) & mask)).all() if mask[y, x] else not part.any()
    assert (masks == before).all()


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_logits_far_from_the_part_at_the_point_are_far_below_the_threshold(threshold: float) -> None:
    logits = torch.full((2, 9, 12), -3.0) + threshold
    logits[:, 2:5, 2:5] = threshold + 2
    logits[:, 5, 5] = threshold + 4  # touches a corner: not connected, but beside what is
    logits[:, 2:5, 8:10] = threshold + 1
    logits[0, 7, 1] = threshold  # on the threshold is below it
    logits[0, 3, 5:8] = threshold  # so this is no bridge
    kept = drop_islands(logits, np.array([[3, 3], [9, 4]]), threshold)
    rows, columns = np.mgrid[:9, :12]
    for one, whole, (top, left, bottom, right) in zip(kept, logits, [(2, 2, 4, 4), (2, 8, 4, 9)], strict=True):
        part = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
        near = (rows >= top - 1) & (rows <= bottom + 1) & (columns >= left - 1) & (columns <= right + 1)
        assert torch.equal(one[part], whole[part])
        assert torch.equal(one[near & ~part], whole[near & ~part].clamp(max=threshold))
        assert (one[~near] == threshold - 32).all()
