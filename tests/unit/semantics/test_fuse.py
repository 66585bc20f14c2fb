import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from regionflow.formats import rle
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.semantics.fuse import (
    FusionOptions,
    LabelScores,
    dense_labels,
    eroded,
    eroded_rle,
    fuse,
    looked_at,
    normalised,
    region_means,
)
from regionflow.semantics.tables import ClassTable

H, W = 40, 60


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[top : top + height, left : left + width] = True
    return mask


WHOLE, PART = box(5, 5, 30, 40), box(10, 10, 15, 15)
MASKS = [rle.encode(WHOLE), rle.encode(PART)]
REGIONS = [{"region_id": name, "segmentation": mask} for name, mask in zip(["whole", "part"], MASKS, strict=True)]


def test_the_smallest_region_that_holds_a_pixel_names_it():
    scores = LabelScores(regions=np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]], np.float32))
    classes = fuse(scores, REGIONS, (H, W), FusionOptions())
    assert classes.map[6, 6] == 1 and classes.map[12, 12] == 2 and classes.map[0, 0] == 0
    assert [(r.region_id, r.value, r.decided_by) for r in classes.regions] == [
        ("whole", 1, "regions"),
        ("part", 2, "regions"),
    ]
    assert classes.regions[1].top == [(2, pytest.approx(0.8)), (1, pytest.approx(0.2))]
    assert classes.shares == {"regions": 0.5, "dense": 0.0, "none": 0.5}


def test_none_goes_to_the_vote_of_the_dense_map_and_uncovered_pixels_take_it():
    dense = np.zeros((2, H, W), np.float32)
    dense[0, :, :30], dense[1, :, 30:] = 1, 1
    scores = LabelScores(regions=np.array([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]], np.float32), dense=dense)
    classes = fuse(scores, REGIONS, (H, W), FusionOptions())
    # 25 of the whole's 40 columns lie in the left half.
    assert (classes.regions[0].value, classes.regions[0].decided_by) == (1, "dense")
    assert classes.map[0, 0] == 1 and classes.map[0, 59] == 2
    assert sum(classes.shares.values()) == pytest.approx(1)
    alone = fuse(scores, REGIONS, (H, W), FusionOptions(vote=False, fill=False))
    assert (alone.regions[0].value, alone.regions[0].decided_by, alone.map[0, 0]) == (0, "none", 0)


def test_a_dense_map_alone_names_regions_by_its_mean_inside_their_border():
    dense = np.zeros((2, H, W), np.float32)
    dense[0] = 0.6
    dense[:, 10:25, 10:25] = np.array([0.3, 0.6])[:, None, None]
    classes = fuse(LabelScores(dense=dense), REGIONS, (H, W), FusionOptions())
    assert [r.value for r in classes.regions] == [1, 2]
    assert classes.regions[1].score == pytest.approx(0.6, abs=1e-3)


def test_a_low_score_does_not_win():
    scores = LabelScores(regions=np.array([[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]], np.float32))
    classes = fuse(scores, REGIONS, (H, W), FusionOptions(min_score=0.6))
    assert [r.value for r in classes.regions] == [0, 1]
    assert classes.regions[0].top[0] == (1, pytest.approx(0.5))


def test_a_table_adds_scores_or_renames_the_likeliest():
    table = ClassTable(["animal", "car"], np.array([0, 0, 1]))
    row = np.array([[0.3, 0.3, 0.4, 0]], np.float32)
    added = fuse(LabelScores(regions=row), REGIONS[:1], (H, W), FusionOptions(), table)
    renamed = fuse(LabelScores(regions=row), REGIONS[:1], (H, W), FusionOptions(merge="labels"), table)
    assert (added.regions[0].value, renamed.regions[0].value) == (1, 2)
    assert added.regions[0].top == [(1, pytest.approx(0.6)), (2, pytest.approx(0.4))]


def test_no_regions_and_no_dense_map():
    none = np.zeros((0, 3), np.float32)
    assert not fuse(LabelScores(regions=none), [], (H, W), FusionOptions()).map.any()
    dense = np.ones((2, 4, 6), np.float32) * np.array([0.2, 0.8], np.float32)[:, None, None]
    filled = fuse(LabelScores(dense=dense), [], (H, W), FusionOptions())
    assert (filled.map == 2).all() and filled.regions == []
    with pytest.raises(ValueError, match="2 rows of scores for 1"):
        fuse(LabelScores(regions=np.zeros((2, 3), np.float32)), REGIONS[:1], (H, W), FusionOptions())


