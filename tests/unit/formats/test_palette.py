"""Label maps: the smallest mask wins, whatever the order; palettes and overlays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regionflow.formats import rle
from regionflow.formats.palette import OKABE_ITO, palette
from regionflow.formats.rle import to_label_map
from regionflow.report.panels import overlay


@given(hnp.arrays(np.bool_, (4, 6, 7)), st.permutations(range(4)))
def test_every_pixel_has_the_value_of_the_smallest_mask_that_holds_it(masks, order):
    encoded = [rle.encode(masks[i]) for i in order]
    values = [i + 1 for i in order]
    found = to_label_map(encoded, values, 6, 7)
    areas = masks.sum((1, 2))
    for y, x in np.ndindex(6, 7):
        holding = [i for i in range(4) if masks[i, y, x]]
        if holding:
            assert areas[found[y, x] - 1] == min(areas[i] for i in holding)
        else:
            assert found[y, x] == 0


def test_of_equal_areas_the_earlier_mask_wins():
    full = rle.encode(np.ones((2, 2), bool))
    assert (to_label_map([full, full], [5, 9], 2, 2) == 5).all()


def test_no_masks_is_an_empty_map():
    assert (to_label_map([], [], 3, 2) == np.zeros((3, 2))).all()


def test_the_palette_has_distinct_colours_and_starts_with_okabe_ito():
    colours = palette(84)
    assert len({tuple(c) for c in colours.tolist()}) == 84
    assert (colours[:7] == OKABE_ITO).all()


def test_the_first_seven_colours_are_those_that_were_published():
    """Okabe and Ito 2008, without black."""
    published = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"]
    assert [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in palette(7).tolist()] == published


def test_the_colours_of_many_clusters_are_far_apart_and_do_not_depend_on_their_number():
    """Shades of seven hues, as once, were as near as 13 of 255 with 42 colours."""
    colours = palette(42).astype(float)
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert distance[~np.eye(42, dtype=bool)].min() > 35
    for n in (1, 7, 8, 200, 600):
        assert (palette(n)[:42] == palette(42)[:n]).all()
    assert len({tuple(colour) for colour in palette(600).tolist()}) > 590


def test_overlay_leaves_unlabelled_pixels_alone():
    image = np.full((8, 8, 3), 100, np.uint8)
    labels = np.zeros((8, 8), int)
    labels[2:6, 2:6] = 1
    out = overlay(image, labels, palette(1))
    assert (out[labels == 0] == 100).all()
    assert (out[3, 3] != 100).any()
