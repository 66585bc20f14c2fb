from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from regionflow.base.errors import UserError
from regionflow.images import scenes
from regionflow.sam.tiny import SIDE, Grouping, TinyEncoder, sam_tiny, spread
from regionflow.sam.upscaling import hyper_logits
from regionflow.train.sam_tiny.data import Recipe, SceneSet, make_batch
from regionflow.train.sam_tiny.decoding import decode, look_at_the_click
from regionflow.train.sam_tiny.losses import mask_losses
from regionflow.train.sam_tiny.train import PHASES, RATE, Plan, Training


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SceneSet:
    return SceneSet(tmp_path_factory.mktemp("scenes"), count=8, workers=1, chunk=4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 31))
def test_a_scene_is_the_same_for_the_same_seed_and_its_parts_lie_in_wholes(seed: int) -> None:
    scene = scenes.draw(seed)
    again = scenes.draw(seed)
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.parts, again.parts)
    for labels in (scene.wholes, scene.parts):
        assert np.array_equal(np.unique(labels), np.arange(1, labels.max() + 1))
        assert label(labels, connectivity=1).max() == labels.max()
    pairs = np.unique(np.stack([scene.parts.ravel(), scene.wholes.ravel()]), axis=1)
    assert pairs.shape[1] == scene.parts.max()


def test_true_regions_are_all_wholes_and_parts_of_some_size_without_repetition() -> None:
    scene = scenes.draw(5)
    regions = scene.regions(least=64)
    assert regions.sum((1, 2)).min() >= 64
    assert len({r.tobytes() for r in regions}) == len(regions)
    for labels in (scene.wholes, scene.parts):
        for i in np.flatnonzero(np.bincount(labels.ravel()) >= 64):
            assert (regions == (labels == i)).all((1, 2)).any()


def test_drawn_scenes_are_kept(source: SceneSet) -> None:
    scene = scenes.draw(6)
    assert np.array_equal(source[6][..., :3], scene.image)
    assert np.array_equal(source[6][..., 3], scene.wholes)
    assert np.array_equal(source[6][..., 4], scene.parts)


@pytest.mark.parametrize("side", [128, SIDE])
def test_a_batch_marks_what_was_clicked(source: SceneSet, side: int) -> None:
    batch = make_batch(source, (0, 1), Recipe(3, side, 5, 0.4))
    again = make_batch(source, (0, 1), Recipe(3, side, 5, 0.4))
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.points, again.points)
    assert batch.images.shape == (3, 3, side, side)
    assert batch.targets.shape == (15, 2, side * side)
    targets = batch.targets.view(3, 5, 2, side * side)
    column, row = batch.points.long().unbind(2)
    clicked = targets.gather(3, (row * side + column)[..., None, None].expand(-1, -1, 2, 1))
    assert (clicked == 1).all()
    assert (targets[:, :, 1] <= targets[:, :, 0]).all()  # a part lies in its whole


