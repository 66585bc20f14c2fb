"""From points on an image or a crop to full-size masks, as many points at a time as the memory holds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor

from regionflow.sam.cleanup import drop_islands
from regionflow.sam.decoder import ImageDecoder, Prompts
from regionflow.sam.encoder import encode_image
from regionflow.sam.masks import FullMask, FullSize, Thresholds
from regionflow.sam.options import AmgOptions

# A larger batch only streams more memory through a CPU's caches; a GPU wants as many prompts as fit.
CPU_BATCH_BYTES = 16 << 20
GPU_BATCH_FRACTION = 0.4


@dataclass(frozen=True)
class Answer:
    """Masks of B prompts: predicted IoUs [B, M], which are above the threshold, and those; None is not stable."""

    iou: Tensor
    wanted: Tensor
    masks: list[FullMask | None]

    def covers(self, pixels: NDArray[np.int64], least_iou: float) -> NDArray[np.bool_]:
        """Which pixels of the crop, flat and column-major, lie in the smallest good mask of any prompt."""
        smallest: dict[int, FullMask] = {}
        good = (self.iou >= least_iou)[self.wanted].tolist()
        for prompt, mask, counts in zip(self.wanted.nonzero()[:, 0].tolist(), self.masks, good, strict=True):
            if mask is not None and counts and (prompt not in smallest or mask.area < smallest[prompt].area):
                smallest[prompt] = mask
        return np.any([np.zeros(len(pixels), bool), *(mask.holds(pixels) for mask in smallest.values())], axis=0)


class Prompter:
    """Prompts one crop with points, as many at a time as the memory holds."""

    def __init__(self, sam: Sam, pixels: NDArray[np.uint8], options: AmgOptions, batch: int | None) -> None:
        bf16 = options.precision == "bf16"
        self.device = sam.device
        self.model_size = sam.image_encoder.img_size
        self.encoded = encode_image(sam, pixels, bf16)
        self.decoder = ImageDecoder(sam, self.encoded, torch.bfloat16 if bf16 else torch.float32)
        self.step = batch or _batch_size(self.decoder)
        map_size = (4 * self.decoder.grid[0], 4 * self.decoder.grid[1])
        self.full = FullSize(map_size, self.model_size, self.encoded.input_size, self.encoded.size, self.device)
        self.thresholds = Thresholds(sam.mask_threshold, options.stability_score_offset, options.stability_score_thresh)
        self.options = options

    def answers(
        self, points: NDArray[np.float64], wave: NDArray[np.int64], labels: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Answer]]:
        """The points of `wave`, indices into points [n, 2] in pixels of the crop, batch by batch, and their masks.

        labels: of the points [n], as `ImageDecoder.embed_points` takes them; None: all are foreground.
        """
        kinds = None if labels is None else torch.from_numpy(labels[wave]).to(self.device)
        prompts = torch.from_numpy(_to_model(points[wave], self.encoded.size, self.model_size))
        start = 0
        while start < len(wave):
            try:
                now = slice(start, start + self.step)
                answer = self._answer(prompts[now], None if kinds is None else kinds[now])
            except torch.OutOfMemoryError:
                if self.step == 1:
                    raise
                self.step //= 2
                continue
            yield wave[now], answer
            start += self.step

    def _answer(self, prompts: Tensor, labels: Tensor | None) -> Answer:
        decoded = self.decoder.decode(prompts.to(self.device), labels)
        iou, least = decoded.predicted_iou, self.options.pred_iou_thresh
        wanted = iou > least if least > 0 else torch.ones_like(iou, dtype=torch.bool)
        return Answer(iou, wanted, self._full_masks(decoded, wanted, prompts))

    def _full_masks(self, decoded: Prompts, wanted: Tensor, prompts: Tensor) -> list[FullMask | None]:
        """Full-size masks where `wanted` [B, masks per prompt] is true, row by row."""
        with_masks = wanted.any(1).nonzero()[:, 0]
        masks: list[FullMask | None] = []
        for some in with_masks.split(1 if self.device.type == "cpu" else 32) if len(with_masks) else ():
            logits = decoded.mask_logits(some)[wanted[some]]
            if self.options.only_connected:
                repeated = some.repeat_interleave(wanted[some].sum(1)).cpu()
                extent = torch.tensor([logits.shape[2], logits.shape[1]])
                at = (prompts[repeated] * extent).long().minimum(extent - 1)  # a point may lie on the image's edge
                logits = drop_islands(logits, at.numpy(), self.thresholds.mask)
            masks += self.full.masks(logits, self.thresholds)
        return masks


def _to_model(points: NDArray[np.float64], size: tuple[int, int], long_side: int) -> NDArray[np.float32]:
    """Points in pixels of an image to [0, 1] of the padded model input; half a pixel is added as for all prompts."""
    height, width = size
    scale = long_side / max(height, width)
    resized = int(width * scale + 0.5), int(height * scale + 0.5)
    scaled = points * np.array([resized[0] / width, resized[1] / height])
    return ((scaled + 0.5) / long_side).astype(np.float32)


def _batch_size(decoder: ImageDecoder) -> int:
    """Prompts to decode at a time."""
    per_prompt = decoder.keys.numel() * decoder.keys.element_size()
    if decoder.keys.device.type == "cuda":
        # Image tokens, their product before the norm, and the attention weights.
        free, _ = torch.cuda.mem_get_info(decoder.keys.device)
        return max(1, min(512, int(free * GPU_BATCH_FRACTION) // (4 * per_prompt)))
    return min(64, max(1, CPU_BATCH_BYTES // (decoder.keys.numel() * 4)))
