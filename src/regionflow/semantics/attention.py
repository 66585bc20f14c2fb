"""torch's multi-head attention for queries that share their keys."""

from torch import Tensor, nn
from torch.nn import functional as F


def attention(
    layer: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None
) -> Tensor:
    """What `layer` gives for query [B, Q, C], key and value [B or 1, S, C]; a batch of 1 serves all queries.

    `attend` [..., Q, S] is true where a query may look, or is added to the logits.
    """
    w_q, w_k, w_v = layer.in_proj_weight.chunk(3)
    b_q, b_k, b_v = layer.in_proj_bias.chunk(3)
    split = [
        _heads(F.linear(x, w, b), layer.num_heads)
        for x, w, b in ((query, w_q, b_q), (key, w_k, b_k), (value, w_v, b_v))
    ]
    q, k, v = (x.expand(len(query), -1, -1, -1) for x in split)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
    return layer.out_proj(mixed.transpose(1, 2).flatten(2))


def _heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, C] to [B, heads, N, C / heads]."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)
