"""Models of the transformers library, tiny and random: the labeler's map is the processor's own output."""

import numpy as np
import pytest
import torch

from regionflow.base.errors import UserError
from regionflow.semantics.fuse import FusionOptions, fuse
from regionflow.semantics.options import TransformersOptions
from regionflow.semantics.transformers import TransformersLabeler

transformers = pytest.importorskip("transformers", reason="the extra [semantics] is not installed")

H, W = 48, 64


def eomt():
    config = transformers.EomtConfig(
        image_size=32, patch_size=4, num_labels=4, hidden_size=16, num_attention_heads=2, num_hidden_layers=2,
        num_register_tokens=2, num_queries=5, num_blocks=1,
    )  # fmt: skip
    size = {"shortest_edge": 32, "longest_edge": 32}
    processor = transformers.EomtImageProcessor(size=size, do_split_image=False, do_pad=True)
    return transformers.EomtForUniversalSegmentation(config), processor


def eomt_in_crops():
    model, _ = eomt()
    size = {"shortest_edge": 32, "longest_edge": None}
    return model, transformers.EomtImageProcessor(size=size, do_split_image=True, do_pad=False)


def maskformer():
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


def mask2former():
    config = transformers.Mask2FormerConfig(hidden_size=32, num_labels=4)
    config.backbone_config.depths, config.backbone_config.embed_dim = [1, 1, 1, 1], 8
    config.backbone_config.num_heads = [1, 1, 2, 2]
    config.num_queries, config.num_attention_heads = 5, 2
    config.encoder_feedforward_dim, config.dim_feedforward = 16, 16
    config.hidden_dim = config.mask_feature_size = config.feature_size = 32
    config.encoder_layers, config.decoder_layers = 1, 3
    processor = transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64})
    return transformers.Mask2FormerForUniversalSegmentation(config), processor


def segformer():
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], depths=[1, 1, 1, 1], decoder_hidden_size=8,
        num_labels=4,
    )  # fmt: skip
    processor = transformers.SegformerImageProcessor(size={"height": 32, "width": 32})
    return transformers.SegformerForSemanticSegmentation(config), processor


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)


@pytest.mark.parametrize("family", [eomt, eomt_in_crops, maskformer, mask2former, segformer])
def test_the_map_is_the_processors_own(family, image, tmp_path):
    torch.manual_seed(0)
    model, processor = family()
    model.config.id2label = {i: name for i, name in enumerate(["sky", "tree", "cup", "cat"])}
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    labeler = TransformersLabeler(TransformersOptions(model=str(tmp_path)))
    assert labeler.names == ["sky", "tree", "cup", "cat"]
    dense = labeler.scores(image).dense
    with torch.no_grad():
        inputs = processor(images=image, return_tensors="pt")
        outputs = model.eval()(**inputs)
        post = processor.post_process_semantic_segmentation
        (theirs,) = post(outputs, target_sizes=[(H, W)], return_segmentation_scores=True)
    scores = theirs["segmentation_scores"]
    scores = scores.softmax(dim=0) if family is segformer else scores / scores.sum(dim=0).clamp(min=1)
    assert dense.shape == (4, H, W) and dense.min() >= 0 and dense.sum(axis=0).max() <= 1 + 1e-5
    np.testing.assert_allclose(dense, scores, atol=1e-5)
    assert dense.std() > 0
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
