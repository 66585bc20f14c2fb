"""Features of DINO and DINOv2 against their released code, on tiny random models at the training's size and others.

data/dino_released.npz was made once by running facebookresearch/dinov2 (`get_intermediate_layers(x, 1, reshape=True)`)
and facebookresearch/dino (`get_intermediate_layers(x, 1)`) on models of 16 channels, 2 blocks and a training grid of
8 x 8, their random weights rounded to float16. It holds those weights and the features; the pictures are `picture`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.models import VisionTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import checkpoint_filter_fn

from regionflow.features.kinds import extractor
from regionflow.features.options import TimmOptions
from regionflow.features.presets import PRESETS
from regionflow.features.timm_model import TimmExtractor

GOLDEN = np.load(Path(__file__).parent / "data" / "dino_released.npz")
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bicubic", "num_classes": 0}
WITH_WEIGHTS = {**IMAGENET, "file": "given by the checkpoint"}
MODELS = {
    "dinov2": "vit_test_patch14_dinov2.lvd142m",
    "dinov2_reg4": "vit_test_patch14_reg4_dinov2.lvd142m",
    "dino": "vit_test_patch8_64.dino",
}
CASES = [tuple(key.split("/")[::2]) for key in GOLDEN if "/features/" in key]

default_cfgs = generate_default_cfgs(
    {
        name: {**WITH_WEIGHTS, "input_size": (3, size, size), "first_conv": "patch_embed.proj", "classifier": "head"}
        for name, size in zip(MODELS.values(), (112, 112, 64), strict=True)
    }
)


def tiny(name: str, pretrained: bool, **kwargs: Any) -> Any:
    size = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    return build_model_with_cfg(
        VisionTransformer, name, pretrained, pretrained_filter_fn=checkpoint_filter_fn, **size, **kwargs
    )


@register_model
def vit_test_patch14_dinov2(pretrained: bool = False, **kwargs: Any) -> Any:
    shape = {"patch_size": 14, "img_size": 112, "init_values": 1.0}
    return tiny("vit_test_patch14_dinov2", pretrained, **shape, **kwargs)


@register_model
def vit_test_patch14_reg4_dinov2(pretrained: bool = False, **kwargs: Any) -> Any:
    shape = {"patch_size": 14, "img_size": 112, "init_values": 1.0, "reg_tokens": 4, "no_embed_class": True}
    return tiny("vit_test_patch14_reg4_dinov2", pretrained, **shape, **kwargs)


@register_model
def vit_test_patch8_64(pretrained: bool = False, **kwargs: Any) -> Any:
    return tiny("vit_test_patch8_64", pretrained, patch_size=8, img_size=64, **kwargs)


def picture(height: int, width: int) -> np.ndarray:
    y, x, c = np.ogrid[:height, :width, :3]
    return ((y * 7 + x * 13 + c * 31 + y * x // 3) % 256).astype(np.uint8)


def build(model: str, tmp_path: Path, rule: Any) -> TimmExtractor:
    """The extractor with the golden weights, in the released files' own keys."""
    start = f"{model}/weights/"
    state = {k[len(start) :]: torch.from_numpy(GOLDEN[k]).float() for k in GOLDEN if k.startswith(start)}
    torch.save(state, tmp_path / "released.pth")
    options = TimmOptions(
        model=MODELS[model], position_embedding=rule, checkpoint=str(tmp_path / "released.pth"), stored="float32"
    )
    return extractor(options)  # type: ignore[return-value]


@pytest.mark.parametrize(("model", "size"), CASES)
def test_features_are_the_released_codes(model: str, size: str, tmp_path: Path) -> None:
    height, width = map(int, size.split("x"))
    released = GOLDEN[f"{model}/features/{size}"]
    ours = build(model, tmp_path, "released").extract(picture(height, width)).features
    np.testing.assert_allclose(ours, released, atol=1e-5, rtol=0)
    timms = build(model, tmp_path, "timm").extract(picture(height, width)).features
    same_rule = model == "dinov2_reg4" or height == width
    assert np.allclose(timms, released, atol=1e-5) == same_rule


def test_presets_of_the_original_weights_follow_the_released_rule_and_no_others() -> None:
    released = {name for name, o in PRESETS.items() if getattr(o, "position_embedding", "timm") == "released"}
    assert released == {name for name in PRESETS if name.startswith(("dino_", "dinov2_"))}
    assert len(released) == 12
    assert not [problem for name in released for problem in PRESETS[name].problems()]


def test_another_model_has_no_released_rule() -> None:
    with pytest.raises(ValueError, match="weights of DINO and DINOv2, not for vit_base_patch16_dinov3"):
        TimmOptions(model="vit_base_patch16_dinov3", position_embedding="released")


def test_reduced_precision_interpolates_in_float32(tmp_path: Path) -> None:
    """As DINOv2's code does: bfloat16 has no bicubic on every device, and would round the samples."""
    built = build("dinov2", tmp_path, "released")
    exact = built.extract(picture(56, 70)).features
    halved = extractor(built._options.model_copy(update={"dtype": "bf16"})).extract(picture(56, 70)).features
    assert 0 < np.abs(halved - exact).max() < 0.1
