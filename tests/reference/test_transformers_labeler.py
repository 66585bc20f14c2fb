"""Models of the transformers library, tiny and random: the labeler's map is the processor's own output.

Weights as the library draws them give scores that hardly differ between classes and pixels (DPT's logits vary by
5e-10): rounding would decide which class is likeliest, and a map that ignores the image would pass. `varied` weights
make every family's scores vary, and more than one class win.
"""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from helpers.pretend_card import pretend, put_on_card
from regionflow.base.errors import UserError
from regionflow.semantics.fuse import FusionOptions, fuse
from regionflow.semantics.transformers import TransformersLabeler
from regionflow.semantics.transformers_options import TransformersOptions

transformers = pytest.importorskip("transformers", reason="the extra [semantics] is not installed")

H, W = 48, 64
GAIN = 2.0
"""Variance of weights times inputs: what keeps the scale through a ReLU."""


def eomt(folder):
    config = transformers.EomtConfig(
        image_size=32, patch_size=4, num_labels=4, hidden_size=16, num_attention_heads=2, num_hidden_layers=2,
        num_register_tokens=2, num_queries=5, num_blocks=1,
    )  # fmt: skip
    size = {"shortest_edge": 32, "longest_edge": 32}
    processor = transformers.EomtImageProcessor(size=size, do_split_image=False, do_pad=True)
    return transformers.EomtForUniversalSegmentation(config), processor


def eomt_in_crops(folder):
    model, _ = eomt(folder)
    size = {"shortest_edge": 32, "longest_edge": None}
    return model, transformers.EomtImageProcessor(size=size, do_split_image=True, do_pad=False)


def maskformer(folder):
    backbone = transformers.SwinConfig(
        image_size=32, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    decoder = transformers.DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=5,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, num_labels=4
    )
    processor = transformers.MaskFormerImageProcessor(size={"height": 64, "width": 64}, size_divisor=32)
    return transformers.MaskFormerForInstanceSegmentation(config), processor


def mask2former(folder):
    config = transformers.Mask2FormerConfig(hidden_size=32, num_labels=4)
    config.backbone_config.depths, config.backbone_config.embed_dim = [1, 1, 1, 1], 8
    config.backbone_config.num_heads = [1, 1, 2, 2]
    config.num_queries, config.num_attention_heads = 5, 2
    config.encoder_feedforward_dim, config.dim_feedforward = 16, 16
    config.hidden_dim = config.mask_feature_size = config.feature_size = 32
    config.encoder_layers, config.decoder_layers = 1, 3
    processor = transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64})
    return transformers.Mask2FormerForUniversalSegmentation(config), processor


def segformer(folder):
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], depths=[1, 1, 1, 1], decoder_hidden_size=8,
        num_labels=4,
    )  # fmt: skip
    processor = transformers.SegformerImageProcessor(size={"height": 32, "width": 32})
    return transformers.SegformerForSemanticSegmentation(config), processor


def upernet(folder):
    backbone = transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=8, auxiliary_channels=8, auxiliary_in_channels=16, num_labels=4
    )
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
    return transformers.UperNetForSemanticSegmentation(config), processor


def beit(folder, kind="Beit"):
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64, patch_size=16,
        out_indices=[1, 2, 3, 4], num_labels=4, pool_scales=[1, 2], auxiliary_channels=8,
    )  # fmt: skip
    size = {"height": 64, "width": 64}
    processor = transformers.BeitImageProcessor(size=size, crop_size=size, do_center_crop=False)
    return getattr(transformers, f"{kind}ForSemanticSegmentation")(config), processor


def data2vec(folder):
    return beit(folder, "Data2VecVision")


def dpt(folder):
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8, num_labels=4,
    )  # fmt: skip
    processor = transformers.DPTImageProcessor(size={"height": 64, "width": 64})
    return transformers.DPTForSemanticSegmentation(config), processor


