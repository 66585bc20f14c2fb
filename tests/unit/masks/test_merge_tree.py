"""The merge tree: nested masks from greedy merging of neighbouring cells."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from helpers.scenes import photo
from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.masks import cells, merge_tree
from regionflow.masks.agglomerate import agglomerate
from regionflow.masks.cell_features import cell_features
from regionflow.masks.options import MergeTreeOptions

WEIGHTS = cells.Weights(border_weight=0.5, size_power=0.4, contact_power=0.2)


def images(least=1, most=24):
    """Random images: few colours, so that equal cells and long borders come up."""
    sizes = st.tuples(st.integers(least, most), st.integers(least, most))
    return st.builds(
        lambda size, seed, colours: np.random.default_rng(seed).integers(0, 256, (colours, 3), np.uint8)[
            np.random.default_rng(seed).integers(0, colours, size)
        ],
        sizes, st.integers(0, 10_000), st.integers(1, 6),
    )  # fmt: skip


def brute_force(labels, lab, weights, features=None):
    """Greedy merging that measures every pair of touching regions anew from the pixels: frozensets of cells."""
    regions = {i: labels == i for i in range(labels.max() + 1)}
    steps = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        contrast = np.sqrt(((lab[here].astype(float) - lab[there]) ** 2).sum(axis=2))
        steps.append((here, there, contrast))

    def border(a, b):
        length = total = 0.0
        for here, there, contrast in steps:
            across = (a[here] & b[there]) | (b[here] & a[there])
            length, total = length + across.sum(), total + contrast[across].sum()
        return length, total

    def distance(a, b):
        length, total = border(a, b)
        if not length:
            return np.inf
        apart = np.linalg.norm(lab[a].mean(axis=0, dtype=float) - lab[b].mean(axis=0, dtype=float))
        look = (1 - weights.border_weight) * apart + weights.border_weight * total / length
        if features is not None:
            u, v = features[a].sum(axis=0), features[b].sum(axis=0)
            cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
            look = (1 - weights.feature_weight) * look + weights.feature_weight * 50 * (1 - cosine)
        size = 2 / (1 / a.sum() + 1 / b.sum()) / labels.size
        contact = length / min(border(a, ~a)[0], border(b, ~b)[0])
        return look * size**weights.size_power * contact**-weights.contact_power

    merges, new = [], len(regions)
    while len(regions) > 1:
        d, i, j = min((distance(regions[i], regions[j]), i, j) for i, j in combinations(sorted(regions), 2))
        regions[new] = regions.pop(i) | regions.pop(j)
        merges.append((i, j, d))
        new += 1
    return merges


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_brute_force_merge(seed):
    rng = np.random.default_rng(seed)
    lab = rng.normal(50, 20, (14, 17, 3)).astype(np.float32)
    labels = cells.basins(lab, 0.8)
    merges = agglomerate(cells.cell_graph(labels, lab, lab), WEIGHTS)
    expected = brute_force(labels, lab, WEIGHTS)
    assert len(expected) > 10
    assert merges.children.tolist() == [[i, j] for i, j, _ in expected]
    np.testing.assert_allclose(merges.height, [d for *_, d in expected], rtol=1e-6)


def feature_map(image_size, seed=0, grid=(3, 4)):
    """Random features of 5 channels on a grid, the image padded into their frame."""
    geometry = Geometry(image_size, image_size, (0, 1), (image_size[0], image_size[1] + 3), grid)
    return FeatureMap(np.random.default_rng(seed).normal(0.3, 1, (5, *grid)).astype(np.float32), geometry)


@pytest.mark.parametrize("seed", range(4))
def test_with_features_it_is_the_brute_force_merge_of_upsampled_features(seed):
    rng = np.random.default_rng(seed)
    lab = rng.normal(50, 5, (14, 17, 3)).astype(np.float32)
    labels, features = cells.basins(lab, 0.8), feature_map((14, 17), seed)
    weights = replace(WEIGHTS, feature_weight=0.5)
    graph = replace(cells.cell_graph(labels, lab, lab), vectors=cell_features(labels, features, (14, 17)))
    rows, columns = (features.geometry.interpolation_matrix(axis) for axis in (0, 1))
    upsampled = np.einsum("yh,chw,xw->yxc", rows, features.features, columns)
    expected = brute_force(labels, lab, weights, upsampled)
    merges = agglomerate(graph, weights)
    assert merges.children.tolist() == [[i, j] for i, j, _ in expected]
    np.testing.assert_allclose(merges.height, [d for *_, d in expected], rtol=1e-6)
    assert merges.children.tolist() != agglomerate(replace(graph, vectors=None), WEIGHTS).children.tolist()


def test_features_part_what_colours_do_not():
    """Two halves of one colour whose features differ, on an image that is shrunk."""
    image = np.clip(np.random.default_rng(0).normal(120, 4, (96, 128, 3)), 0, 255).astype(np.uint8)
    halves = np.zeros((2, 6, 8), np.float32)
    halves[0, :, :4] = halves[1, :, 4:] = 1
    geometry = Geometry((96, 128), (96, 128), (0, 0), (96, 128), (6, 8))
    options = MergeTreeOptions(features="halves", max_side=64, max_masks=2)
    with_features = merge_tree.generate(image, options, FeatureMap(halves, geometry))
    left = np.zeros((96, 128), np.uint8)
    left[:, :64] = 1
    ious = coco.iou([a["segmentation"] for a in with_features], [coco.encode(np.asfortranarray(left))], [0])
    alone = merge_tree.generate(image, MergeTreeOptions(max_side=64, max_masks=2, pred_iou_thresh=0))
    by_colour = coco.iou([a["segmentation"] for a in alone], [coco.encode(np.asfortranarray(left))], [0])
    assert by_colour.max() < 0.8
    assert ious.max() > 0.95


def test_features_that_are_missing_or_of_another_image_are_refused():
    options = MergeTreeOptions(features="vit")
    with pytest.raises(UserError, match="features: vit needs the feature map"):
        merge_tree.generate(photo(1), options)
    with pytest.raises(ValueError, match="not one of an image of 120 x 96"):
        merge_tree.generate(photo(1), options, feature_map((14, 17)))


@given(images())
@settings(max_examples=40, deadline=None)
def test_every_two_masks_are_nested_or_disjoint(image):
    made = merge_tree.generate(image, MergeTreeOptions(min_size=1, pred_iou_thresh=0.0, cell_distance=0.0))
    masks = [rle.decode(a["segmentation"]) for a in made]
    for a, b in combinations(masks, 2):
        both = (a & b).sum()
        assert both in (0, a.sum(), b.sum())
        assert both / (a | b).sum() <= 0.9


@given(images(2))
@settings(max_examples=25, deadline=None)
def test_the_tree_agrees_with_its_label_map(image):
    tree = merge_tree.build(image, MergeTreeOptions(cell_distance=0.0))
    nodes = np.arange(len(tree))
    for node, mask in zip(nodes, tree.rles(nodes), strict=True):
        pixels = np.isin(tree.labels, tree.cells_of(node))
        assert mask == rle.encode(pixels)
        assert (tree.mask(node) == pixels).all()
        assert tree.area[node] == pixels.sum()
        across = (pixels[1:] != pixels[:-1]).sum() + (pixels[:, 1:] != pixels[:, :-1]).sum()
        assert tree.perimeter[node] == across
    assert tree.mask(tree.root).all()
    (at,) = tree.nodes_at([(image.shape[1] - 0.5, 0.5)])
    assert at == [v for v in sorted(nodes, key=lambda v: (tree.area[v], v)) if tree.mask(v)[0, -1]]
    assert tree.within(tree.root, nodes).all()


def test_points_outside_are_refused():
    tree = merge_tree.build(photo(1), MergeTreeOptions())
    with pytest.raises(ValueError, match="not in an image of 120 x 96"):
        tree.nodes_at([(120.0, 3.0)])


def test_merging_in_rounds_adds_up_and_leaves_no_near_pair():
    lab = cells.to_lab(photo(2))
    before = cells.cell_graph(cells.basins(lab, 0.6), lab, lab)
    after = cells.merge_similar(before, WEIGHTS, 1.0)
    assert len(after) < len(before) / 2
    again = cells.cell_graph(after.labels, lab, lab)
    for field in ("area", "sums", "first", "second", "length", "contrast"):
        np.testing.assert_allclose(getattr(after, field), getattr(again, field), rtol=1e-6)
    still = cells._mutually_nearest(after, cells.distances(after, WEIGHTS), 1.0)
    assert still.sum() <= len(after) / 99


def test_objects_are_there_and_the_likeliest_first():
    image = np.full((96, 128, 3), 90.0)
    image[10:60, 20:70] = (200, 60, 40)
    image[25:45, 35:55] = (220, 110, 60)
    image[50:90, 80:120] = (40, 90, 210)
    image = np.clip(image + np.random.default_rng(0).normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    truth = np.zeros((3, 96, 128), np.uint8)
    truth[0, 10:60, 20:70] = 1
    truth[1, 25:45, 35:55] = 1
    truth[2, 50:90, 80:120] = 1
    made = merge_tree.generate(image, MergeTreeOptions())
    assert [a["predicted_iou"] for a in made] == sorted((a["predicted_iou"] for a in made), reverse=True)
    ious = coco.iou([a["segmentation"] for a in made[:8]], [coco.encode(np.asfortranarray(t)) for t in truth], [0] * 3)
    assert (ious.max(axis=0) > 0.95).all()
    for a in made:
        (x, y), = a["point_coords"]  # fmt: skip
        assert rle.decode(a["segmentation"])[int(y), int(x)]
        assert a["area"] == coco.area(a["segmentation"]) and 0 <= a["stability_score"] <= 1


def test_it_is_the_same_every_time_and_options_limit_the_masks():
    made = merge_tree.generate(photo(3), MergeTreeOptions())
    assert made == merge_tree.generate(photo(3), MergeTreeOptions())
    assert merge_tree.generate(photo(3), MergeTreeOptions(max_masks=5)) == made[:5]
    assert merge_tree.generate(photo(3), MergeTreeOptions(max_masks=0)) == []
    likely = merge_tree.generate(photo(3), MergeTreeOptions(pred_iou_thresh=0.3))
    assert likely == [a for a in made if a["predicted_iou"] >= 0.3] and 0 < len(likely) < len(made)


def test_large_images_are_shrunk_and_their_masks_stay_nested():
    large = np.repeat(np.repeat(photo(4), 4, axis=0), 4, axis=1)
    made = merge_tree.generate(large, MergeTreeOptions(max_side=128))
    assert made and {tuple(a["segmentation"]["size"]) for a in made} == {(384, 480)}
    for a, b in combinations(made, 2):
        both = coco.area(coco.merge([a["segmentation"], b["segmentation"]], intersect=True))
        assert both in (0, a["area"], b["area"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2000), (2, 2)])
def test_odd_shapes_work(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for a in merge_tree.generate(image, MergeTreeOptions(min_size=1)):
        assert a["segmentation"]["size"] == list(shape)


def test_a_uniform_image_is_one_mask():
    assert [a["area"] for a in merge_tree.generate(np.zeros((50, 60, 3), np.uint8), MergeTreeOptions())] == [3000]
