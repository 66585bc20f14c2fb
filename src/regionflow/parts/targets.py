"""What the student learns: the embedding of every part mask, by any timm model (Radwan and Shehata, ICCVW 2023).

The model sees the image inside the mask on black, once for each distinct mask, in batches.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.features.errors import ExtractorError
from regionflow.features.options import TimmOptions
from regionflow.features.timm_load import load_model, tensors_sha256
from regionflow.features.timm_names import pooled_width
from regionflow.formats import rle
from regionflow.formats.parts import PartMasks, PartTargets
from regionflow.formats.rle import Rle
from regionflow.parts.options import EmbedderOptions
from regionflow.parts.teacher import patch_points
from regionflow.sam.memory import Batches, to_host

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCH = {"cpu": 8, "cuda": 256}
"""Masked images in one forward pass; on a card, at most, of one image or of several."""


class Embedder:
    """A timm model that embeds masked images: its pooled features before the classifier.

    Raises ExtractorError for an unknown model, DownloadError for weights that cannot be had, CheckpointError for a
    damaged file.
    """

    def __init__(self, options: EmbedderOptions, device: str = "cpu") -> None:
        named = TimmOptions(model=options.model, checkpoint=options.checkpoint, random_seed=options.random_seed)
        model = load_model(named)
        self.provenance = {"timm": timm.__version__, "tensors_sha256": tensors_sha256(model)}
        model.reset_classifier(0)  # type: ignore[operator]
        config = timm.data.resolve_model_data_config(model)
        if options.view == "whole":
            config |= {"crop_pct": 1.0, "crop_mode": "squash"}
        self._size = config["input_size"][1:]
        self._transform: Callable[[Image.Image], Tensor] = timm.data.create_transform(**config, is_training=False)
        self._options, self._device = options, torch.device(device)
        self._batches = Batches(device, BATCH["cuda"], on_cpu=BATCH["cpu"])
        # Channels last: a fifth less time on a CPU, with the same numbers but for rounding.
        self._model = model.to(device, DTYPES[options.dtype]).to(memory_format=torch.channels_last)

    def embed(self, square: NDArray[np.uint8], masks: Sequence[Rle]) -> NDArray[np.float32]:
        """Embeddings float32 [M, E] of masks [S, S], none of them empty, of a square RGB image [S, S, 3].

        Raises ExtractorError if the device's memory is too small for one masked image.
        """
        return self.begin([square], [masks])[0](at_once)()

    def begin(
        self, squares: Sequence[NDArray[np.uint8]], masks: Sequence[Sequence[Rle]]
    ) -> list[OnCard[NDArray[np.float32]]]:
        """Begin with several images and the masks of each; for each, in their order, what is left to do.

        On a card batches go across images, and embeddings differ by rounding from those of one image by itself; on a
        CPU each image has batches of its own, so that they are the same to the bit. Raises what `embed` raises.
        """
        each = list(zip(squares, masks, strict=True))
        if self._device.type == "cpu":
            return [partial(self._one_by_one, square, some) for square, some in each]
        rows = self._rows([(square, mask) for square, some in each for mask in some])
        ends = itertools.accumulate((len(some) for some in masks), initial=0)
        return [self._to_host(rows[first:last]) for first, last in itertools.pairwise(ends)]

    def _one_by_one(
        self, square: NDArray[np.uint8], masks: Sequence[Rle], beside: Beside
    ) -> Later[NDArray[np.float32]]:
        return self._to_host(self._rows([(square, mask) for mask in masks]))(beside)

    def _to_host(self, rows: list[Tensor]) -> OnCard[NDArray[np.float32]]:
        nothing = np.zeros((0, pooled_width(self._model)), np.float32)
        copied = to_host(torch.stack(rows)) if rows else lambda: torch.from_numpy(nothing)

        def on_card(beside: Beside) -> Later[NDArray[np.float32]]:
            embeddings = copied().numpy()
            return lambda: embeddings

        return on_card

    def _rows(self, masked: Sequence[tuple[NDArray[np.uint8], Rle]]) -> list[Tensor]:
        """Embeddings [E] of masks of images, on the device."""
        height, width = self._size
        try:
            with torch.inference_mode():
                return list(self._batches.results(masked, self._forward, 3 * height * width))
        except torch.OutOfMemoryError as error:
            raise ExtractorError(
                f"{self._options.model} fails on an input of {height} x {width} pixels ({error}); "
                "try another dtype, another model, or the CPU"
            ).of_the_moment() from error

    def _forward(self, masked: Sequence[tuple[NDArray[np.uint8], Rle]]) -> Sequence[Tensor]:
        views = [self._transform(self._view(square, mask)) for square, mask in masked]
        pixels = torch.stack(views).to(self._device, DTYPES[self._options.dtype], memory_format=torch.channels_last)
        return self._model(pixels).float().unbind()

    def _view(self, square: NDArray[np.uint8], mask: Rle) -> Image.Image:
        """The image inside the mask on black, cropped to the mask's box if so configured."""
        masked = square * rle.decode(mask)[..., None]
        if not self._options.crop:
            return Image.fromarray(masked)
        x, y, width, height = rle.bbox(mask)
        box = masked[y : y + height, x : x + width]
        if self._options.view == "whole":
            # A square around it on black: squashing the box would change the shape, cropping its middle would cut it.
            side = max(width, height)
            box = np.zeros((side, side, 3), np.uint8)
            top, left = (side - height) // 2, (side - width) // 2
            box[top : top + height, left : left + width] = masked[y : y + height, x : x + width]
        return Image.fromarray(box)


def targets(embeddings: NDArray[np.float32], parts: PartMasks) -> PartTargets:
    """Targets of an image's part masks and their embeddings [M, E].

    Raises UserError if an embedding does not fit float16.
    """
    if not np.isfinite(embeddings).all() or np.abs(embeddings).max(initial=0) > np.finfo(np.float16).max:
        raise UserError("parts.embedder: embeddings that do not fit float16; choose another model or dtype fp32")
    return PartTargets(embeddings.astype(np.float16), parts.index, members(parts), parts.error)


def members(parts: PartMasks) -> NDArray[np.bool_]:
    """Whether the centre of each patch lies in each mask [M, P]."""
    columns, rows = (
        patch_points(parts.size, parts.grid).astype(np.int64).T if parts.grid else np.zeros((2, 0), np.int64)
    )
    inside = [rle.decode(mask)[rows, columns] for mask in parts.masks]
    return np.array(inside, bool).reshape(len(parts.masks), len(parts.index))
