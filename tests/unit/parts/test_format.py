"""Files of part masks and targets: what is read is what was written, and what is damaged says so."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.signed import change_json
from regionflow.base.errors import BadFile, UserError
from regionflow.formats import parts as parts_format
from regionflow.formats import regions, rle
from regionflow.formats.parts import EMPTY, PartMasks, PartTargets
from regionflow.formats.regions import Generator

MADE_BY = Generator("parts_masks", {"grid": 2})


def test_part_masks_that_lost_their_end_or_a_bit_are_named(tmp_path):
    path = tmp_path / "a.json.gz"
    parts_format.write_part_masks(path, "a", "a.jpg", some_parts(), MADE_BY)
    whole = path.read_bytes()
    for broken in (whole[:-9], whole[:40] + bytes([whole[40] ^ 4]) + whole[41:], whole + b"more"):
        path.write_bytes(broken)
        with pytest.raises(BadFile, match=re.escape(str(path))):
            parts_format.read_part_masks(path)


def some_parts() -> PartMasks:
    whole = np.ones((8, 8), bool)
    half = whole & (np.arange(8) < 4)
    index = np.array([[0, 0, 1], [EMPTY, 0, 1], [0, 1, 1], [EMPTY, EMPTY, 0]])
    rng = np.random.default_rng(0)
    return PartMasks(8, [rle.encode(half), rle.encode(whole)], index, rng.random((4, 3)), rng.random((4, 3)), "sam")


def test_part_masks_are_read_as_written_and_are_a_mask_file_too(tmp_path: Path) -> None:
    parts, path = some_parts(), tmp_path / "a.json"
    parts_format.write_part_masks(path, "a", "a.jpg", parts, MADE_BY)
    again = parts_format.read_part_masks(path)
    assert again.masks == parts.masks
    assert (again.size, again.grid, again.source, again.error) == (8, 2, "sam", None)
    np.testing.assert_array_equal(again.index, parts.index)
    np.testing.assert_allclose(again.predicted_iou, parts.predicted_iou, atol=1e-6)
    file = regions.read_regions(path)
    assert [a["area"] for a in file.annotations] == [32, 64]
    assert file.annotations[0]["predicted_iou"] == pytest.approx(parts.predicted_iou[parts.index == 0].max(), abs=1e-6)


def test_the_file_of_an_unreadable_image_says_why(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    parts_format.write_part_masks(path, "bad", "bad.jpg", PartMasks.none("truncated"), MADE_BY)
    again = parts_format.read_part_masks(path)
    assert (again.error, again.masks, again.grid) == ("truncated", [], 0)


@pytest.mark.parametrize("change", [{"index": [[7]]}, {"grid": 3}, {"predicted_iou": None}])
def test_damaged_part_masks_name_the_file(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "a.json"
    parts_format.write_part_masks(path, "a", "a.jpg", some_parts(), MADE_BY)
    change_json(path, lambda content: content["parts"].update(change))
    with pytest.raises(UserError, match=str(path)):
        parts_format.read_part_masks(path)


def test_a_plain_mask_file_is_not_a_file_of_part_masks(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    regions.write_regions(path, regions.ImageInfo("a", "a.jpg", 8, 8), [], MADE_BY)
    with pytest.raises(UserError, match="part masks"):
        parts_format.read_part_masks(path)


def test_targets_are_read_as_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = PartTargets(rng.random((2, 5)).astype(np.float16), some_parts().index, rng.random((2, 4)) > 0.5)
    parts_format.write_part_targets(tmp_path / "a.h5", "a", made, {"stage": "parts_targets"})
    again = parts_format.read_part_targets(tmp_path / "a.h5")
    with pytest.raises(UserError, match="it is of image 'a', not of 'b'"):
        parts_format.read_part_targets(tmp_path / "a.h5", "b")
    np.testing.assert_array_equal(again.dense, made.dense)
    np.testing.assert_array_equal(again.members, made.members)
    assert again.embeddings.dtype == np.float16


def test_targets_that_point_nowhere_or_are_cut_short_are_refused(tmp_path: Path) -> None:
    path, member = tmp_path / "a.h5", np.ones((1, 1), bool)
    with pytest.raises(ValueError, match="names embeddings that are not there"):
        parts_format.write_part_targets(
            path, "a", PartTargets(np.zeros((1, 5), np.float16), np.array([[1]]), member), {}
        )
    parts_format.write_part_targets(path, "a", PartTargets(np.zeros((1, 5), np.float16), np.array([[0]]), member), {})
    with h5py.File(path, "a") as file:
        file["index"][...] = 3
    with pytest.raises(UserError, match=str(path)):
        parts_format.read_part_targets(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=str(path)):
        parts_format.read_part_targets(path)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), max_size=8))
def test_distinct_masks_give_every_mask_back(pixels: list[list[bool]]) -> None:
    masks = [rle.encode(np.array(mask).reshape(2, 3)) for mask in pixels]
    kept, index = parts_format.distinct(masks)
    assert len({mask["counts"] for mask in kept}) == len(kept)
    for mask, row in zip(masks, index, strict=True):
        assert (row == EMPTY) == (rle.area(mask) == 0)
        assert row == EMPTY or kept[row] == mask
