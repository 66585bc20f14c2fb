"""Vectors of regions in the text space of a CLIP or SigLIP model: its last attention looks at one region at a time.

The model sees the whole image once. In its last attention (the last block of a CLIP, whose query is the class token;
the attention pooling of a SigLIP, whose query is learned) a patch counts as much as it is covered by the region. With
`mean` keys that alone decides: every patch has the same key, so that the weights are the region's soft mask, and what
is pooled are the values, projected without the residual, as in TextRegion (Xiao et al., TMLR 2025). With `own` keys
the patches keep theirs, and the mask is added to the logits as a logarithm; a mask over the whole image then gives
exactly what the model says of the image.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.semantics.attention import attention

AT_ONCE = 16
"""Regions that are pooled together."""


def region_vectors(visual: Any, pixels: Tensor, masks: Sequence[rle.Rle], keys: str) -> Tensor:
    """Vectors [R, D] of regions of an image, whose pixels [1, 3, S, S] are those of the whole image, squeezed.

    `visual` is the image tower of an open_clip model; a region of no pixels has NaN. Raises UserError for a tower that
    is neither a ViT with a class token nor one with attention pooling.
    """
    pool = _pooling(visual)
    grid = visual.grid_size if pool is _of_class_token else visual.trunk.patch_embed.grid_size
    last = visual.transformer.resblocks[-1] if pool is _of_class_token else visual.trunk.attn_pool
    kept: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
    try:
        whole = visual(pixels)
    finally:
        hook.remove()
    tokens = kept[0]
    if pool is _of_class_token and not visual.transformer.batch_first:
        tokens = tokens.transpose(0, 1)
    out = whole.new_full((len(masks), whole.shape[-1]), torch.nan)
    shares = torch.from_numpy(np.stack([cell_shares(mask, grid) for mask in masks])) if masks else None
    there = [i for i, mask in enumerate(masks) if rle.area(mask)]
    for start in range(0, len(there), AT_ONCE):
        part = there[start : start + AT_ONCE]
        assert shares is not None
        out[part] = pool(visual, tokens, shares[part].flatten(1).to(tokens), keys)
    return out


def cell_shares(mask: rle.Rle, grid: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each cell [h, w] of the image a mask covers, 0 to 1 of what it covers most."""
    pixels = rle.decode(mask).astype(np.float32)
    shares = cv2.resize(pixels, (grid[1], grid[0]), interpolation=cv2.INTER_AREA)
    return (shares / max(float(shares.max()), 1e-12)).astype(np.float32)


def _pooling(visual: Any) -> Any:
    """What pools for a tower."""
    by_token = getattr(visual, "pool_type", "") == "tok" and getattr(visual, "attn_pool", None) is None
    if by_token and isinstance(getattr(visual.transformer.resblocks[-1], "attn", None), nn.MultiheadAttention):
        return _of_class_token
    pool = getattr(getattr(visual, "trunk", None), "attn_pool", None)
    if pool is not None and getattr(pool, "latent_len", 0) == 1 and getattr(pool, "pos_embed", "") is None:
        return _of_latent
    raise UserError(
        f"regions: attention asks for a ViT with a class token (CLIP) or attention pooling (SigLIP), not "
        f"{type(visual).__name__}; take box, masked or both"
    )


def _of_class_token(visual: Any, tokens: Tensor, shares: Tensor, keys: str) -> Tensor:
    """Vectors [R, D] of a CLIP, from the tokens [1, 1 + h * w, C] that enter its last block."""
    block = visual.transformer.resblocks[-1]
    normed, mixer = block.ln_1(tokens), block.attn
    if keys == "mean":
        width = tokens.shape[-1]
        values = F.linear(normed[0, 1:], mixer.in_proj_weight[2 * width :], mixer.in_proj_bias[2 * width :])
        x = mixer.out_proj(_weights(shares) @ values)
    else:
        # The class token looks at itself too, as always.
        bias = F.pad(shares, (1, 0), value=1.0).log()[:, None, None]
        query = normed[:, :1].expand(len(shares), -1, -1)
        x = tokens[:, :1] + block.ls_1(attention(mixer, query, normed, normed, bias))
        x = (x + block.ls_2(block.mlp(block.ln_2(x))))[:, 0]
    x = visual.ln_post(x)
    return x if visual.proj is None else x @ visual.proj


def _of_latent(visual: Any, tokens: Tensor, shares: Tensor, keys: str) -> Tensor:
    """Vectors [R, D] of a SigLIP, from the tokens [1, h * w, C] that enter its pooling, registers before them."""
    pool, trunk = visual.trunk.attn_pool, visual.trunk
    before = tokens.shape[1] - shares.shape[1]
    if keys == "mean":
        values = pool.kv(tokens[0, before:]).chunk(2, dim=-1)[1]
        x = pool.proj(_weights(shares) @ values)
    else:
        bias = F.pad(shares, (before, 0), value=1.0).log()[:, None, None]
        x = pool(tokens.expand(len(shares), -1, -1), attn_mask=bias)
    return visual.head(trunk.head(trunk.head_drop(trunk.fc_norm(x))))


def _weights(shares: Tensor) -> Tensor:
    """Soft masks [R, h * w] with a sum of 1."""
    return shares / shares.sum(dim=1, keepdim=True)
