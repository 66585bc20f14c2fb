"""A small SAM with random weights, in the official key layout, whose mask generator finds masks at low thresholds."""

from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

# Generator options under which `save_small_sam` weights give a handful to dozens of masks on a natural image.
LOW_THRESHOLDS = {"points_per_side": 8, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.6}


def small_state_dict(
    seed: int = 0, image_size: int = 256, embed_dim: int = 48, depth: int = 2, hq: bool = False
) -> dict[str, Tensor]:
    """State dict of a small SAM (or HQ-SAM), the same for the same arguments.

    The heads are scaled so that predicted IoUs spread over 0.3 to 1 and mask logits over some tens.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = _random_sam(image_size, embed_dim, depth, hq)
        with torch.no_grad():
            nn.init.normal_(sam.image_encoder.pos_embed, std=0.3)
            for block in sam.image_encoder.blocks:
                nn.init.normal_(block.attn.rel_pos_h, std=0.3)
                nn.init.normal_(block.attn.rel_pos_w, std=0.3)
            for mlp in sam.mask_decoder.output_hypernetworks_mlps:
                mlp.layers[-1].weight.mul_(60)
                mlp.layers[-1].bias.mul_(60)
            last = sam.mask_decoder.iou_prediction_head.layers[-1]
            last.weight.mul_(8)
            last.bias.fill_(0.65)
    return sam.state_dict()


def save_small_sam(path: Path, seed: int = 0, **size: int | bool) -> Path:
    """Write `small_state_dict(seed, **size)` to a .pth file."""
    torch.save(small_state_dict(seed, **size), path)
    return path


def _random_sam(image_size: int, embed_dim: int, depth: int, hq: bool) -> Sam:
    patch, dim = 16, 64
    grid = image_size // patch
    sizes = {
        "img_size": image_size,
        "patch_size": patch,
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": embed_dim // 16,
        "out_chans": dim,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "use_rel_pos": True,
        "window_size": 6,
        "global_attn_indexes": (depth - 1,),
    }
    heads = {
        "num_multimask_outputs": 3,
        "transformer": TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=128),
        "transformer_dim": dim,
        "iou_head_hidden_dim": 64,
    }
    prompt_encoder = PromptEncoder(
        embed_dim=dim, image_embedding_size=(grid, grid), input_image_size=(image_size, image_size), mask_in_chans=8
    )
    if not hq:
        return Sam(ImageEncoderViT(**sizes), prompt_encoder, MaskDecoder(**heads))
    from regionflow.sam import tiny_vit

    decoder = tiny_vit.MaskDecoderHQ(**heads, vit_dim=embed_dim)
    return tiny_vit.Sam(tiny_vit.ImageEncoderViT(**sizes), prompt_encoder, decoder)
