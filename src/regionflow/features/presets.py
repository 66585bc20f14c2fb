"""Extractors under their published names.

The names and settings of "Region-Based Representations Revisited" (dinov2_*, dino_*, clip_*, maskclip_*, imagenet_*)
and later backbones: last block, final norm, native image size padded to the patch. Unlike the paper's code, CLIP is not
cropped to 224 x 224, MaskCLIP's position embeddings are not shifted, and ImageNet's pixels are normalised.
"""

from regionflow.features.kinds import ExtractorOptions
from regionflow.features.options import DaisyLabOptions, TimmOptions

_TIMM = {
    "dinov2_vits14": "vit_small_patch14_dinov2.lvd142m",
    "dinov2_vitb14": "vit_base_patch14_dinov2.lvd142m",
    "dinov2_vitl14": "vit_large_patch14_dinov2.lvd142m",
    "dinov2_vitg14": "vit_giant_patch14_dinov2.lvd142m",
    "dinov2_vits14_reg": "vit_small_patch14_reg4_dinov2.lvd142m",
    "dinov2_vitb14_reg": "vit_base_patch14_reg4_dinov2.lvd142m",
    "dinov2_vitl14_reg": "vit_large_patch14_reg4_dinov2.lvd142m",
    "dinov2_vitg14_reg": "vit_giant_patch14_reg4_dinov2.lvd142m",
    "dinov3_vits16": "vit_small_patch16_dinov3.lvd1689m",
    "dinov3_vitb16": "vit_base_patch16_dinov3.lvd1689m",
    "dinov3_vitl16": "vit_large_patch16_dinov3.lvd1689m",
    "dino_vits8": "vit_small_patch8_224.dino",
    "dino_vits16": "vit_small_patch16_224.dino",
    "dino_vitb8": "vit_base_patch8_224.dino",
    "dino_vitb16": "vit_base_patch16_224.dino",
    "clip_vitb32": "vit_base_patch32_clip_quickgelu_224.openai",
    "clip_vitb16": "vit_base_patch16_clip_quickgelu_224.openai",
    "clip_vitl14": "vit_large_patch14_clip_quickgelu_224.openai",
    "clip_vitl14_336": "vit_large_patch14_clip_quickgelu_336.openai",
    "imagenet_vitb16": "vit_base_patch16_224.augreg_in21k",
    "imagenet_vitl32": "vit_large_patch32_224.orig_in21k",
    "siglip2_vitb16": "vit_base_patch16_siglip_512.v2_webli",
    "siglip2_vitl16": "vit_large_patch16_siglip_512.v2_webli",
    "siglip2_so400m16": "vit_so400m_patch16_siglip_512.v2_webli",
}
_MASKCLIP = {
    "maskclip_vitb16": _TIMM["clip_vitb16"],
    "maskclip_vitl14_336": _TIMM["clip_vitl14_336"],
}
_RELEASED = ("dino_", "dinov2_")

PRESETS: dict[str, ExtractorOptions] = {
    "daisy_lab": DaisyLabOptions(),
    **{
        name: TimmOptions(model=model, position_embedding="released" if name.startswith(_RELEASED) else "timm")
        for name, model in _TIMM.items()
    },
    **{name: TimmOptions(model=model, value_path=True) for name, model in _MASKCLIP.items()},
}
