"""A small SAM with random weights, in the official key layout, whose mask generator finds masks at low thresholds."""

from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

# Generator options under which `save_small_sam` weights give a handful to dozens of masks on a natural image.
LOW_THRESHOLDS = {"points_per_side": 12, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5, "box_nms_thresh": 0.85}


def small_state_dict(
    seed: int = 0, image_size: int = 256, embed_dim: int = 48, depth: int = 2, hq: bool = False
) -> dict[str, Tensor]:
    """State dict of a small SAM (or HQ-SAM), the same for the same arguments.

    Random weights alone give one mask for every click. Here position reaches the image embedding as slow waves, queries
    and keys of the cross attention share their weights (a click then attends to its surroundings), and the last layer
    of each hypernetwork is fitted by least squares to draw a disc around the click, which the image's content distorts.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        sam = _random_sam(image_size, embed_dim, depth, hq).eval()
        grid = sam.image_encoder.pos_embed.shape[1]
        sam.image_encoder.pos_embed.copy_(_slow_waves(grid, embed_dim))
        sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(0.5)
        for block in sam.image_encoder.blocks:
            nn.init.normal_(block.attn.rel_pos_h, std=0.3)
            nn.init.normal_(block.attn.rel_pos_w, std=0.3)
        for layer in sam.mask_decoder.transformer.layers:
            for attention in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
                nn.init.orthogonal_(attention.q_proj.weight, gain=3)
                attention.k_proj.weight.copy_(attention.q_proj.weight)
                nn.init.orthogonal_(attention.v_proj.weight)
                nn.init.orthogonal_(attention.out_proj.weight)
        for upsampling in (sam.mask_decoder.output_upscaling[0], sam.mask_decoder.output_upscaling[3]):
            upsampling.weight.copy_(2 * upsampling.weight.mean((2, 3), keepdim=True))  # no checkerboard
        _fit_heads(sam, image_size, hq)
    return sam.state_dict()


def _slow_waves(grid: int, channels: int) -> Tensor:
    """Sinusoids [1, grid, grid, channels] of up to one period over the image."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, grid), torch.linspace(-1, 1, grid), indexing="ij")
    frequency, phase = 2 * torch.rand(2, channels) - 1, torch.rand(channels)
    return 2 * torch.sin(torch.pi * (x[..., None] * frequency[0] + y[..., None] * frequency[1] + 2 * phase))[None]


def _fit_heads(sam: Sam, image_size: int, hq: bool, clicks: int = 64) -> None:
    """Fit mask and IoU heads on clicks into one noise image: discs of three sizes, IoUs of 0.7 +- 0.15."""
    decoder = sam.mask_decoder
    noise = nn.functional.interpolate(torch.randn(1, 3, 12, 12), (image_size, image_size), mode="bilinear")
    embedding = sam.image_encoder(noise)[0] if hq else sam.image_encoder(noise)
    points = torch.rand(clicks, 1, 2) * image_size
    sparse, dense = sam.prompt_encoder((points, torch.ones(clicks, 1)), None, None)
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(clicks, -1, -1)
    hidden, image = decoder.transformer(
        embedding.expand(clicks, -1, -1, -1) + dense,
        sam.prompt_encoder.get_dense_pe().expand(clicks, -1, -1, -1),
        torch.cat((tokens, sparse), dim=1),
    )
    features = decoder.output_upscaling(image.transpose(1, 2).unflatten(2, embedding.shape[2:]))[:, :, ::4, ::4]
    side = features.shape[2]
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    distance = torch.hypot(x - points[:, :, :1] / image_size, y - points[:, :, 1:] / image_size).flatten(1)
    features = features.flatten(2)
    for i, mlp in enumerate(decoder.output_hypernetworks_mlps):
        nn.init.orthogonal_(mlp.layers[0].weight, gain=1.5)
        nn.init.orthogonal_(mlp.layers[1].weight, gain=1.5)
        inner = torch.relu(mlp.layers[1](torch.relu(mlp.layers[0](hidden[:, 1 + i]))))
        inner = torch.cat([inner, torch.ones(clicks, 1)], dim=1)
        wanted = 10 * torch.tanh(6 * (0.1 + 0.1 * i - distance))
        design = torch.einsum("pk,pcn->pnck", inner, features).flatten(2).flatten(0, 1)
        solution = torch.linalg.lstsq(
            design.T @ design + 1e-3 * torch.eye(design.shape[1]), (design.T @ wanted.flatten())[:, None]
        ).solution.view(features.shape[1], -1)
        mlp.layers[2].weight.copy_(solution[:, :-1])
        mlp.layers[2].bias.copy_(solution[:, -1])
    last = decoder.iou_prediction_head.layers[-1]
    last.weight.mul_((0.15 / decoder.iou_prediction_head(hidden[:, 0]).std(0))[:, None])
    last.bias.add_(0.7 - decoder.iou_prediction_head(hidden[:, 0]).mean(0))


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
