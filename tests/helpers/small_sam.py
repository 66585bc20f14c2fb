"""SAMs with random weights in the official key layout whose mask generator finds real masks at low thresholds.

Random weights alone draw one mask for every click, with a checkerboard on it. Here position reaches the image embedding
as slow waves, queries and keys of the cross attention share their weights (a click then attends to its surroundings),
upscaling has no checkerboard, and the last layer of each hypernetwork is fitted by least squares to draw a disc around
the click, which the image's content then distorts.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

# Generator options under which these weights give a handful to dozens of masks on a natural image.
LOW_THRESHOLDS = {"points_per_side": 12, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5, "box_nms_thresh": 0.85}


def save_small_sam(path: Path, seed: int = 0, *, image_size: int = 256, embed_dim: int = 48, hq: bool = False) -> Path:
    """Write a small SAM (or HQ-SAM) to a .pth file: the same file for the same arguments on one machine."""
    return _save(path, seed, lambda: _small_sam(image_size, embed_dim, 2, hq))


def save_random_vit(path: Path, seed: int = 0, name: str = "vit_b") -> Path:
    """Write a vit_b, vit_l or vit_h of full size."""
    return _save(path, seed, sam_model_registry[name])


def save_random_tiny_vit(path: Path, seed: int = 0, hq: bool = False) -> Path:
    """Write a MobileSAM or a Light HQ-SAM of full size. Attention biases are random, so that leaving them out shows."""
    return _save(path, seed, lambda: _tiny_vit_sam(hq))


def _save(path: Path, seed: int, build: Callable[[], nn.Module]) -> Path:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        sam = build()
        _give_it_masks(sam.eval())
    torch.save(sam.state_dict(), path)
    return path


def _give_it_masks(sam: nn.Module) -> None:
    encoder, decoder = sam.image_encoder, sam.mask_decoder
    if hasattr(encoder, "pos_embed"):
        encoder.pos_embed.copy_(_slow_waves(encoder.pos_embed.shape[1], encoder.pos_embed.shape[3]))
        for block in encoder.blocks:
            nn.init.normal_(block.attn.rel_pos_h, std=0.3)
            nn.init.normal_(block.attn.rel_pos_w, std=0.3)
    sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(0.5)
    for layer in decoder.transformer.layers:
        for attention in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
            nn.init.orthogonal_(attention.q_proj.weight, gain=3)
            attention.k_proj.weight.copy_(attention.q_proj.weight)
            nn.init.orthogonal_(attention.v_proj.weight)
            nn.init.orthogonal_(attention.out_proj.weight)
    for module in decoder.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.copy_(2 * module.weight.mean((2, 3), keepdim=True))
    if hasattr(decoder, "hf_mlp"):  # enough to change masks visibly, not enough to drown them in noise
        decoder.hf_mlp.layers[-1].weight.mul_(0.2)
        decoder.hf_mlp.layers[-1].bias.mul_(0.2)
    _fit_heads(sam, clicks=64 if decoder.transformer_dim < 256 else 16)


def _slow_waves(grid: int, channels: int) -> Tensor:
    """Sinusoids [1, grid, grid, channels] of up to one period over the image."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, grid), torch.linspace(-1, 1, grid), indexing="ij")
    frequency, phase = 2 * torch.rand(2, channels) - 1, torch.rand(channels)
    return 2 * torch.sin(torch.pi * (x[..., None] * frequency[0] + y[..., None] * frequency[1] + 2 * phase))[None]


def _fit_heads(sam: nn.Module, clicks: int, inner: int = 64) -> None:
    """Fit mask and IoU heads on clicks into one noise image: discs of three sizes, IoUs of 0.7 +- 0.15.

    Only the first `inner` units of the hypernetworks' second layer are used, which keeps the fit small.
    """
    decoder, size = sam.mask_decoder, sam.image_encoder.img_size
    noise = nn.functional.interpolate(torch.randn(1, 3, 12, 12), (size, size), mode="bilinear")
    encoded = sam.image_encoder(noise)
    embedding = encoded[0] if isinstance(encoded, tuple) else encoded
    points = torch.rand(clicks, 1, 2) * size
    hidden, features = _run_transformer(sam, embedding, points)
    side = features.shape[2]
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    distance = torch.hypot(x - points[:, :, :1] / size, y - points[:, :, 1:] / size).flatten(1)
    features = features.flatten(2)
    for i, mlp in enumerate(decoder.output_hypernetworks_mlps):
        nn.init.orthogonal_(mlp.layers[0].weight, gain=1.5)
        nn.init.orthogonal_(mlp.layers[1].weight, gain=1.5)
        units = torch.relu(mlp.layers[1](torch.relu(mlp.layers[0](hidden[:, 1 + i]))))[:, :inner]
        units = torch.cat([units, torch.ones(clicks, 1)], dim=1)
        design = torch.einsum("pk,pcn->pnck", units, features).flatten(0, 1).flatten(1)
        wanted = 10 * torch.tanh(6 * (0.1 + 0.1 * i - distance)).flatten()
        gram = design.T @ design + torch.eye(design.shape[1])
        solution = torch.linalg.solve(gram, design.T @ wanted).view(features.shape[1], -1)
        mlp.layers[2].weight.zero_()[:, :inner].copy_(solution[:, :-1])
        mlp.layers[2].bias.copy_(solution[:, -1])
    last = decoder.iou_prediction_head.layers[-1]
    last.weight.mul_((0.15 / decoder.iou_prediction_head(hidden[:, 0]).std(0))[:, None])
    last.bias.add_(0.7 - decoder.iou_prediction_head(hidden[:, 0]).mean(0))


