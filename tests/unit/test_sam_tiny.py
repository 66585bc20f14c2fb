import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from regionflow.sam_tiny import scenes
from regionflow.sam_tiny.data import Recipe, SceneSet, make_batch
from regionflow.sam_tiny.losses import decode, look_at_the_click, mask_losses
from regionflow.sam_tiny.network import SIDE, nearness, sam_tiny
from regionflow.sam_tiny.train import Plan, Training


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


def test_drawn_scenes_are_kept(source: SceneSet, tmp_path_factory: pytest.TempPathFactory) -> None:
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
    embedding, _ = sam.image_encoder.encode(batch.images, torch.as_tensor(batch.cells))
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
    plan = Plan(encoder_steps=1, mixed_steps=2, frame_steps=1, crops=2, frames=1, clicks=2, warm_up=2)

    def train(training: Training, steps: int) -> list[float]:
        return [float(training.advance(source).loss.detach()) for _ in range(steps)]

    whole = Training(plan, "cpu")
    losses = train(whole, 4)
    first = Training(plan, "cpu")
    assert train(first, 2) == losses[:2]
    first.save(tmp_path / "checkpoint.pt")
    second = Training(plan, "cpu")
    second.load(tmp_path / "checkpoint.pt")
    assert train(second, 2) == losses[2:]
    for a, b in zip(whole.mean.state_dict().values(), second.mean.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(SystemExit, match="other settings"):
        Training(Plan(1, 1, 1), "cpu").load(tmp_path / "checkpoint.pt")


def test_it_is_small() -> None:
    assert sum(p.numel() for p in sam_tiny().parameters()) <= 3_000_000


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_encoder_runs_in_half_precision(dtype: torch.dtype) -> None:
    encoder = sam_tiny().image_encoder.eval().to(dtype)
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 3, SIDE, SIDE, dtype=dtype)).shape == (1, 64, SIDE // 4, SIDE // 4)


def test_grouping_averages_what_no_edge_separates() -> None:
    cost = torch.zeros(1, 6)
    cost[0, 2] = 50.0  # between the third and the fourth cell
    weights = nearness(cost)[0]
    torch.testing.assert_close(weights, torch.block_diag(torch.full((3, 3), 1 / 3), torch.full((3, 3), 1 / 3)))
