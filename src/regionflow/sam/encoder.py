"""The image side: resize, normalise and encode one image or crop.

The ViT forward pass is segment-anything's with fused attention. Its relative position term is a bias of
[heads, tokens, tokens], 0.8 GB for 4096 tokens and 12 heads; here the bias exists for a few rows of queries at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.image_encoder import Attention, get_rel_pos, window_partition, window_unpartition
from torch import Tensor, nn
from torchvision.transforms.functional import resize, to_pil_image

from regionflow.sam.memory import Batches

# Elements of the attention bias that exist at once: about what a CPU's caches hold, and what keeps a GPU busy, 0.27 GB:
# a quarter of vit_h's.
BIAS_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 26}


@dataclass(frozen=True)
class EncodedImage:
    """What the decoder needs of one image or crop.

    embedding: image embedding [1, C, h, w]; early: HQ-SAM's early feature map [1, h, w, C'], None for the others;
    input_size: height and width after resizing; size: before it.
    """

    embedding: Tensor
    early: Tensor | None
    input_size: tuple[int, int]
    size: tuple[int, int]


def input_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width when the long side becomes `long_side`; segment-anything's rounding, but never zero."""
    scale = long_side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def encode_images(sam: Sam, images: Sequence[NDArray[np.uint8]], bf16: bool = False) -> list[EncodedImage]:
    """Encode RGB images uint8 [H, W, 3] of any sizes as segment-anything does; `bf16` computes under autocast.

    All inputs are squares of one size, so that a card encodes several at a time, as many as its memory takes; a CPU
    encodes one by one. An image encoder that was cast to another type than float32 gets its input in that type.
    Embeddings are float32.
    """
    encoder = sam.image_encoder

    def forward(some: Sequence[NDArray[np.uint8]]) -> list[EncodedImage]:
        inputs = torch.cat([_input(sam, image) for image in some]).to(next(encoder.parameters()).dtype)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            embeddings, early = _encode(encoder, inputs)
        earlies = [None] * len(some) if early is None else early.split(1)
        return [
            EncodedImage(embedding.float(), first, input_size(height, width, encoder.img_size), (height, width))
            for embedding, first, (height, width, _) in zip(
                embeddings.split(1), earlies, (image.shape for image in some), strict=True
            )
        ]

    return list(batches_of(sam).results(images, forward, encoder.img_size**2))


def encode_image(sam: Sam, image: NDArray[np.uint8], bf16: bool = False) -> EncodedImage:
    """Encode one image as `encode_images` does."""
    return encode_images(sam, [image], bf16)[0]


class Encodings:
    """Images or crops of several images, encoded when they are needed; on a card together with those that follow."""

    def __init__(self, sam: Sam, images: Sequence[NDArray[np.uint8]], bf16: bool = False) -> None:
        self._sam, self._images, self._bf16 = sam, images, bf16
        self._made: dict[int, EncodedImage] = {}

    def begin(self, number: int) -> None:
        """See that the encoding of that image, counted from 0, is under way."""
        if number not in self._made:
            stop = number + batches_of(self._sam).most
            made = encode_images(self._sam, self._images[number:stop], self._bf16)
            self._made.update(enumerate(made, start=number))

    def take(self, number: int) -> EncodedImage:
        """The encoding of that image, which is not kept here any longer."""
        self.begin(number)
        return self._made.pop(number)


_batches: WeakKeyDictionary[nn.Module, Batches] = WeakKeyDictionary()


def batches_of(sam: Sam) -> Batches:
    """What is known about how many images this model's encoder takes at a time."""
    batches = _batches.get(sam)
    if batches is None or batches.device != sam.device:
        batches = _batches[sam] = Batches(sam.device)
    return batches


def _input(sam: Sam, image: NDArray[np.uint8]) -> Tensor:
    """The encoder's input float32 [1, 3, S, S], on the model's device."""
    resized = input_size(image.shape[0], image.shape[1], sam.image_encoder.img_size)
    pixels = np.asarray(resize(to_pil_image(np.ascontiguousarray(image)), list(resized)))
    return sam.preprocess(torch.as_tensor(pixels.copy(), device=sam.device).permute(2, 0, 1).contiguous()[None])


def _encode(encoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Embeddings [B, C, h, w] of padded inputs [B, 3, S, S], and HQ-SAM's early feature maps [B, h, w, C']."""
    if hasattr(encoder, "blocks"):
        return _encode_vit(encoder, x)
    encoded = encoder(x)
    return (encoded[0], encoded[1][0]) if isinstance(encoded, tuple) else (encoded, None)


def _encode_vit(encoder: ImageEncoderViT, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """ImageEncoderViT's forward pass: embedding [B, C, h, w] and the map after the first block of global attention."""
    x = encoder.patch_embed(x)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    early = None
    for block in encoder.blocks:
        y = block.norm1(x)
        if block.window_size > 0:
            windows, padded = window_partition(y, block.window_size)
            y = _attend(block.attn, windows)
            y = window_unpartition(y, block.window_size, padded, (x.shape[1], x.shape[2]))
        else:
            y = _attend(block.attn, y)
        x = x + y
        x = x + block.mlp(block.norm2(x))
        if block.window_size == 0 and early is None:
            early = x
    return encoder.neck(x.permute(0, 3, 1, 2)), early


def _attend(attention: Attention, x: Tensor) -> Tensor:
    """Attention with decomposed relative positions over x [B, h, w, C]."""
    batch, height, width, _ = x.shape
    tokens, heads = height * width, attention.num_heads
    qkv = attention.qkv(x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    bias = None
    if attention.use_rel_pos:
        grid = q.reshape(batch, heads, height, width, -1)
        rel_h = torch.einsum("bnhwc,hkc->bnhwk", grid, _table(height, attention.rel_pos_h, q)).contiguous()
        rel_w = torch.einsum("bnhwc,wkc->bnhwk", grid, _table(width, attention.rel_pos_w, q)).contiguous()
    out = torch.empty_like(q)
    limit = BIAS_ELEMENTS.get(x.device.type, BIAS_ELEMENTS["cpu"])
    rows = max(1, limit // (batch * heads * width * tokens)) if attention.use_rel_pos else height
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        queries = slice(top * width, bottom * width)
        if attention.use_rel_pos:
            bias = rel_h[:, :, top:bottom, :, :, None] + rel_w[:, :, top:bottom, :, None, :]
            bias = bias.view(batch, heads, -1, tokens)
        out[:, :, queries] = F.scaled_dot_product_attention(q[:, :, queries], k, v, attn_mask=bias)
    return attention.proj(out.transpose(1, 2).reshape(batch, height, width, -1))


def _table(side: int, rel_pos: Tensor, like: Tensor) -> Tensor:
    """Relative position vectors [side, side, c] of every pair of rows (or columns)."""
    return get_rel_pos(side, side, rel_pos).to(like.dtype)
