"""Position embeddings on other grids than the training's, as the code beside the weights of DINO and DINOv2 does it.

timm interpolates those of every model alike: bicubic, anti-aliased, to the grid of the input. The released code of DINO
and of DINOv2 without registers (facebookresearch/dino and dinov2, `interpolate_pos_encoding`) scales the training grid
of M x M by (h + 0.1) / M and (w + 0.1) / M instead, bicubic without anti-aliasing; the tenth guards against a row lost
in rounding, and shifts the samples a little. DINOv2 with registers was released with timm's rule.
"""

import math
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# What the released code adds to the number of rows and columns.
OFFSET = 0.1


def use_released_rule(model: Any, name: str) -> None:
    """Have a timm VisionTransformer of that name interpolate its position embeddings as the released code does."""
    if "_reg4_" not in name:
        model._pos_embed = MethodType(_tokens, model)


def _tokens(model: Any, patches: Tensor) -> Tensor:
    """Class token and patches [B, 1 + h * w, C] with their positions, of patches [B, h, w, C]; timm's `_pos_embed`."""
    tokens = torch.cat([model.cls_token.expand(len(patches), -1, -1), patches.flatten(1, 2)], dim=1)
    height, width = patches.shape[1:3]
    placed: Tensor = model.pos_drop(tokens + resampled(model.pos_embed, height, width))
    return placed


def resampled(positions: Tensor, height: int, width: int) -> Tensor:
    """Positions [1, 1 + M * M, C] of a class token and a square grid, on a grid of height x width cells."""
    side = math.isqrt(positions.shape[1] - 1)
    if (height, width) == (side, side):
        return positions
    grid = positions[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((height + OFFSET) / side, (width + OFFSET) / side)
    grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)
