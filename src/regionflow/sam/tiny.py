"""The network: segment-anything's prompt encoder and mask decoder, small, behind a convolutional image encoder."""

import math
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

SIDE = 256
STRIDE = 4
DIM = 64
HEADS = 2
MLP_DIM = 256
MASK_CHANNELS = 16
WIDTHS = (32, 64, 96, 128)
EDGE_STRIDE = 2
EDGE_COST = 2.0
"""At the start of training; each head learns its own."""
WAVES = (512.0, 256.0, 128.0, 64.0, 32.0, 16.0)
"""Pixels, of the waves that say where in the frame something is."""
PLACE_DIM = 4 * len(WAVES)
POSITION_SCALE = 2.0
"""Of the random frequencies of the position code: twice SAM's, so that a click is told from its neighbour cell."""


class ConvNorm(nn.Sequential):
    """Convolution and batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        padding = (kernel - 1) // 2 * dilation
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two convolutions around a shortcut; starts as the identity."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, dilation=dilation)
        self.second = ConvNorm(channels, channels)
        nn.init.zeros_(self.second.get_parameter("1.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class _Spread(torch.autograd.Function):
    """Sum over each line of a map, what lies at a distance weighted by the product of the links on the way.

    Two recurrences, from left and from right: y_i = x_i + link_i-1 y_i-1. The operator is its own adjoint.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, links: Tensor, dim: int) -> Tensor:
        ahead, back = _recurrence(x, links, dim, False), _recurrence(x, links, dim, True)
        context.save_for_backward(links, ahead, back)
        context.dim = dim
        return ahead + back - x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        links, ahead, back = context.saved_tensors
        dim, last = context.dim, links.shape[context.dim] - 1
        right, left = _recurrence(gradient, links, dim, False), _recurrence(gradient, links, dim, True)
        of_links = torch.zeros_like(links)
        inner = of_links.narrow(dim, 0, last)
        torch.mul(ahead.narrow(dim, 0, last), left.narrow(dim, 1, last), out=inner)
        inner.addcmul_(back.narrow(dim, 1, last), right.narrow(dim, 0, last))
        return right + left - gradient, of_links, None


def _recurrence(x: Tensor, links: Tensor, dim: int, backwards: bool) -> Tensor:
    """y_i = x_i + links_i-1 y_i-1 along `dim`, or y_i = x_i + links_i y_i+1."""
    y = torch.empty_like(x)
    into, given, link = y.unbind(dim), x.unbind(dim), links.unbind(dim)
    last = len(given) - 1
    into[last if backwards else 0].copy_(given[last if backwards else 0])
    for i in range(1, last + 1):
        at, before, by = (last - i, last - i + 1, last - i) if backwards else (i, i - 1, i - 1)
        torch.addcmul(given[at], link[by], into[before], out=into[at])
    return y


def spread(x: Tensor, links: Tensor, dim: int) -> Tensor:
    """Sums over lines of a map x [B, H, W, C], along dimension `dim` (1 or 2), that fade with the links on the way.

    links [B, H, W, C], in (0, 1): between each place and the next of its line; the last of a line counts nothing.
    """
    return _Spread.apply(x, links, dim)


