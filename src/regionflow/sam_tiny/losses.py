"""What is trained, and the loss of one batch.

Two things make a SAM this small learn within hours on a CPU (each was needed: without them all masks became one blob
around the click):

- the image encoder is trained first, and always also directly: from the embedding of a cell its region's centre, box,
  size and colour can be read; pixels of the clicked region must be near to the click in another small linear read-out
  ("affinity"); and the decoder's upscaling and hypernetworks must already make the masks from the embedding of the
  clicked cell ("shortcut");
- the decoder's attention starts as "look at the cell where the click is and pass on what is there".
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam, TwoWayTransformer
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from regionflow.sam_tiny.data import Batch
from regionflow.sam_tiny.network import DIM, SIDE, STRIDE

PART, WHOLE, EITHER = 1, 2, 3
"""What the three masks of a click are trained to be; mask 0, which automatic generation does not use, is a whole."""

AFFINITY_DIM = 14
DESCRIPTION_DIM = 20
LOOK_SCALE = 2.0


class Readout(nn.Module):
    """What is read from the embedding during training only: affinity, and descriptions of regions."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(DIM, (AFFINITY_DIM + 2) * 4, 1)
        self.description = nn.Conv2d(DIM, DESCRIPTION_DIM, 1)
        self.log_distance = nn.Parameter(torch.tensor(-2.0))

    def affinity(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Logits of the clicked region [B * K, 1, P / 4]: how near to the click's a pixel's features are.

        What is near is said by the features at the click (as in Neven et al. 2019).
        """
        features = F.pixel_shuffle(self.features(embedding), 2).flatten(2)
        row, column = _clicked(batch, 2)
        index = (row * embedding.shape[3] * 2 + column)[:, None].expand(-1, AFFINITY_DIM + 2, -1)
        clicked = features.gather(2, index)
        q, p = clicked[:, :AFFINITY_DIM].mT, features[:, :AFFINITY_DIM]
        squared = (q * q).sum(2, keepdim=True) - 2 * (q @ p) + (p * p).sum(1, keepdim=True)
        bias, sharpness = clicked[:, AFFINITY_DIM, :, None], clicked[:, AFFINITY_DIM + 1, :, None]
        return (2 + bias - sharpness.clamp(-4, 6).exp() * squared).flatten(0, 1)[:, None]

    def near(self, embedding: Tensor, batch: Batch) -> Tensor:
        """What distance from the click takes from the shortcut's logits [B * K, 1, P / 4]."""
        distance = _squared_distance(batch, embedding.shape[2] * 2, embedding.shape[3] * 2)
        return (self.log_distance.exp() * distance).flatten(0, 1)[:, None]

    def description_loss(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Distance of what is read from the truth; places count relative to the size of the region."""
        error = F.smooth_l1_loss(self.description(embedding), batch.described, reduction="none", beta=0.1)
        wholes, parts = error.chunk(2, dim=1)
        total = embedding.new_zeros(())
        for level, of in enumerate((wholes, parts)):
            size = (batch.described[:, 10 * level + 6] * (math.log(SIDE * SIDE) / 2)).exp() / (SIDE / 2)
            places, rest = of[:, :6].mean(1), of[:, 6:].mean(1)
            total = total + ((places / (size + 0.05) + rest) * batch.weight[:, level]).mean()
        return total


def _clicked(batch: Batch, stride: int) -> tuple[Tensor, Tensor]:
    """Row and column [B, K] of the clicks, in cells of `stride` pixels."""
    column, row = (batch.points / stride).long().unbind(2)
    return row, column


def _halved(maps: Tensor, width: int) -> Tensor:
    """Maps [N, M, P] at half the size."""
    return F.avg_pool2d(maps.unflatten(2, (-1, width)), 2).flatten(2)


def _squared_distance(batch: Batch, height: int, width: int) -> Tensor:
    """From each click to each pixel of stride 2 [B, K, height * width], in units of 64 pixels."""
    index = torch.arange(height * width, device=batch.points.device)
    at = torch.stack([index % width, index // width], dim=1) * 2.0 + 1
    return ((at - batch.points[:, :, None]) ** 2).sum(-1) / 64**2


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
    corner = torch.as_tensor(batch.cells[:, None, ::-1] * STRIDE, device=batch.points.device)
    points = ((batch.points + corner) / SIDE).flatten(0, 1)[:, None]
    point = prompts.pe_layer._pe_encoding(points.float()) + prompts.point_embeddings[1].weight
    nothing = prompts.not_a_point_embed.weight.expand(len(points), 1, -1)
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(len(points), -1, -1)
    tokens = torch.cat([output, point, nothing], dim=1)

    dtype = (
        torch.get_autocast_dtype(embedding.device.type) if torch.is_autocast_enabled(embedding.device.type) else None
    )
    keys = (embedding + prompts.no_mask_embed.weight[..., None, None]).flatten(2).mT.to(dtype or embedding.dtype)
    place = placed.flatten(2).mT.to(keys.dtype)
    with torch.autocast(embedding.device.type, enabled=False):
        found, keys = _transform(decoder.transformer, tokens, keys, place, clicks)
        upscaled = _upscale(sam, keys)
        heads = decoder.output_hypernetworks_mlps
        hyper = torch.stack([heads[i](found[:, 1 + i]) for i in range(4)], dim=1)
        logits = _as_map(upscaled @ hyper.mT.to(upscaled.dtype), height, width)
        return logits, decoder.iou_prediction_head(found[:, 0])


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
        queries = layer.norm2(queries + _look(layer.cross_attn_token_to_image, queries + tokens, keys, place))
        queries = layer.norm3(queries + layer.mlp(queries))
        answer = _answer(layer.cross_attn_image_to_token, queries + tokens, queries, keys, place)
        if i == 0:
            keys = keys.repeat_interleave(clicks, 0)
        keys = _norm(layer.norm4, keys + answer)
    found = _look(transformer.final_attn_token_to_image, queries + tokens, keys, place)
    return transformer.norm_final_attn(queries + found), keys


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


def _look(attention: Attention, tokens: Tensor, keys: Tensor, place: Tensor) -> Tensor:
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


def _upscale(sam: Sam, keys: Tensor) -> Tensor:
    """Image tokens [B, N, DIM] to [B, N * 16, DIM / 8]: `output_upscaling`, whose pixels never overlap."""
    first, norm, _, second, _ = sam.mask_decoder.output_upscaling

    def product(x: Tensor, convolution: nn.Module) -> Tensor:
        weight = convolution.get_parameter("weight").permute(0, 2, 3, 1).flatten(1)
        bias = convolution.get_parameter("bias").repeat(4)
        return F.linear(x, weight.T.to(x.dtype), bias.to(x.dtype)).unflatten(-1, (4, -1))

    x = product(keys, first)
    x = F.gelu(F.layer_norm(x, x.shape[-1:], norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps))
    return F.gelu(product(x, second)).flatten(1, 3)


def _as_map(x: Tensor, height: int, width: int) -> Tensor:
    """[B, N * 16, K] in the order of `_upscale` to [B, K, P] in reading order."""
    x = x.view(len(x), height, width, 2, 2, 2, 2, -1).permute(0, 7, 1, 3, 5, 2, 4, 6)
    return x.reshape(len(x), x.shape[1], -1)


def shortcut(sam: Sam, embedding: Tensor, batch: Batch) -> Tensor:
    """Logits [B * K, 2, P / 4] of part and whole straight from the embedding, without the transformer."""
    _, _, height, width = embedding.shape
    keys = F.layer_norm(embedding.flatten(2).mT, (DIM,))
    upscaled = _upscale(sam, keys)
    row, column = _clicked(batch, STRIDE)
    clicked = keys.gather(1, (row * width + column)[..., None].expand(-1, -1, DIM))
    heads = sam.mask_decoder.output_hypernetworks_mlps
    hyper = torch.stack([heads[i](clicked) for i in (PART, WHOLE)], dim=2)
    logits = upscaled @ hyper.flatten(1, 2).mT.to(upscaled.dtype)
    return _halved(_as_map(logits, height, width).unflatten(1, (-1, 2)).flatten(0, 1), 4 * width)


def mask_losses(logits: Tensor, targets: Tensor, valid: Tensor, balance: float) -> tuple[Tensor, Tensor]:
    """Loss and IoU [N, M, T] of every predicted mask [N, M, P] with every target [N, T, P].

    Twice the cross entropy plus the dice loss. `balance`: share of the cross entropy in which inside and outside of
    the target count the same, however large they are.
    """
    logits = logits.float()
    shown = valid[:, None]
    targets = targets * shown
    inside, pixels = targets.sum(-1)[:, None], valid.sum(-1)[:, None, None]
    softplus = F.softplus(logits) * shown
    all_softplus = softplus.sum(-1, keepdim=True)
    target_softplus, target_logits = softplus @ targets.mT, logits @ targets.mT
    balanced = (target_softplus - target_logits) / (inside + 1) + (all_softplus - target_softplus) / (
        pixels - inside + 1
    )
    plain = (all_softplus - target_logits) / pixels
    entropy = balance * 0.5 * balanced + (1 - balance) * plain
    chance = logits.sigmoid() * shown
    dice = 1 - (2 * (chance @ targets.mT) + 1) / (chance.sum(-1, keepdim=True) + inside + 1)
    with torch.no_grad():
        mask = (logits > 0).float() * shown
        both = mask @ targets.mT
        iou = both / (mask.sum(-1, keepdim=True) + inside - both).clamp(min=1)
    return 2 * entropy + dice, iou


def edge_loss(edges: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the edges [B, 2, heads, h, w] that grouping sees, with those between parts and wholes."""
    wholes, parts = batch.cell_labels[:, :1], batch.cell_labels[:, 1:]
    half = edges.shape[2] // 2
    total = edges.new_zeros(())
    for labels, seen in ((parts, edges[:, :, :half]), (wholes, edges[:, :, half:])):
        right = (labels[..., 1:] != labels[..., :-1]).float().expand_as(seen[:, 0, :, :, :-1])
        down = (labels[:, :, 1:] != labels[:, :, :-1]).float().expand_as(seen[:, 1, :, :-1])
        for logits, truth in ((seen[:, 0, :, :, :-1], right), (seen[:, 1, :, :-1], down)):
            total = total + F.binary_cross_entropy_with_logits(logits, truth) / 4
    return total


@dataclass(frozen=True)
class Schedule:
    """What changes while training goes on; all in [0, 1]."""

    decoder: bool
    balance: float
    auxiliary: float


@dataclass(frozen=True)
class Outcome:
    """The loss of a batch, and means to watch: IoUs of the masks trained to be parts and wholes, and so on."""

    loss: Tensor
    measured: dict[str, Tensor]


def batch_loss(sam: Sam, readout: Readout, batch: Batch, schedule: Schedule, bf16: bool = True) -> Outcome:
    """Loss of one batch; without `schedule.decoder` only the encoder's own."""
    valid = batch.valid.repeat_interleave(batch.points.shape[1], 0)
    width, device = batch.images.shape[3], batch.images.device.type
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        embedding, edges = sam.image_encoder.encode(batch.images, torch.as_tensor(batch.cells, device=device))
        short = shortcut(sam, embedding, batch)
    affinity, near = readout.affinity(embedding, batch), readout.near(embedding, batch)
    described = readout.description_loss(embedding, batch)
    halved, seen = _halved(batch.targets, width), _halved(valid[:, None], width)[:, 0]
    part, whole = halved[:, 1:], halved[:, :1]
    close, affinity_iou = mask_losses(affinity, part, seen, schedule.balance)
    short_part, short_iou = mask_losses(short[:, :1].float() - near, part, seen, schedule.balance)
    short_whole, _ = mask_losses(short[:, 1:].float() - near, whole, seen, schedule.balance)
    edge = edge_loss(edges, batch)
    direct = close.mean() + short_part.mean() + short_whole.mean() + described + 4 * edge
    measured = {"affinity": affinity_iou.mean(), "shortcut": short_iou.mean()}
    measured |= {"description": described.detach(), "edges": edge.detach()}
    if not schedule.decoder:
        return Outcome(direct, measured)
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        logits, predicted = decode(sam, embedding, batch)
    losses, iou = mask_losses(logits, batch.targets, valid, schedule.balance)
    masks = (
        losses[:, PART, 1].mean()
        + losses[:, WHOLE, 0].mean()
        + 0.5 * losses[:, 0, 0].mean()
        + 0.5 * losses[:, EITHER].min(-1).values.mean()
    )
    best = iou.max(-1).values
    quality = F.mse_loss(predicted.float(), best)
    chosen = best[:, 1:].gather(1, predicted[:, 1:].argmax(1, keepdim=True)).mean()
    measured |= {
        "part": iou[:, PART, 1].mean(),
        "whole": iou[:, WHOLE, 0].mean(),
        "best_of_three": iou[:, 1:, 1].max(1).values.mean(),
        "chosen": chosen,
        "iou_error": quality.detach(),
    }
    return Outcome(masks + 2 * quality + schedule.auxiliary * direct, measured)
