"""The SEEM network against the original's own output.

data/seem.safetensors was made once by running the public code of the SAM + SEEM pipeline (fremk, commit 2dc85b3, with
stand-ins for detectron2's convolution and image list) with random weights of a small size: the weights under the
official names, an image, tokens of seven classes, and what the original gives for the plain call and three strokes.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.pretend_card import pretend
from regionflow.formats import rle
from regionflow.semantics import seem, seem_checkpoint
from regionflow.semantics.seem import SeemLabeler, points_of
from regionflow.semantics.seem_checkpoint import CheckpointError
from regionflow.semantics.seem_network import Predictor, Seem, SeemSize

TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(Path(__file__).parent / "data" / "seem.safetensors")


@pytest.fixture(scope="module")
def checkpoint(golden, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("seem") / "small.safetensors"
    save_file({k.removeprefix("state."): v.float() for k, v in golden.items() if k.startswith("state.")}, path)
    return path


@pytest.fixture
def labeler(golden, checkpoint) -> SeemLabeler:
    return SeemLabeler(seem_checkpoint.load(checkpoint), golden["text_rows"], list("abcdef"))


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@torch.inference_mode()
def strokes(labeler: SeemLabeler, golden) -> tuple[list, list]:
    image = golden["image"].permute(1, 2, 0).numpy()
    maps = labeler.maps(image)
    prompts = [[points_of(golden[f"stroke{i}.mask"].numpy(), maps.padded, None)] * 4 for i in range(3)]
    return labeler.strokes(maps, prompts)


@torch.inference_mode()
def test_text_rows_class_logits_and_masks_are_the_originals(labeler, golden):
    network = labeler.network
    close(torch.stack([network.text.class_row(tokens) for tokens in golden["tokens"]]), golden["text_rows"])
    maps = labeler.maps(golden["image"].permute(1, 2, 0).numpy())
    queries = network.predict(maps.maps)
    close(network.text.logits(queries.classes[0], golden["text_rows"]), golden["logits"])
    close(torch.einsum("qc,chw->qhw", queries.masks[0], maps.maps.mask_features), golden["masks"])


def test_semantic_scores_are_the_originals(labeler, golden):
    scores = labeler.semantic_scores(labeler.maps(golden["image"].permute(1, 2, 0).numpy()))
    assert scores.shape == (6, 90, 118)
    close(torch.from_numpy(scores[:, ::3, ::3]), golden["scores"])


def test_strokes_in_one_batch_are_the_originals_one_by_one(labeler, golden):
    logits, picks = strokes(labeler, golden)
    for i in range(3):
        assert picks[i] == golden[f"stroke{i}.similarity"].argmax()
        close(logits[i], golden[f"stroke{i}.logits"][picks[i]])


def test_the_comparison_bites_without_masked_attention(labeler, golden, monkeypatch):
    real = Predictor._where
    monkeypatch.setattr(Predictor, "_where", lambda *given: torch.ones_like(real(*given)))
    with torch.inference_mode():
        maps = labeler.maps(golden["image"].permute(1, 2, 0).numpy())
        logits = labeler.network.text.logits(labeler.network.predict(maps.maps).classes[0], golden["text_rows"])
    assert (logits - golden["logits"]).abs().max() > 100 * TOLERANCE * golden["logits"].abs().max()


def test_the_full_size_has_the_tensors_of_the_official_checkpoint():
    with torch.device("meta"):
        network = Seem()
    # Counted by building the original: 932 tensors, one of them a constant of its losses; 341.2 million weights.
    assert len(network.state_dict()) == 931
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 341.2


def test_random_weights_have_official_names_and_tell_their_size(golden):
    size = SeemSize(8, (1, 1, 2, 1), 4, 3, 32, 1, 4, 8, 48, 11, 60, 32, 2, 12)
    state = seem_checkpoint.random_state(size, 0)
    official = {k.removeprefix("state."): tuple(v.shape) for k, v in golden.items() if k.startswith("state.")}
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        k: s for k, s in official.items() if k != "dilation_kernel"
    }
    assert seem_checkpoint.size_of(state) == size


def test_a_missing_tensor_and_another_model_are_refused_by_name(golden, tmp_path, checkpoint):
    state = load_file(checkpoint)
    del state["sem_seg_head.predictor.decoder_norm.weight"]
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match=r"cut\.safetensors.*decoder_norm\.weight"):
        seem_checkpoint.load(tmp_path / "cut.safetensors")
    save_file({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path / "sam.safetensors")
    with pytest.raises(CheckpointError, match=r"sam\.safetensors is not a checkpoint of SEEM"):
        seem_checkpoint.load(tmp_path / "sam.safetensors")


def test_points_are_all_of_a_mask_or_a_seeded_draw():
    mask = np.zeros((40, 60), bool)
    mask[5:9, 10:20] = True
    points = points_of(mask, (64, 64), None)
    assert points.shape == (40, 2)
    assert points[0].tolist() == [10 / 64, 5 / 64] and points[-1].tolist() == [19 / 64, 8 / 64]
    mask[:] = True
    draws = [points_of(mask, (64, 64), np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert draws[0].shape == (seem.MOST_POINTS, 2) and torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_region_scores_sum_to_one_and_do_not_depend_on_the_batch(labeler, golden):
    image = golden["image"].permute(1, 2, 0).numpy()
    masks = [rle.encode(golden[f"stroke{i}.mask"].numpy()) for i in range(3)]
    together = labeler.scores(image, masks)
    assert together.regions is not None and together.dense is not None
    np.testing.assert_allclose(together.regions.sum(axis=1), 1, atol=1e-5)
    assert together.dense.shape == (6, 90, 118) and together.dense.sum(axis=0).max() <= 1 + 1e-5
    alone = labeler.scores(image, masks[1:2])
    np.testing.assert_allclose(alone.regions[0], together.regions[1], atol=1e-5)
    assert labeler.scores(image, []).regions.shape == (0, 7)


def test_text_rows_are_means_over_81_prompts_of_plain_names_and_kept_between_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    size = SeemSize(8, (1, 1, 2, 1), 4, 3, 32, 1, 1, 8, 48, 11, 49408, 32, 1, 77)
    network = seem_checkpoint.from_state(seem_checkpoint.random_state(size, 0))
    rows = seem.text_rows(network, ["sky-other-merged", "cat"])
    assert rows.shape == (3, 32)
    tokenizer = seem.prompts.open_clip().get_tokenizer("ViT-B-32")
    sentences = ["sky.", *(template("sky") for template in seem.prompts.imagenet_templates())]
    assert len(sentences) == 81
    with torch.inference_mode():
        close(rows[0], network.text.class_row(tokenizer(sentences)))
    (kept,) = (tmp_path / ".snakemake/regionflow").glob("*.npy")
    np.save(kept, np.zeros((3, 32), np.float32))
    assert not seem.text_rows(network, ["sky-other-merged", "cat"]).any()
    assert seem.text_rows(network, ["sky", "dog"]).any()


def test_on_a_card_scores_are_the_same_and_the_host_seldom_waits(golden, labeler, checkpoint):
    image = golden["image"].permute(1, 2, 0).numpy()
    masks = [rle.encode(golden[f"stroke{i}.mask"].numpy()) for i in range(3)]
    expected = labeler.scores(image, masks)
    with pretend() as watch:
        on_card = SeemLabeler(seem_checkpoint.load(checkpoint), golden["text_rows"], list("abcdef"), device="cuda")
        scores = on_card.scores(image, masks)
    np.testing.assert_allclose(scores.regions, expected.regions, atol=1e-5)
    np.testing.assert_allclose(scores.dense, expected.dense, atol=1e-5)
    # The strips of the dense map, the picks and the scores of the strokes.
    assert sum(watch.waits.values()) <= 6, watch.waits