@pytest.mark.parametrize("side", [128, SIDE])
def test_decoder_for_training_is_segment_anythings(source: SceneSet, side: int) -> None:
    torch.manual_seed(0)
    sam = sam_tiny()
    look_at_the_click(sam)
    sam.eval().requires_grad_(False)
    batch = make_batch(source, (0, 2), Recipe(2, side, 4, 0.4))
    embedding, _ = sam.image_encoder.encode(batch.images, batch.cells)
    logits, predicted = decode(sam, embedding, batch)
    frame = sam.prompt_encoder.get_dense_pe()
    height, width = embedding.shape[2:]
    sam.prompt_encoder.image_embedding_size = (height, width)
    for i, (y, x) in enumerate(batch.cells.tolist()):
        points = batch.points[i][:, None] + torch.tensor([4.0 * x, 4.0 * y]) - 0.5
        sparse, dense = sam.prompt_encoder(points=(points, torch.ones(4, 1)), boxes=None, masks=None)
        theirs, iou = sam.mask_decoder.predict_masks(
            embedding[i : i + 1], frame[:, :, y : y + height, x : x + width], sparse, dense
        )
        mine = slice(4 * i, 4 * i + 4)
        torch.testing.assert_close(logits[mine], theirs.flatten(2), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(predicted[mine], iou, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_are_the_same_with_and_without_gradients(dtype: torch.dtype) -> None:
    grid, generator = (3, 5), torch.Generator().manual_seed(0)
    upscaled = torch.rand(2, 15, 4, 4, 8, generator=generator).to(dtype)
    hyper = torch.rand(2, 3, 8, generator=generator)
    plain = hyper_logits(upscaled, hyper, grid)
    assert torch.equal(plain, hyper_logits(upscaled.clone().requires_grad_(), hyper, grid))
    token, quarter, pixel = 7, 2, 1  # token (1, 2), its lower left quarter, the upper right pixel of that
    expected = hyper.to(dtype) @ upscaled[:, token, quarter, pixel, :, None]
    torch.testing.assert_close(plain[:, :, 4 + 2, 8 + 1], expected[..., 0])


def test_a_perfect_mask_has_no_loss_and_padding_does_not_count() -> None:
    target = torch.zeros(1, 1, 16)
    target[..., :6] = 1
    valid = torch.ones(1, 16)
    valid[:, 12:] = 0
    perfect = torch.where(target > 0, 20.0, -20.0)
    perfect[..., 12:] = 20.0  # what is drawn in the padding
    loss, iou = mask_losses(perfect, target, valid, balance=0.5)
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert iou.item() == 1
    _, half = mask_losses(torch.where(torch.arange(16) < 3, 20.0, -20.0)[None, None], target, valid, balance=0.5)
    assert half.item() == 0.5


def test_training_that_was_stopped_goes_on_as_if_it_was_not(source: SceneSet, tmp_path) -> None:
    plan = Plan(tuple(replace(PHASES[i], steps=n, clicks=(2, 2)) for i, n in ((0, 2), (1, 1), (2, 3))), 2, 1, 2)

    def train(checkpoint: Path, steps: int) -> tuple[Training, list[float]]:
        """Up to so many steps, with a row of the record for each."""
        training = Training(plan, "cpu")
        loop = training.loop(checkpoint)
        loop.run(steps, partial(training.advance, source), dict, every=1)
        return training, [row["loss"] for row in loop.rows]

    whole, losses = train(tmp_path / "whole.pt", plan.steps)
    for steps in (2, 5, 6):
        stopped, again = train(tmp_path / "checkpoint.pt", steps)
        assert again == losses[:steps]
    for a, b in zip(whole.mean.state_dict().values(), stopped.mean.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(UserError, match="other settings"):
        Training(Plan(), "cpu").loop(tmp_path / "checkpoint.pt")


def test_stages_follow_each_other() -> None:
    first, second = replace(PHASES[0], steps=100, rate=(1.0, 0.6)), replace(PHASES[2], steps=50)
    plan = Plan((first, second), warm_up=10)
    assert plan.steps == 150
    assert [plan.schedule(step).decoder for step in (0, 99, 100, 149)] == [False, False, True, True]
    assert plan.rate(0) == pytest.approx(RATE / 10)
    assert plan.rate(50) == pytest.approx(RATE * 0.8)
    assert plan.rate(100) == pytest.approx(RATE * second.rate[0] / 10)
    with pytest.raises(IndexError, match="150 steps"):
        plan.phase(150)


def test_it_is_small() -> None:
    assert sum(p.numel() for p in sam_tiny().parameters()) <= 3_000_000


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_encoder_runs_in_half_precision(dtype: torch.dtype) -> None:
    encoder = sam_tiny().image_encoder.eval().to(dtype)
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 3, SIDE, SIDE, dtype=dtype)).shape == (1, 64, SIDE // 4, SIDE // 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2]), st.integers(0, 1 << 31))
def test_means_fade_with_the_product_of_the_links_on_the_way(height: int, width: int, dim: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, links = torch.rand(2, 2, height, width, 3, generator=generator, dtype=torch.double)
    found = spread(x, links, dim)
    x, links, found = (t.movedim(dim, 0) for t in (x, links, found))
    for i in range(len(x)):
        expected = sum(links[min(i, j) : max(i, j)].prod(0) * x[j] for j in range(len(x)))
        torch.testing.assert_close(found[i], expected)


@pytest.mark.parametrize("dim", [1, 2])
def test_gradients_of_means_are_those_of_finite_differences(dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, links = torch.rand(2, 2, 3, 4, 2, generator=generator, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda a, b: spread(a, b, dim), (x.requires_grad_(), links.requires_grad_()))


def test_grouping_averages_what_no_edge_separates() -> None:
    grouping = Grouping(8, 8).eval()
    edges = grouping.edges[-1]
    torch.nn.init.zeros_(edges.weight)
    torch.nn.init.constant_(edges.bias, -30.0)
    with torch.inference_mode():
        value = grouping.value(torch.rand(1, 8, 4, 6))
        grouping.value = torch.nn.Identity()
        grouping.out = torch.nn.Identity()
        x = value.clone()
        found, _ = grouping(x, torch.zeros(1, 24, 4, 6))
    torch.testing.assert_close(found, value.mean((2, 3), keepdim=True).expand_as(found))


def test_crops_are_told_where_they_lie() -> None:
    torch.manual_seed(0)
    encoder = TinyEncoder().eval()
    crop = torch.zeros(1, 3, 128, 128)
    with torch.inference_mode():
        here, there = (encoder.encode(crop, torch.tensor([cells]))[0] for cells in ([0, 0], [16, 8]))
    assert not torch.allclose(here, there)
