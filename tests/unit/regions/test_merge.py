"""The merge rule of the region-representations paper, at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regionflow.formats import rle
from regionflow.formats.regions import annotation
from regionflow.regions.merge import merge
from regionflow.regions.options import RegionsOptions

OPTIONS = RegionsOptions()


def slic_parts(regions):
    return [a for a in regions if a["source"] == "slic"]


def half_covered(uncovered):
    """A 40 x 50 image of two superpixels; a mask leaves `uncovered` pixels of superpixel 1 and none of superpixel 0."""
    labels = np.zeros((40, 50), np.int64)
    labels[:, 25:] = 1
    mask = np.ones((40, 50), bool)
    ys, xs = np.nonzero(labels == 1)
    mask[ys[:uncovered], xs[:uncovered]] = False
    return labels, mask, [annotation(rle.encode(mask), "sam", predicted_iou=0.9)]


@pytest.mark.parametrize(("uncovered", "kept"), [(299, 0), (300, 1), (301, 1), (0, 0)])
def test_300_uncovered_pixels_are_kept_and_299_dropped(uncovered, kept):
    labels, mask, masks = half_covered(uncovered)
    added = slic_parts(merge(masks, labels, 40, 50, OPTIONS))
    assert len(added) == kept
    if kept:
        assert (rle.decode(added[0]["segmentation"]) == ~mask).all()


@pytest.mark.parametrize(("pixels", "kept"), [(600, True), (601, False)])
def test_a_mask_above_the_area_fraction_is_dropped_and_its_pixels_are_uncovered(pixels, kept):
    mask = np.zeros(2000, bool)
    mask[:pixels] = True
    masks = [annotation(rle.encode(mask.reshape(40, 50)), "sam", predicted_iou=0.9)]
    labels = np.zeros((40, 50), np.int64)
    regions = merge(masks, labels, 40, 50, RegionsOptions(max_area_fraction=0.3))
    assert [(a["source"], a["area"]) for a in regions] == ([("sam", 600), ("slic", 1400)] if kept else [("slic", 2000)])


def test_min_proportion_is_a_real_fraction():
    labels, _, masks = half_covered(500)  # half of superpixel 1's 1000 pixels
    for proportion, kept in ((0.5, 1), (0.5001, 0), (0.25, 1)):
        options = RegionsOptions(min_proportion=proportion)
        assert len(slic_parts(merge(masks, labels, 40, 50, options))) == kept


def test_masks_keep_their_order_source_and_scores():
    labels, _, masks = half_covered(400)
    regions = merge([*masks, *masks], labels, 40, 50, OPTIONS)
    assert [a["source"] for a in regions] == ["sam", "sam", "slic"]
    assert regions[1]["predicted_iou"] == 0.9


def test_an_image_without_masks_is_all_superpixels():
    labels, _, _ = half_covered(0)
    regions = merge([], labels, 40, 50, OPTIONS)
    assert [a["area"] for a in regions] == [1000, 1000]


def test_without_superpixels_masks_alone():
    _, _, masks = half_covered(400)
    assert merge(masks, None, 40, 50, OPTIONS) == masks


def test_fragments_are_split_without_losing_a_pixel():
    labels = np.zeros((40, 50), np.int64)
    bar = np.zeros((40, 50), bool)
    bar[:, 20:22] = True
    masks = [annotation(rle.encode(bar), "sam")]
    whole = slic_parts(merge(masks, labels, 40, 50, OPTIONS))
    pieces = slic_parts(merge(masks, labels, 40, 50, RegionsOptions(split_fragments=True)))
    assert len(whole) == 1
    assert [a["area"] for a in pieces] == [40 * 20, 40 * 28]


MAPS = hnp.arrays(np.int64, (9, 11), elements=st.integers(0, 5))
COVERS = hnp.arrays(np.bool_, (3, 9, 11))


@given(MAPS, COVERS, st.integers(0, 12), st.floats(0, 1))
def test_rule_against_the_original_in_plain_numpy(labels, covers, min_pixels, min_proportion):
    masks = [annotation(rle.encode(m), "sam") for m in covers]
    options = RegionsOptions(min_pixels=min_pixels, min_proportion=min_proportion)
    got = [rle.decode(a["segmentation"]) for a in slic_parts(merge(masks, labels, 9, 11, options))]
    uncovered = ~covers.any(axis=0)
    expected = []
    for label in np.unique(labels[uncovered]):
        part = (labels == label) & uncovered
        if part.sum() >= min_pixels and part.sum() >= min_proportion * (labels == label).sum():
            expected.append(part)
    assert len(got) == len(expected)
    assert all((a == b).all() for a, b in zip(got, expected, strict=True))
