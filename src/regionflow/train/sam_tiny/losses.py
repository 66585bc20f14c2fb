"""What is trained, and the loss of one batch.

The image encoder is trained first, and always also directly: on the edges that its groupings see; pixels of the clicked
region must be near to the click in a small linear read-out of the embedding ("affinity"); and the decoder's upscaling
and hypernetworks must already make the masks from the embedding of the clicked cell ("shortcut"). Without a stage of
the encoder's own all masks became one blob around the click.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from torch import Tensor, nn

from regionflow.sam.cleanup import connected_at
from regionflow.sam.tiny import DIM, EDGE_STRIDE, PLACE_DIM, STRIDE, waves
from regionflow.sam.upscaling import Upscaling, hyper_logits
from regionflow.train.sam_tiny.data import Batch
from regionflow.train.sam_tiny.decoding import decode

PART, WHOLE, EITHER = 1, 2, 3
"""What the three masks of a click are trained to be; mask 0, which automatic generation does not use, is a whole."""

AFFINITY_DIM = 14

EDGES, PLACES = 24.0, 4.0
"""Weights among the encoder's own losses; edges count most, since every group is what they leave connected."""
EDGE_RARITY = 3.0
"""How much more a place at an edge, of which there are few, counts than one inside."""
AUXILIARY, QUALITY = 0.4, 6.0
"""Weights of the encoder's own losses and of the error of predicted IoUs beside the decoder's masks."""


