"""SEEM's network with a FocalNet backbone, for inference: the parts that semantic classes need.

Zou et al., "Segment Everything Everywhere All at Once" (NeurIPS 2023), as wired in the focal configurations of its
demo. Module names are those of the official checkpoints (`seem_checkpoint` maps the backbone's). Unlike the original,
the backbone runs once per image, whatever the number of stroke prompts: prompts are keys and values of the decoder's
self-attention only, so they are a batch over the same feature maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from timm.models.focalnet import FocalNet
from torch import Tensor, nn
from torch.nn import functional as F

from regionflow.semantics.attention import attention

LEVELS = 3
"""Feature levels of the decoder: strides 32, 16 and 8."""


@dataclass(frozen=True)
class SeemSize:
    """Sizes of a network; the defaults are those of Focal-L."""

    embed_dim: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    focal_levels: int = 4
    focal_window: int = 3
    dim: int = 512
    encoder_layers: int = 6
    decoder_layers: int = 9
    heads: int = 8
    feed_forward: int = 2048
    queries: int = 101
    vocabulary: int = 49408
    text_width: int = 512
    text_layers: int = 12
    text_length: int = 77


class Maps(NamedTuple):
    """Feature maps of one image: those of the three levels [dim, h, w], coarse to fine, and the mask features."""

    levels: list[Tensor]
    mask_features: Tensor


class Queries(NamedTuple):
    """What the decoder says of a batch: class embeddings [B, Q, dim] and mask embeddings [B, Q, dim]."""

    classes: Tensor
    masks: Tensor


class Backbone(nn.Module):
    """FocalNet and a LayerNorm on the output of each of its four stages."""

    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        net: Any = FocalNet(
            num_classes=0,
            embed_dim=size.embed_dim,
            depths=size.depths,
            focal_levels=(size.focal_levels,) * 4,
            focal_windows=(size.focal_window,) * 4,
            use_overlap_down=True,
            use_post_norm=True,
            normalize_modulator=True,
            layerscale_value=1e-4,
        )
        # timm's classifier head is not in the checkpoints.
        net.norm, net.head = nn.Identity(), nn.Identity()
        self.net: Any = net
        for i in range(4):
            self.add_module(f"norm{i}", nn.LayerNorm(size.embed_dim * 2**i))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Maps [B, C, h, w] at strides 4, 8, 16, 32 of normalised pixels [B, 3, H, W]."""
        out, x = [], self.net.stem(pixels)
        for i, stage in enumerate(self.net.layers):
            x = stage(x)
            out.append(getattr(self, f"norm{i}")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return out


class NormedConv(nn.Conv2d):
    """A convolution without bias and its GroupNorm."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__(inside, outside, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, outside)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class EncoderLayer(nn.Module):
    """DETR's encoder layer, normed after each step."""

    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(size.dim, size.heads)
        self.linear1, self.linear2 = nn.Linear(size.dim, size.feed_forward), nn.Linear(size.feed_forward, size.dim)
        self.norm1, self.norm2 = nn.LayerNorm(size.dim), nn.LayerNorm(size.dim)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """x, position: [1, h * w, dim]."""
        x = self.norm1(x + attention(self.self_attn, x + position, x + position, x))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


class PixelDecoder(nn.Module):
    """The top-down pyramid, with an encoder on the coarsest map."""

    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        channels = [size.embed_dim * 2**i for i in range(4)]
        self.input_proj = nn.Conv2d(channels[3], size.dim, 1)
        self.transformer: Any = nn.ModuleDict(
            {
                "encoder": nn.ModuleDict(
                    {"layers": nn.ModuleList(EncoderLayer(size) for _ in range(size.encoder_layers))}
                )
            }
        )
        for i in range(3):
            self.add_module(f"adapter_{i + 1}", NormedConv(channels[i], size.dim, 1))
        for i in range(4):
            self.add_module(f"layer_{i + 1}", NormedConv(size.dim, size.dim, 3))
        self.mask_features = nn.Conv2d(size.dim, size.dim, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Maps:
        coarse = self.input_proj(features[3])
        position = sine_positions(coarse[0])[None]
        tokens = coarse.flatten(2).transpose(1, 2)
        for layer in self.transformer["encoder"]["layers"]:
            tokens = layer(tokens, position)
        top: Any = self.layer_4
        y = F.relu(top(tokens.transpose(1, 2).view_as(coarse)))
        levels = [y]
        for i in (3, 2, 1):
            lateral = getattr(self, f"adapter_{i}")(features[i - 1])
            y = lateral + F.interpolate(y, size=lateral.shape[-2:], mode="nearest")
            y = F.relu(getattr(self, f"layer_{i}")(y))
            levels.append(y)
        return Maps([level[0] for level in levels[:LEVELS]], self.mask_features(y)[0])


class CrossAttention(nn.Module):
    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(size.dim, size.heads)
        self.norm = nn.LayerNorm(size.dim)


class SelfAttention(nn.Module):
    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(size.dim, size.heads)
        self.norm = nn.LayerNorm(size.dim)


class FeedForward(nn.Module):
    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(size.dim, size.feed_forward), nn.Linear(size.feed_forward, size.dim)
        self.norm = nn.LayerNorm(size.dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.linear2(F.relu(self.linear1(x))))


class MaskEmbed(nn.Module):
    """Three linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[2](F.relu(self.layers[1](F.relu(self.layers[0](x)))))


class Predictor(nn.Module):
    """The decoder: queries look at the levels in turn, each only where its own mask is, and at the prompts."""

    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        layers, dim = range(size.decoder_layers), size.dim
        self.transformer_cross_attention_layers: Any = nn.ModuleList(CrossAttention(size) for _ in layers)
        self.transformer_self_attention_layers: Any = nn.ModuleList(SelfAttention(size) for _ in layers)
        self.transformer_ffn_layers: Any = nn.ModuleList(FeedForward(size) for _ in layers)
        self.decoder_norm = nn.LayerNorm(dim)
        self.query_feat, self.query_embed = nn.Embedding(size.queries, dim), nn.Embedding(size.queries, dim)
        self.level_embed = nn.Embedding(LEVELS, dim)
        self.mask_embed = MaskEmbed(dim)
        self.class_embed = nn.Parameter(torch.empty(dim, dim))
        self.pn_indicator = nn.Embedding(2, dim)
        self.mask_sptial_embed = nn.ParameterList(torch.empty(dim, dim) for _ in range(LEVELS))
        # In the checkpoints, but only used for prompts over several images.
        self.spatial_embed, self.spatial_featured = nn.Embedding(32, dim), nn.Embedding(32, dim)
        self.lang_encoder = TextEncoder(size)

    def forward(self, maps: Maps, prompts: Sequence[Sequence[Tensor]] | None = None) -> Queries:
        """Decode without prompts (B = 1) or with B prompts.

        A prompt has points [P, 2] (x, y; 0 to 1 over the padded image) for each of the levels.
        """
        sources = [level.flatten(1).T + self.level_embed.weight[i] for i, level in enumerate(maps.levels)]
        positions = [sine_positions(level) for level in maps.levels]
        # Interpolation is linear, so features are scaled down once and not the masks of every layer.
        targets = [_resized(maps.mask_features, level.shape[1:]) for level in maps.levels]
        tokens = [None] * LEVELS if prompts is None else self._tokens(maps, sources, prompts)
        batch = 1 if prompts is None else len(prompts)
        place = self.query_embed.weight
        x = self.query_feat.weight.expand(batch, -1, -1)
        for i, (cross, among, ffn) in enumerate(
            zip(
                self.transformer_cross_attention_layers,
                self.transformer_self_attention_layers,
                self.transformer_ffn_layers,
                strict=True,
            )
        ):
            level = i % LEVELS
            attend = self._where(x, targets[level])
            keys, values = sources[level] + positions[level], sources[level]
            x = cross.norm(x + attention(cross.multihead_attn, x + place, keys[None], values[None], attend))
            x = among.norm(x + self._among(among.self_attn, x, place, tokens[level]))
            x = ffn(x)
        x = self.decoder_norm(x)
        return Queries(x @ self.class_embed, self.mask_embed(x))

    def _where(self, x: Tensor, features: Tensor) -> Tensor:
        """Cells [B, 1, Q, h * w] of a level that each query may look at: its mask, or all where that is empty."""
        masks = self.mask_embed(self.decoder_norm(x)) @ features.flatten(1)
        inside = masks >= 0
        return (inside | ~inside.any(dim=-1, keepdim=True))[:, None]

    def _among(
        self, layer: nn.MultiheadAttention, x: Tensor, place: Tensor, tokens: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Queries look at each other and at the prompt's tokens, whose position is the token itself."""
        if tokens is None:
            return attention(layer, x + place, x + place, x)
        prompt, there = tokens
        keys = torch.cat([x + place, 2 * prompt], dim=1)
        attend = torch.cat([there.new_ones(len(x), x.shape[1]), there], dim=1)[:, None, None]
        return attention(layer, x + place, keys, torch.cat([x, prompt], dim=1), attend)

    def _tokens(
        self, maps: Maps, sources: Sequence[Tensor], prompts: Sequence[Sequence[Tensor]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Tokens [B, P, dim] of every level, and which of them are there [B, P]; prompts differ in their points."""
        out = []
        for level, (grid, source) in enumerate(zip(maps.levels, sources, strict=True)):
            projected = (source @ self.mask_sptial_embed[level]).T.view(-1, *grid.shape[1:])
            rows = [sample(projected, prompt[level]) + self.pn_indicator.weight[0] for prompt in prompts]
            there = [torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows]
            pad = nn.utils.rnn.pad_sequence
            out.append((pad(rows, batch_first=True), pad(there, batch_first=True)))
        return out


class TextBlock(nn.Module):
    """A block of CLIP's text transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor, causal: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + attention(self.attn, y, y, y, causal)
        hidden = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))


class TextTransformer(nn.Module):
    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocabulary, size.text_width)
        self.positional_embedding = nn.Parameter(torch.empty(size.text_length, size.text_width))
        self.resblocks = nn.ModuleList(TextBlock(size.text_width, size.heads) for _ in range(size.text_layers))
        self.ln_final = nn.LayerNorm(size.text_width, eps=1e-12)


class TextEncoder(nn.Module):
    """CLIP's text tower and its projection."""

    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.lang_encoder = TextTransformer(size)
        self.lang_proj = nn.Parameter(torch.empty(size.text_width, size.dim))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Unit vectors [B, dim] of tokens [B, 77]; the end of text is the largest token."""
        end = tokens.argmax(dim=1)
        # The tower is causal: what follows the last end of text has no effect.
        tokens = tokens[:, : int(end.max()) + 1]
        tower = self.lang_encoder
        x = tower.token_embedding(tokens) + tower.positional_embedding[: tokens.shape[1]]
        causal = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).tril()
        for block in tower.resblocks:
            x = block(x, causal)
        x = tower.ln_final(x)[torch.arange(len(x)), end] @ self.lang_proj
        return x / (x.norm(dim=-1, keepdim=True) + 1e-7)

    def forget_tower(self) -> None:
        """Give the tower's memory back; what stays is what compares classes with rows that are known already."""
        del self.lang_encoder, self.lang_proj

    def class_row(self, tokens: Tensor) -> Tensor:
        """The row [dim] of a class from the tokens of its prompts [P, 77]."""
        mean = self(tokens).mean(dim=0)
        return mean / mean.norm()

    def logits(self, classes: Tensor, rows: Tensor) -> Tensor:
        """Logits [..., C] of class embeddings [..., dim] against class rows [C, dim]."""
        unit = classes / (classes.norm(dim=-1, keepdim=True) + 1e-7)
        return self.logit_scale.exp() * unit @ rows.T


class Head(nn.Module):
    def __init__(self, size: SeemSize) -> None:
        super().__init__()
        self.pixel_decoder, self.predictor = PixelDecoder(size), Predictor(size)


class Seem(nn.Module):
    """The network; `maps` once per image, then `predict` without and with prompts."""

    def __init__(self, size: SeemSize | None = None) -> None:
        super().__init__()
        self.size = size or SeemSize()
        self.backbone, self.sem_seg_head = Backbone(self.size), Head(self.size)

    @property
    def text(self) -> TextEncoder:
        """The text tower."""
        return self.sem_seg_head.predictor.lang_encoder

    def maps(self, pixels: Tensor) -> Maps:
        """Feature maps of normalised, padded pixels [3, H, W]."""
        return self.sem_seg_head.pixel_decoder(self.backbone(pixels[None]))

    def predict(self, maps: Maps, prompts: Sequence[Sequence[Tensor]] | None = None) -> Queries:
        """See `Predictor`."""
        return self.sem_seg_head.predictor(maps, prompts)


def _resized(features: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(features[None], size=tuple(size), mode="bilinear", align_corners=False)[0]


def sample(features: Tensor, points: Tensor) -> Tensor:
    """Features [C, h, w] at points [P, 2] (x, y in 0 to 1, where 1 is the last cell's centre): [P, C]."""
    grid = (2 * points - 1).to(features.dtype)[None, None]
    return F.grid_sample(features[None], grid, mode="bilinear", align_corners=True)[0, :, 0].T


def sine_positions(grid: Tensor) -> Tensor:
    """DETR's sine position encoding [h * w, C] for a map [C, h, w]: half of the channels for y, half for x."""
    channels, height, width = grid.shape
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=grid.device)
    period = 10000 ** (2 * (steps // 2) / half)

    def encoded(length: int) -> Tensor:
        place = torch.arange(1, length + 1, dtype=torch.float32, device=grid.device)
        angle = (place / (length + 1e-6) * 2 * torch.pi)[:, None] / period
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)

    y = encoded(height)[:, None].expand(-1, width, -1)
    x = encoded(width)[None].expand(height, -1, -1)
    return torch.cat([y, x], dim=2).flatten(0, 1).to(grid.dtype)
