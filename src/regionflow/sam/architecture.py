"""Which SAM a state dict holds, read from the names and shapes of its tensors.

Everything that segment-anything's constructors take shows in the shapes but one: the number of heads of the mask
decoder, which is 8 in every published SAM and is taken to be 8 here, but for the embedded one.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

PUBLISHED_HEADS = 8

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of every SAM, red, green and blue from 0 to 255."""

# Encoders whose dimensions are fixed; `sam_tiny` is the embedded one, a convolutional network.
FixedEncoder = Literal["tiny_vit", "sam_tiny"]


class NotSamError(ValueError):
    """The state dict is not one of a SAM."""


@dataclass(frozen=True)
class VitEncoder:
    """Dimensions of a ViT image encoder; `global_blocks` attend over the whole image, the others inside windows."""

    embed_dim: int
    depth: int
    heads: int
    patch_size: int
    image_size: int
    window_size: int
    global_blocks: tuple[int, ...]
    mlp_ratio: float
    out_channels: int


@dataclass(frozen=True)
class Decoder:
    """Dimensions of the prompt encoder and the mask decoder."""

    dim: int
    depth: int
    mlp_dim: int
    downsample_rate: int
    multimask_outputs: int
    iou_depth: int
    iou_hidden: int
    mask_channels: int


@dataclass(frozen=True)
class SamArchitecture:
    """A SAM; `hq` tells HQ-SAM's decoder from SAM's."""

    encoder: VitEncoder | FixedEncoder
    decoder: Decoder
    hq: bool

    @property
    def model(self) -> str | None:
        """Name of the published model with these dimensions, None for any other."""
        if self.encoder == "sam_tiny":
            return "sam_tiny"
        if self.decoder != PUBLISHED_DECODER:
            return None
        if self.encoder == "tiny_vit":
            return "hq_vit_tiny" if self.hq else "mobile_sam"
        name = next((name for name, encoder in PUBLISHED_ENCODERS.items() if encoder == self.encoder), None)
        return f"hq_{name}" if name and self.hq else name

    def describe(self) -> str:
        """A phrase for messages: what weights these are."""
        family = "HQ-SAM" if self.hq else "SAM"
        if self.model:
            return _NAMED.get(self.model, f"{family} {self.model} weights")
        e = self.encoder
        if not isinstance(e, VitEncoder):
            return f"{family} weights of a TinyViT with an unusual decoder"
        return f"{family} weights of an unpublished size (width {e.embed_dim}, {e.depth} blocks, {e.image_size} px)"


_NAMED = {"mobile_sam": "MobileSAM weights", "sam_tiny": "weights of the embedded SAM (sam_tiny)"}


def _published(embed_dim: int, depth: int, heads: int, global_blocks: tuple[int, ...]) -> VitEncoder:
    return VitEncoder(embed_dim, depth, heads, 16, 1024, 14, global_blocks, 4.0, 256)


PUBLISHED_ENCODERS = {
    "vit_b": _published(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": _published(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": _published(1280, 32, 16, (7, 15, 23, 31)),
}
PUBLISHED_DECODER = Decoder(256, 2, 2048, 2, 3, 3, 256, 16)
MODELS = (*PUBLISHED_ENCODERS, "mobile_sam", *(f"hq_{name}" for name in PUBLISHED_ENCODERS), "hq_vit_tiny", "sam_tiny")


def identify(state: dict[str, Tensor]) -> SamArchitecture:
    """Read the architecture from a state dict in the official key layout.

    Raises:
        NotSamError: names or shapes are not those of a SAM.
    """
    parts = {key.split(".", 1)[0] for key in state}
    missing = {"image_encoder", "prompt_encoder", "mask_decoder"} - parts
    if missing:
        first = ", ".join(sorted(state)[:3]) or "no tensors"
        raise NotSamError(f"not SAM weights ({first} …; no {', '.join(sorted(missing))})")
    try:
        return SamArchitecture(_encoder(state), _decoder(state), hq="mask_decoder.hf_token.weight" in state)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise NotSamError(f"weights of a SAM variant that regionflow does not know ({error})") from None


def _encoder(state: dict[str, Tensor]) -> VitEncoder | FixedEncoder:
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "tiny_vit"
    return "sam_tiny" if "image_encoder.stride2.0.0.weight" in state else _vit_encoder(state)


def _vit_encoder(state: dict[str, Tensor]) -> VitEncoder:
    prefix = "image_encoder."
    embed_dim, _, patch_size, _ = state[prefix + "patch_embed.proj.weight"].shape
    grid = state[prefix + "pos_embed"].shape[1]
    depth = _count(state, prefix + "blocks.")
    # A relative position table has 2 n - 1 rows for attention over n x n tokens.
    sides = [(state[f"{prefix}blocks.{i}.attn.rel_pos_h"].shape[0] + 1) // 2 for i in range(depth)]
    head_dim = state[prefix + "blocks.0.attn.rel_pos_h"].shape[1]
    return VitEncoder(
        embed_dim=embed_dim,
        depth=depth,
        heads=embed_dim // head_dim,
        patch_size=patch_size,
        image_size=grid * patch_size,
        window_size=next((side for side in sides if side != grid), 0),
        global_blocks=tuple(i for i, side in enumerate(sides) if side == grid),
        mlp_ratio=state[prefix + "blocks.0.mlp.lin1.weight"].shape[0] / embed_dim,
        out_channels=state[prefix + "neck.0.weight"].shape[0],
    )


def _decoder(state: dict[str, Tensor]) -> Decoder:
    prefix = "mask_decoder."
    layer = prefix + "transformer.layers.0."
    inner, dim = state[layer + "cross_attn_token_to_image.q_proj.weight"].shape
    return Decoder(
        dim=dim,
        depth=_count(state, prefix + "transformer.layers."),
        mlp_dim=state[layer + "mlp.lin1.weight"].shape[0],
        downsample_rate=dim // inner,
        multimask_outputs=state[prefix + "mask_tokens.weight"].shape[0] - 1,
        iou_depth=_count(state, prefix + "iou_prediction_head.layers."),
        iou_hidden=state[prefix + "iou_prediction_head.layers.0.weight"].shape[0],
        mask_channels=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
    )


def _count(state: dict[str, Tensor], prefix: str) -> int:
    """Number of modules of a ModuleList."""
    return 1 + max(int(key[len(prefix) :].split(".", 1)[0]) for key in state if key.startswith(prefix))
