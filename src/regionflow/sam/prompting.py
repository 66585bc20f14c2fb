"""From points on an image or a crop to full-size masks, as many points at a time as the memory holds."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor

from regionflow.sam.cleanup import drop_islands
from regionflow.sam.decoder import ImageDecoder, Prompts
from regionflow.sam.encoder import EncodedImage
from regionflow.sam.masks import FullMask, FullSize, Thresholds
from regionflow.sam.memory import free_bytes
from regionflow.sam.options import AmgOptions

# A larger batch only streams more memory through a CPU's caches; a GPU wants as many prompts as fit.
CPU_BATCH_BYTES = 16 << 20
GPU_BATCH_FRACTION = 0.4
MOST_PROMPTS = 512
# Prompts whose masks are upscaled at a time: on a CPU those of one stay in its caches.
UPSCALED = {"cpu": 1, "cuda": 32}


@dataclass(frozen=True)
class Answer:
    """Masks of B prompts: predicted IoUs [B, M], which of them are above the threshold, and these masks, row by row.

    A mask that is not stable is None. All of it is on the host.
    """

    iou: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    masks: list[FullMask | None]

    @classmethod
    def join(cls, answers: "list[Answer]") -> "Answer":
        """All prompts one after the other."""
        iou, wanted = (np.concatenate([getattr(answer, name) for answer in answers]) for name in ("iou", "wanted"))
        return cls(iou, wanted, [mask for answer in answers for mask in answer.masks])

    def take(self, prompts: NDArray[np.int64]) -> "Answer":
        """Some of the prompts, by their rows in rising order."""
        chosen = np.isin(self.wanted.nonzero()[0], prompts)
        return Answer(self.iou[prompts], self.wanted[prompts], list(itertools.compress(self.masks, chosen)))

    def covers(self, pixels: NDArray[np.int64], least_iou: float) -> NDArray[np.bool_]:
        """Which pixels of the crop, flat and column-major, lie in the smallest good mask of any prompt."""
        smallest: dict[int, FullMask] = {}
        good = (self.iou >= least_iou)[self.wanted]
        for prompt, mask, counts in zip(self.wanted.nonzero()[0].tolist(), self.masks, good, strict=True):
            if mask is not None and counts and (prompt not in smallest or mask.area < smallest[prompt].area):
                smallest[prompt] = mask
        return np.any([np.zeros(len(pixels), bool), *(mask.holds(pixels) for mask in smallest.values())], axis=0)


class Prompter:
    """Prompts one image or crop with points, as many at a time as the memory holds."""

    def __init__(self, sam: Sam, encoded: EncodedImage, options: AmgOptions, batch: int | None) -> None:
        bf16 = options.precision == "bf16"
        self.device = sam.device
        self.model_size = sam.image_encoder.img_size
        self.encoded = encoded
        self.decoder = ImageDecoder(sam, self.encoded, torch.bfloat16 if bf16 else torch.float32)
        self.step = batch or _batch_size(self.decoder)
        map_size = (4 * self.decoder.grid[0], 4 * self.decoder.grid[1])
        self.full = FullSize(map_size, self.model_size, self.encoded.input_size, self.encoded.size, self.device)
        self.thresholds = Thresholds(sam.mask_threshold, options.stability_score_offset, options.stability_score_thresh)
        self.options = options
        # Prompts decoded together where it costs nothing: a GPU is idle with a few.
        self.together = 1 if self.device.type == "cpu" else MOST_PROMPTS

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
            now = slice(start, min(start + self.step, len(wave)))
            try:
                answer = self._answer(prompts[now], None if kinds is None else kinds[now])
            except torch.OutOfMemoryError:
                if now.stop - start == 1:
                    raise
                self.step = (now.stop - start) // 2
                continue
            yield wave[now], answer
            start = now.stop

    def _answer(self, prompts: Tensor, labels: Tensor | None) -> Answer:
        decoded = self.decoder.decode(prompts.to(self.device), labels)
        iou, least = decoded.predicted_iou.cpu().numpy(), self.options.pred_iou_thresh
        wanted = iou > least if least > 0 else np.ones_like(iou, dtype=bool)
        return Answer(iou, wanted, self._full_masks(decoded, wanted, prompts))

    def _full_masks(self, decoded: Prompts, wanted: NDArray[np.bool_], prompts: Tensor) -> list[FullMask | None]:
        """Full-size masks where `wanted` [B, masks per prompt] is true, row by row.

        On a GPU all of them together: the host waits for it once for all masks, not once for each.
        """
        with_masks = np.flatnonzero(wanted.any(1))
        step = UPSCALED["cpu"] if self.device.type == "cpu" else max(1, len(with_masks))
        masks: list[FullMask | None] = []
        for start in range(0, len(with_masks), step):
            some = with_masks[start : start + step]
            logits = self._mask_logits(decoded, some, wanted[some])
            if self.options.only_connected:
                repeated = np.repeat(some, wanted[some].sum(1))
                extent = torch.tensor([logits.shape[2], logits.shape[1]])
                at = (prompts[repeated] * extent).long().minimum(extent - 1)  # a point may lie on the image's edge
                logits = drop_islands(logits, at.numpy(), self.thresholds.mask)
            masks += self.full.masks(logits, self.thresholds)
        return masks

    def _mask_logits(self, decoded: Prompts, prompts: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Tensor:
        """Logits [n, 4 h, 4 w] of the n masks that are `wanted` [P, masks per prompt] of those prompts [P]."""
        step = UPSCALED.get(self.device.type, UPSCALED["cpu"])
        rows, columns = wanted.nonzero()
        ends = np.searchsorted(rows, np.arange(0, len(prompts) + step, step)).tolist()
        # Indices and not a boolean mask, for whose length the host would wait; copied to a GPU once for all.
        prompt, row, column = (torch.from_numpy(index).to(self.device) for index in (prompts, rows % step, columns))
        logits = []
        for i, (first, last) in enumerate(itertools.pairwise(ends)):
            maps = decoded.mask_logits(prompt[i * step : (i + 1) * step])
            logits.append(maps[row[first:last], column[first:last]])
        return logits[0] if len(logits) == 1 else torch.cat(logits)


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
        room = int(free_bytes(decoder.keys.device) * GPU_BATCH_FRACTION)
        return max(1, min(MOST_PROMPTS, room // (4 * per_prompt)))
    return min(64, max(1, CPU_BATCH_BYTES // (decoder.keys.numel() * 4)))