class Grouping(nn.Module):
    """Means over what belongs together: means along rows and columns that fade with the edges in between.

    The network says for each place how much of an edge lies between it and its right and its lower neighbour. Places
    of a row are averaged with weights exp(-cost of the way), then those of a column, a few rounds: the edge-aware
    filter of Gastal and Oliveira 2011 ("domain transform", its recursive form), with learned edges. Half of the heads
    are trained to know the edges of parts, half those of wholes.
    """

    def __init__(self, inputs: int, dim: int, heads: int = 4, rounds: int = 2) -> None:
        super().__init__()
        self.heads, self.rounds = heads, rounds
        self.edges = nn.Sequential(ConvNorm(inputs, inputs), nn.ReLU(), nn.Conv2d(inputs, 2 * heads, 1))
        self.value = ConvNorm(inputs, dim, kernel=1)
        self.place = nn.Conv2d(PLACE_DIM, dim, 1, bias=False)
        self.out = nn.Sequential(nn.ReLU(), ConvNorm(dim, dim, kernel=1))
        self.log_cost = nn.Parameter(torch.full((heads,), math.log(EDGE_COST)))

    def forward(self, x: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, C, h, w] to [B, dim, h, w], and logits of edges [B, 2, heads, h, w] to the right and down."""
        edges = self.edges(x).float().unflatten(1, (2, self.heads))
        value = (self.value(x) + self.place(place)).float().permute(0, 2, 3, 1).contiguous()
        with torch.autocast(x.device.type, enabled=False):
            cost = self.log_cost.exp()[:, None, None]
            links = (-cost * nn.functional.softplus(edges)).exp().permute(1, 0, 3, 4, 2).contiguous()
            ones = torch.ones_like(links[0])
            each = value.shape[-1] // self.heads
            right, down = (along.repeat_interleave(each, -1) for along in links)
            over_row, over_column = (
                spread(ones, along, dim).reciprocal().repeat_interleave(each, -1)
                for along, dim in zip(links, (2, 1), strict=True)
            )
            for _ in range(self.rounds):
                value = spread(value, right, 2) * over_row
                value = spread(value, down, 1) * over_column
        return self.out(value.permute(0, 3, 1, 2).to(x.dtype)), edges


class TinyEncoder(nn.Module):
    """Images [B, 3, H, W], normalised as SAM's, to embeddings [B, DIM, H / 4, W / 4]; H and W divide by 16.

    A U-net of strides 2, 4, 8 and 16 and back to 2, then two groupings: the second sees the means of the first when it
    decides on edges. The embedding's stride of 4 (SAM's is 16) is what lets a click name a region of a few pixels. With
    the features are averaged waves of the place in the frame: short ones tell small regions apart, long ones large
    regions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.img_size = SIDE  # where segment-anything's modules ask for it
        a, b, c, d = WIDTHS
        self.stride2 = nn.Sequential(ConvNorm(3, a, kernel=6, stride=2), nn.ReLU(), Residual(a))
        self.stride4 = nn.Sequential(ConvNorm(a, b, stride=2), nn.ReLU(), Residual(b), Residual(b))
        self.stride8 = nn.Sequential(ConvNorm(b, c, stride=2), nn.ReLU(), Residual(c), Residual(c, dilation=2))
        self.stride16 = nn.Sequential(ConvNorm(c, d, stride=2), nn.ReLU(), Residual(d), Residual(d, dilation=2))
        self.up8 = ConvNorm(d, c, kernel=1)
        self.merge8 = Residual(c)
        self.up4 = ConvNorm(c, b, kernel=1)
        self.merge4 = Residual(b)
        self.up2 = ConvNorm(b, a, kernel=1)
        self.merge2 = Residual(a)
        self.first = Grouping(a, a)
        self.merge_first = Residual(a)
        self.second = Grouping(a, DIM)
        self.neck = ConvNorm(DIM + a, DIM, kernel=2, stride=2)
        self.place = nn.Conv2d(PLACE_DIM, DIM, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch of images, under autocast as well in the images' own type.

        It is a fiftieth of the work of mask generation, and rounding in it moves masks about as much as rounding in all
        of the decoder.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self.encode(x, torch.zeros(len(x), 2, device=x.device))[0]

    def encode(self, x: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of crops whose upper left cells are `cells` (row, column) [B, 2] in the frame.

        And the logits of edges at stride 2 that both groupings saw, [2, B, 2, heads, H / 2, W / 2].
        """
        x2 = self.stride2(x.contiguous(memory_format=torch.channels_last))
        x4 = self.stride4(x2)
        x8 = self.stride8(x4)
        x8 = self.merge8(torch.relu(x8 + _doubled(self.up8(self.stride16(x8)))))
        x4 = self.merge4(torch.relu(x4 + _doubled(self.up4(x8))))
        x2 = self.merge2(torch.relu(x2 + _doubled(self.up2(x4))))
        place = waves(x2, cells * (STRIDE // EDGE_STRIDE), EDGE_STRIDE)
        grouped, first_edges = self.first(x2, place)
        x2 = self.merge_first(torch.relu(x2 + grouped))
        grouped, second_edges = self.second(x2, place)
        embedding = self.neck(torch.cat([torch.relu(grouped), x2], 1))
        embedding = embedding + self.place(waves(embedding, cells, STRIDE))
        return embedding.float(), torch.stack([first_edges, second_edges])


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def waves(like: Tensor, corner: Tensor, stride: int) -> Tensor:
    """Sine and cosine of x and y of each cell of a map [B, C, h, w], wave lengths WAVES: [B, PLACE_DIM, h, w]."""
    _, _, height, width = like.shape
    length = torch.tensor(WAVES, device=like.device)[:, None]

    def along(first: Tensor, count: int) -> Tensor:
        """[B, 2 * len(WAVES), count]."""
        at = (torch.arange(count, device=like.device) + first[:, None] + 0.5) * stride
        angle = at[:, None] * (2 * math.pi / length)
        return torch.cat([angle.sin(), angle.cos()], 1)

    y, x = along(corner[:, 0], height)[..., None], along(corner[:, 1], width)[:, :, None]
    return torch.cat([y.expand(-1, -1, -1, width), x.expand(-1, -1, height, -1)], 1).to(like.dtype)


def sam_tiny() -> Sam:
    """The model with random weights."""
    grid = SIDE // STRIDE
    sam = Sam(
        TinyEncoder(),
        PromptEncoder(
            embed_dim=DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=MASK_CHANNELS,
        ),
        MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=DIM, num_heads=HEADS, mlp_dim=MLP_DIM, attention_downsample_rate=1
            ),
            transformer_dim=DIM,
            iou_head_depth=3,
            iou_head_hidden_dim=2 * DIM,
        ),
    )
    sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix *= POSITION_SCALE
    return sam
