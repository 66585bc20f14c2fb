"""segment-anything's mask decoder for training: differentiable, for many clicks on several images at once."""

import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam, TwoWayTransformer
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from regionflow.sam.tiny import DIM, SIDE, STRIDE
from regionflow.sam.upscaling import Upscaling, hyper_logits
from regionflow.train.sam_tiny.data import Batch

LOOK_SCALE = 2.0


def look_at_the_click(sam: Sam) -> None:
    """Initialise the decoder's transformer: token to image attention matches position codes, values pass unchanged.

    A head sees whole frequencies, their sine and their cosine, so that its match depends on the distance alone.
    """
    transformer = sam.mask_decoder.transformer
    heads = transformer.num_heads
    by_head = torch.arange(DIM).view(2, heads, -1).transpose(0, 1).flatten()
    identity = torch.eye(DIM)

    def set_(attention: Attention, look: float, value: float) -> None:
        with torch.no_grad():
            noise = 0.02 * torch.randn(4, DIM, DIM)
            if look:
                attention.q_proj.weight.copy_(look * identity[by_head] + noise[0])
                attention.k_proj.weight.copy_(look * identity[by_head] + noise[1])
                attention.q_proj.bias.zero_()
                attention.k_proj.bias.zero_()
            attention.v_proj.weight.copy_(value * identity + noise[2])
            attention.out_proj.weight.copy_(value * identity + noise[3])
            attention.v_proj.bias.zero_()
            attention.out_proj.bias.zero_()

    for layer in transformer.layers:
        set_(layer.self_attn, 0.0, 1.0)
        set_(layer.cross_attn_token_to_image, LOOK_SCALE, 1.0)
        set_(layer.cross_attn_image_to_token, LOOK_SCALE, 0.3)
    set_(transformer.final_attn_token_to_image, LOOK_SCALE, 1.0)


