"""The merge tree as teacher: nested regions that hold the patch, for every patch."""

import numpy as np
import pytest
from pydantic import ValidationError
from skimage import data

from helpers import nested
from regionflow.formats import rle
from regionflow.formats.parts import PartMasks
from regionflow.masks.options import MergeTreeOptions
from regionflow.parts.merge_tree import MergeTreeTeacher
from regionflow.parts.options import TeacherOptions
from regionflow.parts.pixels import square
from regionflow.parts.targets import members

TREE = MergeTreeOptions()


def pixels(parts: PartMasks) -> np.ndarray:
    """Masks [P, L, S, S]."""
    return np.stack([rle.decode(mask) for mask in parts.masks])[parts.index]


@pytest.mark.parametrize("levels", ["persistence", [2.0, 4.0, 8.0]])
def test_every_patch_has_three_regions_that_hold_it_and_each_other(levels: str | list[float]) -> None:
    teacher = MergeTreeTeacher(TeacherOptions(grid=6, merge_levels=levels), TREE)
    parts = teacher.masks(square(data.coffee(), 96))
    masks = pixels(parts)
    assert masks.shape == (36, 3, 96, 96)
    assert (masks[:, :-1] <= masks[:, 1:]).all()
    inside = members(parts)
    assert all(inside[parts.index[patch], patch].all() for patch in range(36))
    assert len({mask["counts"] for mask in parts.masks}) == len(parts.masks)
    assert ((parts.predicted_iou >= 0) & (parts.predicted_iou <= 1)).all()
    assert parts.source == "merge_tree"


def test_kept_levels_are_those_of_all_and_only_their_masks() -> None:
    image = square(data.coffee(), 96)
    every, kept = (
        MergeTreeTeacher(TeacherOptions(grid=6, keep_levels=levels), TREE).masks(image)
        for levels in ([0, 1, 2], [1, 2])
    )
    assert (pixels(kept) == pixels(every)[:, 1:]).all()
    assert set(np.unique(kept.index)) == set(range(len(kept.masks)))
    assert len(kept.masks) < len(every.masks)
    assert (kept.predicted_iou == every.predicted_iou[:, 1:]).all()
    assert (kept.stability_score == every.stability_score[:, 1:]).all()
    with pytest.raises(ValidationError, match="the levels must grow"):
        TeacherOptions(keep_levels=[2, 1])


def test_levels_by_distance_are_partitions_of_the_patches() -> None:
    """Two patches have the same region or disjoint ones."""
    teacher = MergeTreeTeacher(TeacherOptions(grid=6, merge_levels=[1.0, 3.0, 6.0]), TREE)
    parts = teacher.masks(square(data.chelsea(), 96))
    for level in range(3):
        used = [rle.decode(parts.masks[row]) for row in np.unique(parts.index[:, level])]
        assert np.sum(used, axis=0).max() == 1


def test_it_finds_the_objects_of_a_drawn_scene() -> None:
    ious = []
    for seed in range(6):
        image, labels = nested.draw(seed, 96)
        truth, parts = nested.true_parts(labels, 6), MergeTreeTeacher(TeacherOptions(grid=6), TREE).masks(image)
        true_masks, ours = pixels(truth), pixels(parts)
        union = (true_masks[:, 2, None] | ours).sum((2, 3))
        ious.append(((true_masks[:, 2, None] & ours).sum((2, 3)) / union).max(1).mean())
    assert np.mean(ious) > 0.7


def test_a_flat_image_is_one_region() -> None:
    parts = MergeTreeTeacher(TeacherOptions(grid=2), TREE).masks(np.full((32, 32, 3), 90, np.uint8))
    assert (parts.index == 0).all()
    assert rle.area(parts.masks[0]) == 32 * 32


def test_distances_must_grow() -> None:
    with pytest.raises(ValueError, match="must grow"):
        TeacherOptions(merge_levels=[2.0, 1.0, 4.0])


def test_a_square_larger_than_the_trees_own_side_gives_masks_of_the_square() -> None:
    teacher = MergeTreeTeacher(TeacherOptions(grid=4), TREE.model_copy(update={"max_side": 48}))
    parts = teacher.masks(square(data.coffee(), 96))
    assert {tuple(mask["size"]) for mask in parts.masks} == {(96, 96)}