def _run_transformer(sam: nn.Module, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [P, T, C] and every 16th pixel of the upscaled embeddings [P, C / 8, h, w], a few points at a time."""
    decoder = sam.mask_decoder
    sparse, dense = sam.prompt_encoder((points, torch.ones(len(points), 1)), None, None)
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(len(points), -1, -1)
    tokens = torch.cat((tokens, sparse), dim=1)
    hidden, features = [], []
    step = max(1, embedding.shape[2] // 16)
    for some, fill in zip(tokens.split(8), dense.split(8), strict=True):
        image, place = embedding + fill, sam.prompt_encoder.get_dense_pe().expand(len(some), -1, -1, -1)
        found, image = decoder.transformer(image, place, some)
        hidden.append(found)
        image = image.transpose(1, 2).unflatten(2, embedding.shape[2:])[:, :, ::step, ::step]
        features.append(decoder.output_upscaling(image)[:, :, ::4, ::4])
    return torch.cat(hidden), torch.cat(features)


def _small_sam(image_size: int, embed_dim: int, depth: int, hq: bool) -> nn.Module:
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
    from regionflow.sam import hq as tiny_vit

    decoder = tiny_vit.MaskDecoderHQ(**heads, vit_dim=embed_dim)
    return tiny_vit.Sam(tiny_vit.ImageEncoderViT(**sizes), prompt_encoder, decoder)


def _tiny_vit_sam(hq: bool) -> nn.Module:
    from regionflow.sam.architecture import PUBLISHED_DECODER, SamArchitecture
    from regionflow.sam.build import _empty_sam

    sam = _empty_sam(SamArchitecture("tiny_vit", PUBLISHED_DECODER, hq))
    for name, parameter in sam.image_encoder.named_parameters():
        if name.endswith("attention_biases"):
            nn.init.normal_(parameter, std=0.5)
    return sam


def embedded_hq() -> nn.Module:
    """An HQ-SAM around the trained weights of sam_tiny; what HQ adds is random and moves masks a little."""
    from regionflow.sam import hq as tiny_vit
    from regionflow.sam.build import build_sam
    from regionflow.weights.published import EMBEDDED

    class WithEarly(nn.Module):
        """The encoder, its strides of 4 as early features."""

        def __init__(self, encoder: nn.Module) -> None:
            super().__init__()
            self.encoder, self.img_size = encoder, encoder.img_size

        def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
            early = self.encoder.stride4(self.encoder.stride2(x))
            return self.encoder(x), [early.permute(0, 2, 3, 1)]

    sam = build_sam("sam_tiny", EMBEDDED)
    plain, dim = sam.mask_decoder, sam.mask_decoder.transformer_dim
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        decoder = tiny_vit.MaskDecoderHQ(
            num_multimask_outputs=3,
            transformer=plain.transformer,
            transformer_dim=dim,
            iou_head_depth=plain.iou_prediction_head.num_layers,
            iou_head_hidden_dim=plain.iou_prediction_head.layers[0].out_features,
            vit_dim=sam.image_encoder.stride4[0][0].out_channels,
        )
        decoder.load_state_dict(plain.state_dict(), strict=False)
        for parameter in decoder.hf_mlp.layers[-1].parameters():
            parameter.mul_(5)
    return tiny_vit.Sam(WithEarly(sam.image_encoder), sam.prompt_encoder, decoder).eval()


def embedded_preset() -> dict[str, Any]:
    """What sam_tiny's preset sets of segment-anything's own options, which the reference takes as well."""
    from regionflow.config.types import Config

    own = ("points_per_side", "pred_iou_thresh", "stability_score_thresh", "stability_score_offset", "box_nms_thresh")
    return Config().segmenters["sam_tiny"].model_dump(include={*own})
