"""From a prompt's image tokens to its mask logits: SAM's upscaling, and what HQ-SAM adds to it."""

from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn

from regionflow.sam.encoder import EncodedImage


class Upscaling:
    """`output_upscaling` on tokens: each 2x2 transposed convolution of stride 2 is a product, no pixels overlap."""

    def __init__(self, upscaling: nn.Sequential, dtype: torch.dtype) -> None:
        self.first, self.first_bias = self._as_product(upscaling[0], dtype)
        self.second, self.second_bias = self._as_product(upscaling[3], dtype)
        norm: Any = upscaling[1]
        self.norm_weight, self.norm_bias, self.eps = norm.weight.to(dtype), norm.bias.to(dtype), norm.eps

    @staticmethod
    def _as_product(convolution: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weight [C, 4 C'] and bias [4 C'], output pixels (0, 0), (0, 1), (1, 0), (1, 1) one after the other."""
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
        return weight.to(dtype).contiguous(), convolution.bias.repeat(4).to(dtype)

    def __call__(self, keys: Tensor) -> Tensor:
        """Image tokens [B, N, C] to [B, N, 4, 4, C / 8]: per token the 4 quarters, per quarter its 4 pixels."""
        x = torch.addmm(self.first_bias, keys.flatten(0, 1), self.first).unflatten(1, (4, -1))
        x = F.gelu(F.layer_norm(x, x.shape[-1:], self.norm_weight, self.norm_bias, self.eps))
        x = F.gelu(torch.addmm(self.second_bias, x.flatten(0, 1), self.second))
        return x.view(*keys.shape[:2], 4, 4, -1)


def hyper_logits(upscaled: Tensor, hyper: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mask logits [B, K, 4 h, 4 w] from upscaled tokens [B, N, 4, 4, C] and the weights [B, K, C] of each mask."""
    products = torch.bmm(hyper.to(upscaled.dtype), upscaled.flatten(1, 3).mT)
    return to_map(products.unflatten(2, (-1, 4, 4)), grid)


def to_map(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """[B, K, N, 4, 4] in the order of `Upscaling` to maps [B, K, 4 h, 4 w]."""
    if x.is_contiguous() and not x.requires_grad:
        # Two pixels side by side stay so: moved as one number of twice the size they go three times as fast.
        pairs = x.view(torch.int64 if x.element_size() == 4 else torch.int32)
        return _reading_order(pairs, grid, 1).contiguous().view(x.dtype).view(*x.shape[:2], 4 * grid[0], 4 * grid[1])
    return _reading_order(x, grid, 2).reshape(*x.shape[:2], 4 * grid[0], 4 * grid[1])


def _reading_order(x: Tensor, grid: tuple[int, int], inner: int) -> Tensor:
    """[B, K, N, 4, 2 * inner] to [B, K, h, 2, 2, w, 2, inner]; a quarter's pixels are two rows of `inner`."""
    x = x.view(*x.shape[:2], *grid, 2, 2, 2, inner)
    return x.permute(0, 1, 2, 4, 6, 3, 5, 7)


class HqFeatures:
    """HQ-SAM's second mask feature: fixed part per image, and the convolutions on each prompt's upscaled embedding."""

    def __init__(self, decoder: MaskDecoder, image: EncodedImage, dtype: torch.dtype) -> None:
        if image.early is None:
            raise ValueError("HQ-SAM's decoder needs its own image encoder, which returns early features")
        early = image.early.permute(0, 3, 1, 2).float()
        self.fixed = (decoder.embedding_encoder(image.embedding) + decoder.compress_vit_feat(early)).flatten(2)[0]
        self.convolutions = decoder.embedding_maskfeature
        self.dtype = dtype

    def logits(self, upscaled: Tensor, hyper: Tensor) -> Tensor:
        """Mask logits [B, H, W] from upscaled embeddings [B, C, H, W] and the HQ token's weights [B, C].

        The last convolution is linear, so the token's weights go through it first: one output channel instead of C.
        """
        first, norm, activation, last = self.convolutions
        x = F.conv2d(upscaled, first.weight.to(self.dtype), first.bias.to(self.dtype), padding=1)
        x = activation(norm(x.float())).to(self.dtype)
        kernels = torch.einsum("bo,oikl->bikl", hyper, last.weight).to(self.dtype)
        maps = F.conv2d(x.flatten(0, 1)[None], kernels, padding=1, groups=len(kernels))[0]
        constant = hyper @ last.bias
        return maps.float() + (hyper @ self.fixed).view_as(maps) + constant[:, None, None]
