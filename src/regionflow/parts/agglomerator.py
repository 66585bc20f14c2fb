"""The Agglomerator (Garau et al., "Interpretable part-whole hierarchies and conceptual-semantic relationships in neural
networks", CVPR 2022), a network in the manner of GLOM (Hinton 2021), as distilled by Radwan and Shehata (ICCVW 2023).

An image becomes a grid of N columns, each a stack of L levels (0: subpart ... L - 1: whole) of D numbers. In every
iteration a level becomes a weighted mean of itself, what the level below predicts (bottom-up), what the level above
predicts (top-down), and what the same level of the other columns holds (consensus attention). Neighbouring columns that
end with like vectors are an island.

Levels are kept as [B, L, D, N]: the networks normalise over the columns and mix the features of each level by
themselves, so both are plain operations on the last two axes. The number of columns is part of the weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionflow.parts.options import StudentOptions

# A column's attention score with itself, in place of the product (from GLOM implementations before the Agglomerator).
SELF_SCORE = -5e-4


class ConvTokenizer(nn.Sequential):
    """Convolutions that shrink an image to a fourth: [B, 3, S, S] to [B, C, S / 4, S / 4]."""

    def __init__(self, channels: int, width: int) -> None:
        sizes = ((channels, width // 2, 2), (width // 2, width // 2, 1), (width // 2, width, 1))
        layers: list[nn.Module] = []
        for before, after, stride in sizes:
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.MaxPool2d(3, 2, 1))


class Sine(nn.Module):
    """The activation of the top-down networks (SIREN, Sitzmann et al. 2020, without its factor)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


class LevelNetworks(nn.Module):
    """One network per level, [B, L, D, N] to [B, L, D', N]: norm over the columns, linear, activation, and so on.

    `hidden` counts the layers of 4 * D between the first and the last.
    """

    def __init__(
        self,
        columns: int,
        levels: int,
        dim: int,
        activation: type[nn.Module],
        *,
        hidden: int = 1,
        out: int | None = None,
    ) -> None:
        super().__init__()
        widths = [dim, *[4 * dim] * hidden, out or dim]
        self.levels = levels
        self.norms = nn.ModuleList(nn.LayerNorm(columns) for _ in widths[1:])
        self.linears = nn.ModuleList(
            nn.Conv1d(levels * before, levels * after, 1, groups=levels) for before, after in pairwise(widths)
        )
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1, 2)
        for i, (norm, linear) in enumerate(zip(self.norms, self.linears, strict=True)):
            x = linear(norm(self.activation(x) if i else x))
        return x.unflatten(1, (self.levels, -1))


class ConsensusAttention(nn.Module):
    """Each level of a column looks at the same level of all columns: [B, L, D, N] to the same. No weights.

    Queries and values are the levels themselves, keys are the levels at length 1. `radius` in columns keeps the
    attention local; 0 is global.
    """

    def __init__(self, side: int, attend_self: bool = False, radius: float = 0) -> None:
        super().__init__()
        self.attend_self = attend_self
        far = torch.zeros(side**2, side**2, dtype=torch.bool)
        if radius > 0:
            at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
            far = torch.cdist(at, at) > radius
        self.register_buffer("far", far, persistent=False)
        self.register_buffer("itself", torch.eye(side**2, dtype=torch.bool), persistent=False)
        self.local = radius > 0

    def forward(self, levels: Tensor) -> Tensor:
        scores = levels.mT @ F.normalize(levels, dim=2) * levels.shape[2] ** -0.5
        if not self.attend_self:
            scores = scores.masked_fill(self.itself, SELF_SCORE)
        if self.local:
            scores = scores.masked_fill(self.far, -torch.finfo(scores.dtype).max)
        return levels @ scores.softmax(dim=-1).mT


@dataclass(frozen=True)
class Columns:
    """What the network gives for B images: levels [B, N, L, D] after the last iteration, and outputs [B, N, L, E]: they
    are trained to be the teacher's embeddings, and are the levels themselves where there is no encoder."""

    levels: Tensor
    outputs: Tensor