def decode(sam: Sam, embedding: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """SAM's mask decoder for all clicks of all images: logits [B * K, 4, P] and predicted IoUs [B * K, 4].

    As in `regionflow.sam.decoder` the projections of image tokens move to the few prompt tokens, here so that it can
    be differentiated, and for several images at once. Image tokens take the type of autocast.
    """
    decoder, prompts = sam.mask_decoder, sam.prompt_encoder
    _, _, height, width = embedding.shape
    clicks = batch.points.shape[1]
    frame = prompts.get_dense_pe()
    placed = torch.cat([frame[:, :, y : y + height, x : x + width] for y, x in batch.cells.tolist()])
    corner = batch.cells[:, None].flip(2) * STRIDE
    points = ((batch.points + corner) / SIDE).flatten(0, 1)[:, None]
    point = prompts.pe_layer._pe_encoding(points.float()) + prompts.point_embeddings[1].weight
    nothing = prompts.not_a_point_embed.weight.expand(len(points), 1, -1)
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(len(points), -1, -1)
    tokens = torch.cat([output, point, nothing], dim=1)

    keys = (embedding + prompts.no_mask_embed.weight[..., None, None]).flatten(2).mT.to(_working_dtype(embedding))
    place = placed.flatten(2).mT.to(keys.dtype)
    with torch.autocast(embedding.device.type, enabled=False):
        output, keys = _transform(decoder.transformer, tokens, keys, place, clicks)
        upscaled = Upscaling(decoder.output_upscaling, keys.dtype)(keys)
        heads = decoder.output_hypernetworks_mlps
        hyper = torch.stack([heads[i](output[:, 1 + i]) for i in range(4)], dim=1)
        logits = hyper_logits(upscaled, hyper, (height, width)).flatten(2)
        return logits, decoder.iou_prediction_head(output[:, 0])


def _working_dtype(embedding: Tensor) -> torch.dtype:
    """The type of autocast where that is on."""
    device = embedding.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embedding.dtype


def _transform(
    transformer: TwoWayTransformer, tokens: Tensor, keys: Tensor, place: Tensor, clicks: int
) -> tuple[Tensor, Tensor]:
    """Tokens [B * K, T, C] and, per image, keys and their position codes [B, N, C]; after it keys are [B * K, N, C]."""
    queries = tokens
    for i, layer in enumerate(transformer.layers):
        if i == 0:
            queries = layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
        else:
            q = queries + tokens
            queries = layer.norm1(queries + layer.self_attn(q=q, k=q, v=queries))
        queries = layer.norm2(queries + _token_to_image(layer.cross_attn_token_to_image, queries + tokens, keys, place))
        queries = layer.norm3(queries + layer.mlp(queries))
        answer = _answer(layer.cross_attn_image_to_token, queries + tokens, queries, keys, place)
        if i == 0:
            keys = keys.repeat_interleave(clicks, 0)
        keys = _norm(layer.norm4, keys + answer)
    attended = _token_to_image(transformer.final_attn_token_to_image, queries + tokens, keys, place)
    return transformer.norm_final_attn(queries + attended), keys


def _split(linear: nn.Linear, heads: int) -> Tensor:
    """Weight by heads [heads, d, C]."""
    return linear.weight.unflatten(0, (heads, -1))


def _scores(attention: Attention, from_tokens: bool, tokens: Tensor, keys: Tensor, place: Tensor) -> Tensor:
    """Scores [B * K, heads, T, N] of tokens with image tokens; `from_tokens`: tokens are the queries, not the keys.

    The bias on the image tokens' side adds the same to all scores of one token.
    """
    heads = attention.num_heads
    mine, theirs = attention.q_proj, attention.k_proj
    if not from_tokens:
        mine, theirs = theirs, mine
    q = mine(tokens).unflatten(-1, (heads, -1)) * (attention.internal_dim // heads) ** -0.5
    on_image = torch.einsum("bthd,hdc->bhtc", q, _split(theirs, heads)).flatten(1, 2).to(keys.dtype)
    images = len(place)
    scores = on_image.view(images, -1, keys.shape[-1]) @ place.mT
    if len(keys) == images:
        scores = scores + on_image.view(images, -1, keys.shape[-1]) @ keys.mT
        scores = scores.view(len(tokens), heads, -1, keys.shape[1])
    else:
        scores = (scores.view(len(tokens), -1, keys.shape[1]) + on_image @ keys.mT).unflatten(1, (heads, -1))
    bias = torch.einsum("bthd,hd->bht", q, theirs.bias.unflatten(0, (heads, -1)))
    return scores + bias[..., None].to(scores.dtype)


def _token_to_image(attention: Attention, tokens: Tensor, keys: Tensor, place: Tensor) -> Tensor:
    """Prompt tokens attend to image tokens: [B * K, T, C]."""
    scores = _scores(attention, True, tokens, keys, place)
    weights = scores.float().softmax(-1).to(keys.dtype).flatten(1, 2)
    if len(keys) == len(place):
        mean = (weights.view(len(place), -1, keys.shape[1]) @ keys).view(len(tokens), -1, keys.shape[-1])
    else:
        mean = weights @ keys
    mean = mean.float().unflatten(1, (attention.num_heads, -1))
    values = torch.einsum("bhtc,hdc->bthd", mean, _split(attention.v_proj, attention.num_heads)).flatten(2)
    return attention.out_proj(values + attention.v_proj.bias)


def _answer(attention: Attention, tokens: Tensor, values: Tensor, keys: Tensor, place: Tensor) -> Tensor:
    """Image tokens attend to prompt tokens: [B * K, N, C]."""
    heads = attention.num_heads
    scores = _scores(attention, False, tokens, keys, place)
    weights = scores.float().softmax(2).to(keys.dtype).flatten(1, 2)
    v = attention.v_proj(values).unflatten(-1, (heads, -1))
    out = attention.out_proj.weight.T.unflatten(0, (heads, -1))
    # Each head's weights sum to one, so the output bias can be shared out among the heads.
    through = torch.einsum("bthd,hdc->bhtc", v, out) + attention.out_proj.bias / heads
    return weights.mT @ through.flatten(1, 2).to(keys.dtype)


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)
