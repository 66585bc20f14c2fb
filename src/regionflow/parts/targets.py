"""What the student learns: the embedding of every part mask, by any timm model (Radwan and Shehata, ICCVW 2023).

The model sees the image inside the mask on black, once for each distinct mask, in batches.
"""

from collections.abc import Callable, Sequence

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.features.options import TimmOptions
from regionflow.features.timm_load import load_model, tensors_sha256
from regionflow.formats import rle
from regionflow.formats.parts import PartMasks, PartTargets
from regionflow.formats.rle import Rle
from regionflow.parts.options import EmbedderOptions
from regionflow.parts.teacher import patch_points

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCH = {"cpu": 8, "cuda": 256}


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
        self._transform: Callable[[Image.Image], Tensor] = timm.data.create_transform(**config, is_training=False)
        self._options, self._device = options, device
        # Channels last: a fifth less time on a CPU, with the same numbers but for rounding.
        self._model = model.to(device, DTYPES[options.dtype]).to(memory_format=torch.channels_last)

    def embed(self, square: NDArray[np.uint8], masks: Sequence[Rle], batch: int | None = None) -> NDArray[np.float32]:
        """Embeddings float32 [M, E] of masks [S, S], none of them empty, of a square RGB image [S, S, 3]."""
        step = batch or BATCH.get(torch.device(self._device).type, BATCH["cpu"])
        rows = [np.zeros((0, int(self._model.num_features)), np.float32)]  # type: ignore[arg-type]
        with torch.inference_mode():
            for start in range(0, len(masks), step):
                views = [self._transform(self._view(square, mask)) for mask in masks[start : start + step]]
                pixels = torch.stack(views).to(
                    self._device, DTYPES[self._options.dtype], memory_format=torch.channels_last
                )
                rows.append(self._model(pixels).float().cpu().numpy())
        return np.concatenate(rows)

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


def targets(embedder: Embedder, square: NDArray[np.uint8], parts: PartMasks, batch: int | None = None) -> PartTargets:
    """Targets of an image [S, S, 3] and its part masks; those of an image that could not be read have no rows.

    Raises UserError if an embedding does not fit float16.
    """
    embeddings = embedder.embed(square, parts.masks, batch)
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
