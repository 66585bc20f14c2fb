"""SAM's mask decoder rearranged for many prompts on one image.

The same function as segment-anything's `MaskDecoder` (Kirillov et al. 2023), with other operations in another order:

- In the first layer the image tokens are the same for all prompts, so their projections are computed once per image.
- Later, image tokens are never projected. With few prompt tokens t and many image tokens x, a score is
  q (W_k x) = (W_k' q) x and an output is W_v (sum a x): the projections move to the token side, 56 rows instead of
  4096. The output projection joins the values in the same way. This halves the arithmetic.
- A bias of keys that softmax cancels is left out; the others are kept.
- Predicted IoU needs no mask, so upscaling waits until it is known which masks are wanted (`Prompts.mask_logits`).

Only float rounding differs. Image tokens [N, C] stay contiguous, and attention weights are kept as [tokens, N], which
softmax handles fast in either direction.
"""

import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from regionflow.sam.encoder import EncodedImage
from regionflow.sam.upscaling import HqFeatures, Upscaling, hyper_logits, to_map


class _Projections:
    """One attention's weights split by heads: q, k, v [heads, d, C] with biases [heads, d], out [heads, d, C].

    at: what the positions of the image tokens add to the image side's keys or queries, [heads, d, N].
    """

    at: Tensor

    def __init__(self, attention: Attention) -> None:
        self.heads = attention.num_heads
        self.dim = attention.internal_dim // self.heads
        self.scale = self.dim**-0.5
        self.q, self.q_bias = self._split(attention.q_proj)
        self.k, self.k_bias = self._split(attention.k_proj)
        self.v, self.v_bias = self._split(attention.v_proj)
        self.out = attention.out_proj.weight.T.unflatten(0, (self.heads, self.dim)).contiguous()
        self.out_bias = attention.out_proj.bias

    def _split(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        return linear.weight.unflatten(0, (self.heads, self.dim)), linear.bias.unflatten(0, (self.heads, self.dim))

    def project(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """[..., T, C] to [..., heads, T, d]."""
        return torch.einsum("...tc,hdc->...htd", x, weight) + bias[:, None]

    def merge_heads(self, values: Tensor) -> Tensor:
        """Attention's output [B, T, C] from the output of each head, [B, heads, T, d]."""
        return torch.einsum("bhtd,hdc->btc", values, self.out) + self.out_bias


class ImageDecoder:
    """The mask decoder for one encoded image. Runs in the embedding's device and in float32 or, on request, bfloat16.

    In bfloat16 the image tokens and all products with them are bfloat16; prompt tokens stay float32.
    """

    def __init__(self, sam: Sam, image: EncodedImage, dtype: torch.dtype = torch.float32) -> None:
        self.prompt_encoder = sam.prompt_encoder
        self.decoder = sam.mask_decoder
        self.dtype = dtype
        self.hq = hasattr(self.decoder, "hf_token")
        self.grid = (image.embedding.shape[2], image.embedding.shape[3])
        no_mask = self.prompt_encoder.no_mask_embed.weight
        self.keys = (image.embedding.flatten(2)[0].T + no_mask).to(dtype).contiguous()
        position = self.prompt_encoder.get_dense_pe().flatten(2)[0].T
        self.mask_tokens = self._output_tokens()
        transformer = self.decoder.transformer
        self.to_image = [_Projections(layer.cross_attn_token_to_image) for layer in transformer.layers]
        self.to_token = [_Projections(layer.cross_attn_image_to_token) for layer in transformer.layers]
        self.final = _Projections(transformer.final_attn_token_to_image)
        for a in (*self.to_image, self.final):
            a.at = self._to_heads(position, a.k)
        for b in self.to_token:
            b.at = self._to_heads(position, b.q) + b.q_bias[:, :, None].to(dtype)
        self._project_shared_keys()
        self._work = self.keys.new_empty(0)
        self.upscaling = Upscaling(self.decoder.output_upscaling, dtype)
        self.fine = HqFeatures(self.decoder, image, dtype) if self.hq else None

    def _output_tokens(self) -> Tensor:
        tokens = [self.decoder.iou_token.weight, self.decoder.mask_tokens.weight]
        return torch.cat([*tokens, self.decoder.hf_token.weight] if self.hq else tokens)

    def _to_heads(self, x: Tensor, weight: Tensor) -> Tensor:
        """Image tokens [N, C] through weights [heads, d, C]: [heads, d, N]."""
        return torch.matmul(weight.to(self.dtype), x.to(self.dtype).T)

    def _project_shared_keys(self) -> None:
        """Layer 0's projections of the image tokens, which all prompts share."""
        a, b = self.to_image[0], self.to_token[0]
        self.shared_k = self._to_heads(self.keys, a.k) + a.at
        self.shared_v = (self._to_heads(self.keys, a.v) + a.v_bias[:, :, None].to(self.dtype)).mT.contiguous()
        self.shared_q = self._to_heads(self.keys, b.q) + b.at

    def embed_points(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Prompt tokens [B, 2, C], one point each; points [B, 2] are x, y in [0, 1] of the padded input.

        labels: [B], 1 foreground, 0 background, any other number neither; None: all are foreground.
        """
        encoder = self.prompt_encoder
        point = encoder.pe_layer._pe_encoding(points[:, None])
        if labels is None:
            point = point + encoder.point_embeddings[1].weight
        else:
            kinds = [embedding.weight for embedding in encoder.point_embeddings[:2]]
            table = torch.stack([*kinds, torch.zeros_like(kinds[0])])
            point = point + table[torch.where((labels == 0) | (labels == 1), labels, 2)]
        return torch.cat([point, encoder.not_a_point_embed.weight.expand(len(points), 1, -1)], dim=1)

    def decode(self, points: Tensor, labels: Tensor | None = None) -> "Prompts":
        """Run the transformer on points [B, 2] in [0, 1] of the padded input, one prompt each; labels as above.

        The result's image tokens live in a buffer that the next call overwrites.
        """
        prompt = self.embed_points(points, labels)
        tokens = torch.cat([self.mask_tokens.expand(len(points), -1, -1), prompt], dim=1)
        queries, keys = self._first_layer(tokens)
        for i in range(1, len(self.to_image)):
            queries, keys = self._later_layer(i, queries, keys, tokens)
        attended = self._token_to_image(self.final, queries + tokens, keys)
        queries = self.decoder.transformer.norm_final_attn(queries + attended)
        return Prompts(self, queries, keys)

    def _first_layer(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        layer, a, b = self.decoder.transformer.layers[0], self.to_image[0], self.to_token[0]
        batch, count, _ = tokens.shape
        queries = layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
        # [heads, B * T, d]: one product per head for all prompts, since they share the keys.
        q = self._by_head(a.project(queries + tokens, a.q, a.q_bias) * a.scale)
        weights = torch.softmax(torch.bmm(q, self.shared_k), dim=-1)
        attended = torch.bmm(weights, self.shared_v).float().unflatten(1, (batch, count)).transpose(0, 1)
        queries = layer.norm2(queries + a.merge_heads(attended))
        queries = layer.norm3(queries + layer.mlp(queries))

        k = self._by_head(b.project(queries + tokens, b.k, b.k_bias) * b.scale)
        scores = torch.bmm(k, self.shared_q).unflatten(1, (batch, count)).transpose(0, 1)
        keys = self._buffer(batch).copy_(self.keys).baddbmm_(*self._image_to_token(b, scores, queries))
        return queries, _norm_(layer.norm4, keys)

    def _later_layer(self, i: int, queries: Tensor, keys: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        layer, b = self.decoder.transformer.layers[i], self.to_token[i]
        q = queries + tokens
        queries = layer.norm1(queries + layer.self_attn(q=q, k=q, v=queries))
        queries = layer.norm2(queries + self._token_to_image(self.to_image[i], queries + tokens, keys))
        queries = layer.norm3(queries + layer.mlp(queries))

        k = b.project(queries + tokens, b.k, b.k_bias) * b.scale
        scores = self._scores(k, b.q, b.at, keys).unflatten(1, (b.heads, -1))
        return queries, _norm_(layer.norm4, keys.baddbmm_(*self._image_to_token(b, scores, queries)))

    def _token_to_image(self, a: _Projections, tokens: Tensor, keys: Tensor) -> Tensor:
        """Tokens [B, T, C] attend to each prompt's own image tokens [B, N, C]."""
        q = a.project(tokens, a.q, a.q_bias) * a.scale
        weights = torch.softmax(self._scores(q, a.k, a.at, keys), dim=-1)
        mean = torch.bmm(weights, keys).float().unflatten(1, (a.heads, -1))
        return a.merge_heads(torch.einsum("bhtc,hdc->bhtd", mean, a.v) + a.v_bias[:, None])

    def _image_to_token(self, b: _Projections, scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The two factors [B, N, heads * T] and [B, heads * T, C] of what image tokens take from the prompt tokens."""
        weights = torch.softmax(scores, dim=2).flatten(1, 2)
        v = b.project(values, b.v, b.v_bias)
        # Each head's weights sum to one, so the output bias can be shared out among the heads.
        through = torch.einsum("bhtd,hdc->bhtc", v, b.out) + b.out_bias / b.heads
        return weights.mT, through.flatten(1, 2).to(self.dtype)

    def _scores(self, x: Tensor, weight: Tensor, position: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, heads * T, N] of projected tokens x [B, heads, T, d] with unprojected image tokens [B, N, C]."""
        batch, _, count, _ = x.shape
        placed = torch.bmm(self._by_head(x), position).unflatten(1, (batch, count)).transpose(0, 1).flatten(1, 2)
        on_image = torch.einsum("bhtd,hdc->bhtc", x, weight).flatten(1, 2).to(self.dtype)
        return placed.baddbmm_(on_image, keys.mT)

    def _by_head(self, x: Tensor) -> Tensor:
        """[B, heads, T, d] to [heads, B * T, d]: one product per head for all prompts."""
        return x.transpose(0, 1).flatten(1, 2).to(self.dtype)

    def _buffer(self, batch: int) -> Tensor:
        """Room for image tokens [B, N, C]: fresh pages would cost more than the arithmetic done on them."""
        if len(self._work) < batch:
            self._work = self.keys.new_empty(batch, *self.keys.shape)
        return self._work[:batch]


def _norm_(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Layer norm in place; on a CPU in pieces that stay in its cache."""
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    rows = x.flatten(0, -2)
    for piece in rows.split(1024) if x.device.type == "cpu" else (rows,):
        piece.copy_(F.layer_norm(piece, norm.normalized_shape, weight, bias, norm.eps))
    return x


class Prompts:
    """Decoded prompts: predicted IoUs at once, mask logits on demand.

    predicted_iou: [B, masks per prompt] float32.
    """

    def __init__(self, decoder: ImageDecoder, tokens: Tensor, keys: Tensor) -> None:
        self._decoder = decoder
        self._tokens = tokens
        self._keys = keys
        iou = decoder.decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        self._best: Tensor | None = None
        if decoder.hq:
            iou, self._best = iou.max(dim=1, keepdim=True)
        self.predicted_iou = iou

    def mask_logits(self, prompts: Tensor) -> Tensor:
        """Logits [P, masks per prompt, 4 h, 4 w] float32 of some of the prompts, given by their indices [P]."""
        d = self._decoder
        upscaled = d.upscaling(self._keys[prompts])
        tokens = self._tokens[prompts]
        heads = d.decoder.output_hypernetworks_mlps
        # Output 0 is the single mask, which automatic generation does not use.
        hyper = torch.stack([heads[i](tokens[:, 1 + i]) for i in range(1, len(heads))], dim=1)
        if self._best is not None:
            hyper = hyper.take_along_dim(self._best[prompts, :, None], dim=1)
        maps = hyper_logits(upscaled, hyper, d.grid).float()
        if d.fine is None:
            return maps
        fine = d.fine.logits(
            to_map(upscaled.permute(0, 4, 1, 2, 3), d.grid), d.decoder.hf_mlp(tokens[:, 1 + len(heads)])
        )
        return maps + fine[:, None]
