"""The network: segment-anything's prompt encoder and mask decoder, small, behind a convolutional image encoder."""

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

SIDE = 256
STRIDE = 4
DIM = 64
HEADS = 2
MLP_DIM = 256
MASK_CHANNELS = 16
WIDTHS = (32, 64, 128, 160)
PLACE_DIM = 5
EDGE_COST = 2.0
POSITION_SCALE = 2.0
"""Of the random frequencies of the position code: twice SAM's, so that a click is told from its neighbour cell."""


class ConvNorm(nn.Sequential):
    """Convolution and batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        padding = 0 if kernel == stride else (kernel // 2) * dilation
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


class Grouping(nn.Module):
    """Means over what belongs together: attention along rows and columns that fades with the edges in between.

    The network says for each cell how much it costs to go on to its right and to its lower neighbour. Cells of a row
    attend to each other with exp(-cost of the way), then those of a column, a few rounds: an edge-aware filter as in
    Gastal and Oliveira 2011 ("domain transform"), with learned edges. Half of the heads are trained to know the edges
    of parts, half those of wholes.
    """

    def __init__(self, dim: int, heads: int = 4, rounds: int = 3) -> None:
        super().__init__()
        self.heads, self.rounds = heads, rounds
        self.edges = nn.Sequential(ConvNorm(dim, dim), nn.ReLU(), nn.Conv2d(dim, 2 * heads, 1))
        self.value = ConvNorm(dim, dim, kernel=1)
        self.place = nn.Conv2d(PLACE_DIM, dim, 1, bias=False)
        self.out = nn.Sequential(nn.ReLU(), ConvNorm(dim, dim, kernel=1))

    def forward(self, x: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, C, h, w] to the same, and logits of edges [B, 2, heads, h, w] to the right and downwards."""
        edges = self.edges(x).float().unflatten(1, (2, self.heads))
        value = (self.value(x) + self.place(place)).unflatten(1, (self.heads, -1))
        with torch.autocast(x.device.type, enabled=False):
            cost = EDGE_COST * nn.functional.softplus(edges)
            along_rows = nearness(cost[:, 0]).to(value.dtype)
            along_columns = nearness(cost[:, 1].mT).to(value.dtype)
            value = value.permute(0, 1, 3, 4, 2)  # [B, heads, h, w, c]
            for _ in range(self.rounds):
                value = along_rows @ value
                value = (along_columns @ value.transpose(2, 3)).transpose(2, 3)
        return self.out(value.permute(0, 1, 4, 2, 3).flatten(1, 2)), edges


def nearness(cost: Tensor) -> Tensor:
    """Weights [..., n, n], rows of sum 1, of cells on a line [..., n]; cost: of the way from each cell to the next."""
    at = nn.functional.pad(cost[..., :-1].cumsum(-1), (1, 0))
    weight = (at[..., None] - at[..., None, :]).abs().neg().exp()
    return weight / weight.sum(-1, keepdim=True)


class TinyEncoder(nn.Module):
    """Images [B, 3, H, W], normalised as SAM's, to embeddings [B, DIM, H / 4, W / 4]; H and W divide by 16.

    A U-net of strides 2, 4, 8 and 16, then the grouping. The stride of 4 (SAM's is 16) is what lets a click name a
    region of a few pixels. To the embedding comes a polynomial of the place in the frame, from which a mask can learn
    to stay near its click.
    """

    def __init__(self, img_size: int = SIDE) -> None:
        super().__init__()
        self.img_size = img_size
        a, b, c, d = WIDTHS
        self.stride2 = nn.Sequential(ConvNorm(3, a, stride=2), nn.ReLU(), Residual(a))
        self.stride4 = nn.Sequential(ConvNorm(a, b, stride=2), nn.ReLU(), Residual(b), Residual(b))
        self.stride8 = nn.Sequential(ConvNorm(b, c, stride=2), nn.ReLU(), Residual(c), Residual(c, dilation=2))
        self.stride16 = nn.Sequential(ConvNorm(c, d, stride=2), nn.ReLU(), Residual(d), Residual(d, dilation=2))
        self.up8 = ConvNorm(d, c, kernel=1)
        self.merge8 = Residual(c)
        self.up4 = ConvNorm(c, b, kernel=1)
        self.skip2 = ConvNorm(a, b, kernel=2, stride=2)
        self.merge4 = Residual(b)
        self.grouping = Grouping(b)
        self.neck = ConvNorm(b, DIM)
        self.place = nn.Conv2d(PLACE_DIM, DIM, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch of images."""
        return self.encode(x, torch.zeros(len(x), 2, device=x.device))[0]

    def encode(self, x: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of crops whose upper left cells are `cells` (row, column) [B, 2] in the frame; and the edges."""
        x2 = self.stride2(x.contiguous(memory_format=torch.channels_last))
        x4 = self.stride4(x2)
        x8 = self.stride8(x4)
        up = nn.functional.interpolate(self.up8(self.stride16(x8)), scale_factor=2.0, mode="nearest")
        x8 = self.merge8(torch.relu(x8 + up))
        up = nn.functional.interpolate(self.up4(x8), scale_factor=2.0, mode="nearest")
        x4 = self.merge4(torch.relu(x4 + up + self.skip2(x2)))
        place = _powers(x4, cells)
        grouped, edges = self.grouping(x4, place)
        return (self.neck(torch.relu(x4 + grouped)) + self.place(place)).float(), edges


def _powers(like: Tensor, corner: Tensor) -> Tensor:
    """y, x, y^2, x^2 and x y of each cell of a map [B, C, h, w] in a frame from -1 to 1: [B, 5, h, w]."""
    _, _, height, width = like.shape
    rows = torch.arange(height, device=like.device) + corner[:, :1]
    columns = torch.arange(width, device=like.device) + corner[:, 1:]
    y = ((rows + 0.5) * (2 * STRIDE / SIDE) - 1)[:, :, None].expand(-1, -1, width)
    x = ((columns + 0.5) * (2 * STRIDE / SIDE) - 1)[:, None].expand(-1, height, -1)
    return torch.stack([y, x, y * y, x * x, x * y], dim=1).to(like.dtype)


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
            iou_head_hidden_dim=DIM,
        ),
    )
    sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix *= POSITION_SCALE
    return sam
