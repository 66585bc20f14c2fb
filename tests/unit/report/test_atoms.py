"""One map of atoms says the same as a mask per region."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from regionflow.formats import rle
from regionflow.report.atoms import atoms_of, visible_points

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def drawn(draw):
    """Masks of one size; none is empty."""
    height, width = draw(SIZES)
    count = draw(st.integers(0, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    masks = [rng.random((height, width)) < rng.random() for _ in range(count)]
    return height, width, [mask for mask in masks if mask.any()]


def own(atoms, region):
    return np.isin(atoms.ids, [i + 1 for i, stack in enumerate(atoms.stacks) if region in stack])


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_the_atoms_of_a_region_are_its_mask(case):
    height, width, masks = case
    encoded = [rle.encode(mask) for mask in masks]
    atoms = atoms_of(encoded, (height, width), (height, width))
    assert all((own(atoms, i) == mask).all() for i, mask in enumerate(masks))
    assert (atoms.ids == 0).sum() == (~np.any([np.zeros((height, width), bool), *masks], axis=0)).sum()


@settings(max_examples=60, deadline=None)
@given(drawn(), SIZES)
def test_on_a_coarser_grid_every_region_keeps_a_pixel_and_smaller_ones_come_first(case, page):
    height, width, masks = case
    page = min(page[0], height), min(page[1], width)
    encoded = [rle.encode(mask) for mask in masks]
    atoms = atoms_of(encoded, (height, width), page)
    assert {region for stack in atoms.stacks for region in stack} == set(range(len(masks)))
    for stack in atoms.stacks:
        assert stack == sorted(stack, key=lambda i: (masks[i].sum(), i))


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_a_visible_point_means_its_region_and_only_hidden_regions_have_none(case):
    height, width, masks = case
    encoded = [rle.encode(mask) for mask in masks]
    owners = rle.to_label_map(encoded, range(1, len(masks) + 1), height, width)
    for i, point in enumerate(visible_points(encoded, (height, width))):
        assert (point is None) == (i + 1 not in owners)
        if point is not None:
            assert owners[point[1], point[0]] == i + 1