class Agglomerator(nn.Module):
    """The network; its classifier is `Probe`.

    target_mean, target_std [E]: of the teacher's embeddings where they are standardised for the training, else 0 and 1.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, options: StudentOptions) -> None:
        super().__init__()
        self.options = options
        levels, dim, columns = options.levels, options.dim, options.grid**2
        self.tokenizer = ConvTokenizer(3, options.token_channels)
        self.start = nn.Parameter(torch.randn(levels, dim))
        """The state of every column before the first iteration [L, D]."""
        self.bottom_up = LevelNetworks(columns, levels, dim, nn.GELU)
        self.top_down = LevelNetworks(columns, levels - 1, dim, Sine)
        self.attention = ConsensusAttention(options.grid, options.attend_self, options.attention_radius)
        self.weights = nn.Parameter(torch.full((4,), options.start_weight))
        """Weights of the level itself, bottom-up, top-down, consensus."""
        self.encoder: LevelNetworks | None = None
        if options.encoder_dim is not None:
            self.encoder = LevelNetworks(columns, levels, dim, nn.GELU, hidden=3, out=options.encoder_dim)
        contributions = torch.full((levels, 1, 1), 4.0)
        contributions[-1] = 3  # nothing predicts the top level from above
        self.register_buffer("contributions", contributions, persistent=False)
        self.register_buffer("target_mean", torch.zeros(options.width))
        self.register_buffer("target_std", torch.ones(options.width))

    def tokens(self, images: Tensor) -> Tensor:
        """Input of the lowest level [B, 1, D, N] of normalised images [B, 3, S, S]."""
        blocks = F.pixel_unshuffle(self.tokenizer(images), self.options.patch_size)
        return blocks.flatten(2)[:, None]

    def iterate(self, images: Tensor, state: Tensor | None = None) -> Iterator[Tensor]:
        """Levels [B, L, D, N] before the first iteration and after each; `state` replaces the learned start."""
        tokens = self.tokens(images)
        batch, _, _, columns = tokens.shape
        levels = self.start[None, :, :, None].expand(batch, -1, -1, columns) if state is None else state
        yield levels
        for _ in range(self.options.iterations or 2 * self.options.levels):
            levels = self.update(tokens, levels)
            yield levels

    def update(self, tokens: Tensor, levels: Tensor) -> Tensor:
        """One iteration."""
        itself, up, down, consensus = self.weights
        bottom_up = self.bottom_up(torch.cat([tokens, levels[:, :-1]], dim=1))
        top_down = F.pad(self.top_down(levels[:, 1:]), (0, 0, 0, 0, 0, 1))
        total = levels * itself + bottom_up * up + top_down * down + self.attention(levels) * consensus
        return total / self.contributions

    def forward(self, images: Tensor) -> Columns:
        """Columns of normalised images [B, 3, S, S]."""
        *_, levels = self.iterate(images)
        return Columns(levels.permute(0, 3, 1, 2), self.outputs(levels).permute(0, 3, 1, 2))

    def outputs(self, levels: Tensor) -> Tensor:
        """What levels [B, L, D, N] say the teacher's embeddings are, standardised: [B, L, E, N]."""
        return levels if self.encoder is None else self.encoder(levels)

    def standardised(self, embeddings: Tensor) -> Tensor:
        """Embeddings of the teacher [..., E] in the units of the outputs."""
        return (embeddings - self.target_mean) / self.target_std

    def embeddings(self, outputs: Tensor) -> Tensor:
        """Outputs [..., E] in the units of the teacher's embeddings."""
        return outputs * self.target_std + self.target_mean


class Probe(nn.Sequential):
    """Linear classifier over the top level [B, N, D] of frozen columns: class scores [B, K].

    As published the top level is first scaled to length 1 along the columns (dim 1), not along the features.
    """

    def __init__(self, columns: int, dim: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__(
            nn.LayerNorm(dim),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.LayerNorm(columns * dim),
            nn.Dropout(dropout),
            nn.Linear(columns * dim, classes),
        )
        self.columns, self.dim = columns, dim

    def forward(self, top: Tensor) -> Tensor:
        return super().forward(F.normalize(top, dim=1))


def levels_loss(outputs: Tensor, targets: Tensor, valid: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared error to the teacher's embeddings; a scalar.

    Args:
        outputs, targets: [B, N, L, E].
        valid: bool [B, N, L], false where the teacher's mask is empty: those count nowhere.
        weights: [L], 0.1, 0.2, 0.7 as published (the whole counts most).
    """
    errors = (outputs - targets).square().mean(dim=-1)
    counted = valid.to(errors.dtype)
    per_level = (errors * counted).sum(dim=(0, 1)) / counted.sum(dim=(0, 1)).clamp(min=1)
    return (per_level * weights).sum()