@pytest.mark.parametrize("shape", [(4, 6), (7, 5), (40, 60), (80, 90)])
def test_dense_labels_are_those_of_torch_interpolation(shape, monkeypatch):
    monkeypatch.setattr("regionflow.semantics.fuse._BLOCK", 5 * W * 3)
    dense = normalised(np.random.default_rng(0).random((5, *shape)).astype(np.float32) * 0.3)
    full = interpolate(torch.from_numpy(dense)[None], (H, W), mode="bilinear", align_corners=False)[0].numpy()
    with_none = np.concatenate([1 - full.sum(0, keepdims=True), full])
    agree = dense_labels(dense, H, W) == with_none.argmax(0)
    # Rounding may turn what is equal to seven digits.
    assert agree.mean() > 0.999
    assert set(np.unique(dense_labels(dense, H, W, min_score=2.0))) == {0}


def test_normalised_scores_leave_the_rest_to_none():
    scores = np.array([[[0.5, 4.0]], [[0.2, 4.0]]], np.float32)
    np.testing.assert_allclose(normalised(scores), [[[0.5, 0.5]], [[0.2, 0.5]]])


def test_region_means_are_those_of_the_upsampled_map():
    dense = np.random.default_rng(1).random((3, 5, 6)).astype(np.float32) / 3
    full = interpolate(torch.from_numpy(dense)[None], (H, W), mode="bilinear", align_corners=False)[0].numpy()
    rows = region_means(dense, [*MASKS, rle.encode(np.zeros((H, W), bool))], (H, W))
    np.testing.assert_allclose(rows[0, :3], full[:, WHOLE].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert rows[2].tolist() == [0, 0, 0, 1]


AWKWARD = [(0, 0, 12, 60), (3, 3, 14, 14), (9, 9, 4, 30), (0, 0, 40, 60)]


def published(mask: np.ndarray) -> np.ndarray:
    """The SAM + SEEM pipeline's rule, on the whole image."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    inner = cv2.erode(mask.astype(np.uint8), kernel, iterations=1)
    if inner.sum() == 0:
        return mask
    if inner.sum() / mask.sum() < 0.3:
        inner = cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)), iterations=1)
    return inner.astype(bool)


@pytest.mark.parametrize("mask", [WHOLE, PART, *(box(*where) for where in AWKWARD)])
def test_erosion_is_the_published_rule_also_near_the_edge_of_the_image(mask):
    assert (eroded(mask) == published(mask)).all()
    assert (rle.decode(eroded_rle(rle.encode(mask))) == published(mask)).all()


def test_the_visible_part_of_a_region_excludes_smaller_ones_and_a_hidden_region_keeps_its_mask():
    hidden = [rle.encode(PART), rle.encode(box(10, 10, 15, 8)), rle.encode(box(10, 18, 15, 7))]
    seen = looked_at(hidden, H, W, FusionOptions(visible=True, erode=False))
    assert seen == [hidden[0], hidden[1], hidden[2]]
    whole, part = looked_at(MASKS, H, W, FusionOptions(visible=True, erode=False))
    assert (rle.decode(whole) == (WHOLE & ~PART)).all() and (rle.decode(part) == PART).all()


def test_more_classes_than_16_bits_hold_are_told_apart(tmp_path):
    count = 70_000
    rows, dense = np.zeros((2, count + 1), np.float32), np.zeros((count, 2, 2), np.float32)
    rows[0, 66_000], rows[1, count - 1], dense[65_536] = 1, 1, 1
    table = ClassTable([f"t{i}" for i in range(count)], np.arange(count)[::-1].copy())
    fused = fuse(LabelScores(regions=rows, dense=dense), REGIONS, (H, W), FusionOptions())
    assert [region.value for region in fused.regions] == [66_001, count]
    assert (fused.map[6, 6], fused.map[12, 12], fused.map[0, 0]) == (66_001, count, 65_537)
    write_label_map(tmp_path / "a.png", fused.map, "a")
    assert np.array_equal(read_label_map(tmp_path / "a.png", "a", (H, W)), fused.map)
    assert table.merge_labels(fused.map)[0, 0] == count - 65_536
