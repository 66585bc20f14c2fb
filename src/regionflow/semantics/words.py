"""Open vocabulary: class names in words, compared with regions in the space of a CLIP model.

`pooled` looks at region features that already lie in that space (a MaskCLIP extractor): another vocabulary costs no
pass over the images. `box`, `masked` and `both` encode one crop of the image per region. `attention` encodes the image
once and has the model's last attention look at each region (`region_attention`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.regions import masks_of
from regionflow.semantics import prompts
from regionflow.semantics.fuse import LabelScores
from regionflow.semantics.open_clip_weights import weights_of
from regionflow.semantics.region_attention import region_vectors
from regionflow.semantics.seen import Seen
from regionflow.semantics.words_options import WordsOptions
from regionflow.weights.checkpoint import CheckpointError
from regionflow.weights.download import DownloadError
from regionflow.weights.fetched import fetch

BATCH = 32
"""Crops that are encoded together."""
# What lies outside of the image or the mask: about the mean of CLIP's pixels.
FILL = (122, 116, 104)


class WordsLabeler:
    """Class names as unit vectors [C, D] in a CLIP model's space, and the model where crops are encoded."""

    def __init__(self, options: WordsOptions, device: str = "cpu") -> None:
        self._options, self._device = options, device
        self._model, self._preprocess, tokenizer = load_clip(options)
        self._model = self._model.to(device)
        self.names = [synonyms[0] for synonyms in options.words]
        self.rows = class_rows(self._model, tokenizer, options.words, options.templates, device)

    def label(self, seen: Seen) -> LabelScores:
        """Scores of region features, or of crops of an image."""
        if self._options.regions == "pooled":
            return replace(self.region_scores(seen.pooled), names=self.names)
        return replace(self.scores(seen.pixels, masks_of(seen.regions)), names=self.names)

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8], masks: Sequence[rle.Rle]) -> LabelScores:
        """Scores of regions of an RGB image [H, W, 3], by crops or by attention."""
        if self._options.regions == "attention":
            return self.region_scores(self._attended(image, masks).numpy())
        kinds = ("box", "masked") if self._options.regions == "both" else (self._options.regions,)
        vectors = sum(self._encoded([_crop(image, mask, kind) for mask in masks]) for kind in kinds)
        return self.region_scores(vectors.numpy() if isinstance(vectors, Tensor) else np.zeros((0, 1), np.float32))

    def _attended(self, image: NDArray[np.uint8], masks: Sequence[rle.Rle]) -> Tensor:
        """Vectors [R, D] of the regions of an image; NaN for a region of no pixels."""
        visual = self._model.visual
        height, width = visual.image_size
        squeezed = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        pixels = self._preprocess(squeezed)[None].to(self._device)
        return region_vectors(visual, pixels, masks, self._options.keys).float().cpu()

    def region_scores(self, features: NDArray[np.float32]) -> LabelScores:
        """Scores of region features [R, D] that lie in the text space; a row without values is none.

        Raises UserError if they have another width than the text vectors.
        """
        out = np.zeros((len(features), len(self.names) + 1), np.float32)
        good = np.isfinite(features).all(axis=1)
        out[~good, -1] = 1
        if good.any():
            if features.shape[1] != self.rows.shape[1]:
                raise UserError(
                    f"region features have {features.shape[1]} channels, the words of {self._options.model} "
                    f"{self.rows.shape[1]}: name an extractor in its text space, such as maskclip_vitb16"
                )
            unit = features[good] / np.maximum(np.linalg.norm(features[good], axis=1, keepdims=True), 1e-12)
            logits = torch.from_numpy(unit) @ self.rows.T * self._options.temperature
            out[good, :-1] = logits.softmax(dim=1).numpy()
        return LabelScores(regions=out)

    def _encoded(self, crops: Sequence[Image.Image]) -> Tensor:
        """Unit vectors [R, D] of crops."""
        parts = [torch.zeros(0, self.rows.shape[1])]
        for start in range(0, len(crops), BATCH):
            pixels = torch.stack([self._preprocess(crop) for crop in crops[start : start + BATCH]])
            parts.append(self._model.encode_image(pixels.to(self._device), normalize=True).float().cpu())
        return torch.cat(parts)


def class_rows(
    model: Any, tokenizer: Any, words: Sequence[Sequence[str]], templates: Sequence[str] | None, device: str = "cpu"
) -> Tensor:
    """Unit vectors [C, D]: the mean over a class's synonyms and all templates; by default CLIP's 80 for ImageNet."""
    sentences = prompts.imagenet_templates() if templates is None else [template.format for template in templates]
    rows = []
    with torch.inference_mode():
        for synonyms in words:
            texts = [sentence(name) for name in synonyms for sentence in sentences]
            mean = model.encode_text(tokenizer(texts).to(device), normalize=True).float().mean(dim=0)
            rows.append((mean / mean.norm()).cpu())
    return torch.stack(rows)


def load_clip(options: WordsOptions) -> tuple[Any, Any, Any]:
    """Model in eval mode, preprocessing and tokenizer of open_clip.

    Raises UserError for an unknown model, DownloadError for weights that cannot be had, CheckpointError for a file of
    another model.
    """
    library = prompts.open_clip()
    if options.model not in library.list_models():
        raise UserError(f"open_clip has no model {options.model!r}; see open_clip.list_models()")
    pretrained = options.checkpoint or options.pretrained
    try:
        if options.pretrained is not None:
            fetch(weights_of(options.model, options.pretrained))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.random_seed or 0)
            model, _, preprocess = library.create_model_and_transforms(options.model, pretrained=pretrained)
    except Exception as error:
        # open_clip and its download libraries raise errors of many kinds without a common base.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if options.checkpoint is not None:
            raise CheckpointError(
                f"{options.checkpoint} does not hold the weights of {options.model}: {first}"
            ) from error
        raise DownloadError(
            f"the weights {pretrained} of {options.model} cannot be had ({first}); connect once, or set `checkpoint`"
        ) from error
    return model.eval().requires_grad_(False), preprocess, _tokenizer(library, options.model)


def _tokenizer(library: Any, model: str) -> Any:
    try:
        return library.get_tokenizer(model)
    except OSError as error:
        first = str(error).strip().splitlines()[0]
        raise DownloadError(f"what {model} splits words with cannot be had ({first}); connect once") from error


def _crop(image: NDArray[np.uint8], mask: rle.Rle, kind: str) -> Image.Image:
    """The square around a region's box; `masked`: only the region itself."""
    x, y, w, h = rle.bbox(mask)
    side = max(w, h, 1)
    left, top = x - (side - w) // 2, y - (side - h) // 2
    height, width = image.shape[:2]
    out = np.full((side, side, 3), FILL, np.uint8)
    rows = slice(max(0, top), min(height, top + side))
    columns = slice(max(0, left), min(width, left + side))
    inside = out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    inside[:] = image[rows, columns]
    if kind == "masked":
        inside[~rle.decode(mask)[rows, columns]] = FILL
    return Image.fromarray(out)