class Readout(nn.Module):
    """What is read from the embedding during training only."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(DIM, (AFFINITY_DIM + 2) * 4, 1)
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


class Places(nn.Module):
    """Where the whole and the part are that a pixel belongs to: the means of their waves, read from the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.means = nn.Conv2d(DIM, 2 * PLACE_DIM * 4, 1)

    def loss(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Squared error; a region counts with the square root of its area."""
        read = F.pixel_shuffle(self.means(embedding), 2)
        frame = waves(read, batch.cells * (STRIDE // EDGE_STRIDE), EDGE_STRIDE).flatten(2)
        total = embedding.new_zeros(())
        for level, values in enumerate(read.flatten(2).chunk(2, dim=1)):
            labels = batch.cell_labels[:, level].flatten(1)
            index = labels[:, None].expand_as(frame)
            area = frame.new_zeros(len(frame), 256).scatter_add_(1, labels, torch.ones_like(frame[:, 0])).clamp(min=1)
            means = frame.new_zeros(len(frame), PLACE_DIM, 256).scatter_add_(2, index, frame) / area[:, None]
            weight = area.rsqrt().gather(1, labels) * (labels > 0)
            error = ((values - means.gather(2, index)) ** 2).mean(1)
            total = total + (error * weight).sum() / weight.sum()
        return total


def _clicked(batch: Batch, stride: int) -> tuple[Tensor, Tensor]:
    """Row and column [B, K] of the clicks, in cells of `stride` pixels."""
    column, row = (batch.points / stride).long().unbind(2)
    return row, column


def _halved(maps: Tensor, batch: Batch) -> Tensor:
    """Maps [N, M, P] at half the size."""
    return F.avg_pool2d(maps.unflatten(2, batch.images.shape[2:]), 2).flatten(2)


def _squared_distance(batch: Batch, height: int, width: int) -> Tensor:
    """From each click to each pixel of stride 2 [B, K, height * width], in units of 64 pixels."""
    index = torch.arange(height * width, device=batch.points.device)
    at = torch.stack([index % width, index // width], dim=1) * 2.0 + 1
    return ((at - batch.points[:, :, None]) ** 2).sum(-1) / 64**2


def shortcut(sam: Sam, embedding: Tensor, batch: Batch) -> Tensor:
    """Logits [B * K, 2, P / 4] of part and whole straight from the embedding, without the transformer."""
    _, _, height, width = embedding.shape
    keys = F.layer_norm(embedding.flatten(2).mT, (DIM,))
    with torch.autocast(embedding.device.type, enabled=False):
        upscaled = Upscaling(sam.mask_decoder.output_upscaling, keys.dtype)(keys)
        row, column = _clicked(batch, STRIDE)
        clicked = keys.gather(1, (row * width + column)[..., None].expand(-1, -1, DIM))
        heads = sam.mask_decoder.output_hypernetworks_mlps
        hyper = torch.stack([heads[i](clicked) for i in (PART, WHOLE)], dim=2)
        logits = hyper_logits(upscaled, hyper.flatten(1, 2), (height, width))
    return F.avg_pool2d(logits, 2).flatten(2).unflatten(1, (-1, 2)).flatten(0, 1)


def mask_losses(
    logits: Tensor, targets: Tensor, valid: Tensor, balance: float, islands: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Loss and IoU [N, M, T] of every predicted mask [N, M, P] with every target [N, T, P].

    Twice the cross entropy plus the dice loss. `balance`: share of the cross entropy in which inside and outside of
    the target count the same, however large they are. `islands` [N, M, P]: pixels that mask generation will drop; the
    masks' IoUs are those without, and where they are outside of all targets they have no loss.
    """
    logits = logits.float()
    shown = valid[:, None]
    targets = targets * shown
    counted = shown
    if islands is not None:
        counted = shown * (1 - islands)
        shown = shown * (1 - islands * (1 - targets.amax(1, keepdim=True)))
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
        mask = (logits > 0).float() * counted
        both = mask @ targets.mT
        iou = both / (mask.sum(-1, keepdim=True) + inside - both).clamp(min=1)
    return 2 * entropy + dice, iou


@torch.no_grad()
def islands_of(logits: Tensor, batch: Batch) -> Tensor:
    """One where a predicted mask [N, M, P] is not connected to its click, else zero."""
    height, width = batch.images.shape[2:]
    stride = math.isqrt(height * width // logits.shape[2])
    maps = (logits > 0).unflatten(2, (-1, width // stride)).cpu().numpy()
    at = (batch.points.flatten(0, 1) / stride).long().cpu().numpy()
    parts = connected_at(maps.reshape(-1, *maps.shape[2:]), at.repeat(maps.shape[1], 0)).reshape(maps.shape)
    return torch.from_numpy(maps & ~parts).to(logits.device, torch.float32).flatten(2)


def edge_loss(edges: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the edges [2, B, 2, heads, h, w] that the groupings see, with those between parts and wholes."""
    weight = edges.new_tensor(EDGE_RARITY)
    wholes, parts = batch.cell_labels[:, :1], batch.cell_labels[:, 1:]
    half = edges.shape[3] // 2
    total = edges.new_zeros(())
    for labels, seen in ((parts, edges[:, :, :, :half]), (wholes, edges[:, :, :, half:])):
        right, down = seen[:, :, 0, ..., :-1], seen[:, :, 1, ..., :-1, :]
        between = (labels[..., 1:] != labels[..., :-1], labels[:, :, 1:] != labels[:, :, :-1])
        for logits, truth in zip((right, down), between, strict=True):
            known = truth.float().expand_as(logits)
            total = total + F.binary_cross_entropy_with_logits(logits, known, pos_weight=weight) / 4
    return total


@dataclass(frozen=True)
class Schedule:
    """What changes while training goes on.

    decoder: whether it is trained; balance: as in `mask_losses`; connected: whether only what is connected to the click
    counts.
    """

    decoder: bool
    balance: float
    connected: bool


@dataclass(frozen=True)
class Outcome:
    """The loss of a batch, and means to watch: IoUs of the masks trained to be parts and wholes, and so on."""

    loss: Tensor
    measured: dict[str, Tensor]


def batch_loss(sam: Sam, readouts: tuple[Readout, Places], batch: Batch, schedule: Schedule) -> Outcome:
    """Loss of one batch; without `schedule.decoder` only the encoder's own."""
    readout, places = readouts
    valid = batch.valid.repeat_interleave(batch.points.shape[1], 0)
    embedding, edges = sam.image_encoder.encode(batch.images, batch.cells)
    short = shortcut(sam, embedding, batch)
    with torch.autocast(batch.images.device.type, enabled=False):
        affinity, near = readout.affinity(embedding, batch), readout.near(embedding, batch)
    halved, seen = _halved(batch.targets, batch), _halved(valid[:, None], batch)[:, 0]
    part, whole = halved[:, 1:], halved[:, :1]

    def losses_of(logits: Tensor, targets: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        islands = islands_of(logits, batch) if schedule.connected else None
        return mask_losses(logits, targets, valid, schedule.balance, islands)

    close, affinity_iou = losses_of(affinity, part, seen)
    short_part, short_iou = losses_of(short[:, :1].float() - near, part, seen)
    short_whole, _ = losses_of(short[:, 1:].float() - near, whole, seen)
    edge = edge_loss(edges, batch)
    with torch.autocast(batch.images.device.type, enabled=False):
        place = places.loss(embedding, batch)
    direct = close.mean() + short_part.mean() + short_whole.mean() + EDGES * edge + PLACES * place
    measured = {
        "affinity": affinity_iou.mean(),
        "shortcut": short_iou.mean(),
        "edges": edge.detach(),
        "places": place.detach(),
    }
    if not schedule.decoder:
        return Outcome(direct, measured)
    logits, predicted = decode(sam, embedding, batch)
    losses, iou = losses_of(logits, batch.targets, valid)
    masks = (
        losses[:, PART, 1].mean()
        + losses[:, WHOLE, 0].mean()
        + 0.5 * losses[:, 0, 0].mean()
        + 0.5 * losses[:, EITHER].min(-1).values.mean()
    )
    quality, watched = _quality(predicted, iou)
    return Outcome(masks + QUALITY * quality + AUXILIARY * direct, measured | watched)


def _quality(predicted: Tensor, iou: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared error of predicted IoUs [N, 4], where true ones are [N, 4, 2] with whole and part; and what to watch."""
    best = iou.max(-1).values
    error = F.mse_loss(predicted.float(), best)
    return error, {
        "part": iou[:, PART, 1].mean(),
        "whole": iou[:, WHOLE, 0].mean(),
        "best_of_three": iou[:, 1:, 1].max(1).values.mean(),
        "chosen": best[:, 1:].gather(1, predicted[:, 1:].argmax(1, keepdim=True)).mean(),
        "iou_error": error.detach(),
    }