def oneformer(folder):
    """Its processor has a tokenizer, for the task, and a file of classes."""
    backbone = transformers.SwinConfig(
        image_size=32, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.OneFormerConfig(
        backbone_config=backbone, num_labels=4, num_queries=5, hidden_dim=32, mask_dim=32, conv_dim=32,
        num_attention_heads=2, dim_feedforward=16, encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=3,
        text_encoder_width=32, text_encoder_num_layers=1, text_encoder_vocab_size=64, use_task_norm=True,
        query_dec_layers=1, task_seq_len=8, is_training=False,
    )  # fmt: skip
    classes = {str(i): {"name": f"class {i}", "isthing": int(i < 2)} for i in range(4)}
    (folder / "classes.json").write_text(json.dumps(classes))
    letters = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz"]
    letters += [f"{letter}</w>" for letter in letters[2:]]
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    images = transformers.OneFormerImageProcessor(
        repo_path=str(folder), class_info_file="classes.json", num_text=2, size={"height": 64, "width": 64}
    )
    processor = transformers.OneFormerProcessor(images, tokenizer, task_seq_length=8)
    return transformers.OneFormerForUniversalSegmentation(config), processor


def varied(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Other weights, of a size that keeps what goes through a layer about as large as it came in."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim >= 2:
                value.copy_(torch.randn(value.shape, generator=generator) * (GAIN / value[0].numel()) ** 0.5)
    return model.eval()


def processors_own(model, processor, inputs):
    """The processor's scores [C, H, W] and classes [H, W]."""
    post = getattr(processor, "image_processor", processor).post_process_semantic_segmentation
    with torch.no_grad():
        (result,) = post(model(**inputs), target_sizes=[(H, W)], return_segmentation_scores=True)
    return result["segmentation_scores"], result["segmentation"].numpy()


@pytest.fixture
def image() -> np.ndarray:
    return np.kron(np.random.default_rng(0).integers(0, 256, (3, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8)


QUERY_FAMILIES = (eomt, eomt_in_crops, maskformer, mask2former, oneformer)
DENSE_FAMILIES = (segformer, upernet, beit, data2vec, dpt)


@pytest.mark.parametrize("family", [*QUERY_FAMILIES, *DENSE_FAMILIES])
def test_the_map_is_the_processors_own(family: Callable, image, tmp_path):
    model, processor = family(tmp_path)
    task = {"task_inputs": ["semantic"]} if family is oneformer else {}
    inputs = processor(images=image, return_tensors="pt", **task)
    for seed in range(20):
        scores, theirs = processors_own(varied(model, seed), processor, inputs)
        if len(np.unique(theirs)) > 1 and scores.std(dim=(1, 2)).min() > 1e-3:
            break
    else:
        pytest.fail("no weights were found whose scores vary")
    model.config.id2label = {i: name for i, name in enumerate(["sky", "tree", "cup", "cat"])}
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    labeler = TransformersLabeler(TransformersOptions(model=str(tmp_path)))
    assert labeler.names == ["sky", "tree", "cup", "cat"]
    ours = labeler.scores(image)
    expected = scores.softmax(dim=0) if family in DENSE_FAMILIES else scores / scores.sum(dim=0).clamp(min=1)
    assert ours.dense.shape == (4, H, W) and ours.dense.min() >= 0 and ours.dense.sum(axis=0).max() <= 1 + 1e-5
    np.testing.assert_allclose(ours.dense, expected, atol=1e-5)
    assert (ours.dense.argmax(axis=0) == theirs).all()
    # The label map is the processor's, but for pixels where none is likelier than any class.
    lead = expected.max(dim=0).values - (1 - expected.sum(dim=0))
    labels = fuse(ours, [], (H, W), FusionOptions()).map
    clear = lead.abs().numpy() > 1e-5
    assert (labels == np.where(lead.numpy() >= 0, theirs + 1, 0))[clear].all() and clear.mean() > 0.9
    smaller = TransformersLabeler(TransformersOptions(model=str(tmp_path), dense_side=32)).scores(image)
    assert smaller.dense.shape == (4, 24, 32)
    assert fuse(smaller, [], (H, W), FusionOptions()).map.shape == (H, W)


def test_a_model_that_is_not_there_or_none_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        TransformersLabeler(TransformersOptions(model=str(tmp_path / "nowhere")))
    transformers.ViTModel(
        transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="ViTModel gives no semantic scores"):
        TransformersLabeler(TransformersOptions(model=str(tmp_path)))


@pytest.mark.parametrize("family", [eomt, eomt_in_crops, mask2former, segformer])
def test_on_a_card_the_map_is_the_same(family: Callable, image, tmp_path):
    model, processor = family(tmp_path)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    labeler = TransformersLabeler(TransformersOptions(model=str(tmp_path)))
    expected = labeler.scores(image)
    with pretend():
        put_on_card(labeler._model)
        labeler._device = "cuda"
        scores = labeler.scores(image)
    np.testing.assert_allclose(scores.dense, expected.dense, atol=1e-5)
