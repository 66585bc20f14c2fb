"""SEEM as a labeler: a semantic map of the image and a stroke prompt for every region, over one backbone pass."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from regionflow.formats import rle
from regionflow.formats.regions import masks_of
from regionflow.semantics import prompts, seem_checkpoint
from regionflow.semantics.fuse import LabelScores, looked_at, normalised
from regionflow.semantics.seem_network import LEVELS, Maps, Seem, SeemSize, sample
from regionflow.semantics.seem_options import SeemOptions
from regionflow.semantics.seen import Seen
from regionflow.semantics.shipped import coco_panoptic

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MULTIPLE = 32
MOST_POINTS = 512
"""Points of a mask that become tokens of its prompt."""
BATCH = 8
"""Prompts that are decoded together."""
STRIP = 16
"""Rows of the masks, at a quarter of the image's size, that are interpolated together."""
CACHE = Path(".snakemake/regionflow")
"""Where text tables are kept, below the folder of the run."""


class ImageMaps(NamedTuple):
    """Feature maps of an image, and its size and padded size in the network's input (height, width)."""

    maps: Maps
    size: tuple[int, int]
    padded: tuple[int, int]


class SeemLabeler:
    """A network with the rows [C + 1, dim] of its class names; the last row is the background.

    `device` is where it runs; `options` say how images are resized and which points are drawn.
    """

    def __init__(
        self,
        network: Seem,
        rows: Tensor,
        names: Sequence[str],
        options: SeemOptions | None = None,
        device: str = "cpu",
    ) -> None:
        self.options = options or SeemOptions(random_seed=0, short_side=None)
        self.names = list(names)
        self.device = torch.device(device)
        self.network, self.rows = network.to(self.device), rows.to(self.device)

    def label(self, seen: Seen) -> LabelScores:
        """Scores of an image and its regions."""
        return replace(self.scores(seen.pixels, masks_of(seen.regions)), names=self.names)

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8], masks: Sequence[rle.Rle]) -> LabelScores:
        """Scores of an RGB image [H, W, 3] and its regions; the dense map is at the size of the network's input."""
        with torch.autocast(self.device.type, torch.float16, enabled=self.options.dtype == "fp16"):
            maps = self.maps(image)
            dense = self.normalised_scores(maps)
            seen = looked_at(masks, image.shape[0], image.shape[1], self.options)
            rng = np.random.default_rng(self.options.seed)
            chosen = [self._prompt(rle.decode(mask), maps, rng) for mask in seen]
            logits, _ = self.strokes(maps, chosen)
        regions = torch.stack(logits).float().softmax(dim=1).cpu().numpy() if logits else None
        if self.options.as_published and regions is not None:
            # As published a stroke has a class and no score.
            regions = np.eye(regions.shape[1], dtype=np.float32)[regions.argmax(axis=1)]
        none = np.zeros((0, len(self.names) + 1), np.float32)
        return LabelScores(none if regions is None else regions, dense)

    def maps(self, image: NDArray[np.uint8]) -> ImageMaps:
        """The feature maps of an RGB image [H, W, 3]: the one pass of the backbone."""
        side = self.options.short_side
        height, width = image.shape[:2]
        if side is not None:
            scale = side / min(height, width)
            height, width = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
            image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
        pixels = (torch.from_numpy(image.astype(np.float32)) - torch.tensor(MEAN)) / torch.tensor(STD)
        padded = -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE
        pixels = F.pad(pixels.permute(2, 0, 1), (0, padded[1] - width, 0, padded[0] - height))
        return ImageMaps(self.network.maps(pixels.to(self.device)), (height, width), padded)

    @torch.inference_mode()
    def semantic_scores(self, maps: ImageMaps) -> NDArray[np.float32]:
        """Sum over the queries of class probability times mask probability, [C, h, w]: not a probability itself."""
        queries = self.network.predict(maps.maps)
        classes = self.network.text.logits(queries.classes[0], self.rows).float().softmax(dim=1)[:, :-1]
        masks = torch.einsum("qc,chw->qhw", queries.masks[0], maps.maps.mask_features).float()
        factor = maps.padded[0] // masks.shape[1]
        height, width = maps.size
        scores = np.empty((classes.shape[1], height, width), np.float32)
        # Interpolated in strips, with the row above and below each: the masks of all queries at the size of the image
        # are larger than what the backbone needs.
        for start in range(0, -(-height // factor), STRIP):
            above = min(start, 1)
            part = masks[None, :, start - above : start + STRIP + 1]
            size = part.shape[2] * factor, maps.padded[1]
            part = F.interpolate(part, size, mode="bilinear", align_corners=False)[0]
            part = part[:, above * factor :][:, : STRIP * factor][:, : height - start * factor, :width].sigmoid()
            rows = slice(start * factor, start * factor + part.shape[1])
            scores[:, rows] = torch.einsum("qc,qhw->chw", classes, part).cpu().numpy()
        return scores

    def normalised_scores(self, maps: ImageMaps) -> NDArray[np.float32]:
        """`semantic_scores` with sums of at most 1.

        As published the likeliest of the classes wins, however little there is of it: no room is left to none.
        """
        dense = self.semantic_scores(maps)
        if self.options.as_published:
            dense /= np.maximum(dense.sum(axis=0, keepdims=True), 1e-12)
            return dense
        return normalised(dense)

    def strokes(self, maps: ImageMaps, chosen: Sequence[Sequence[Tensor]]) -> tuple[list[Tensor], list[int]]:
        """Logits [C + 1] of each prompt's best query, and which query that is.

        A prompt has points [P, 2] for each level, and those whose mean mask feature the best query is most like.
        """
        logits, picks = [], []
        for start in range(0, len(chosen), BATCH):
            part = [[points.to(self.device) for points in prompt] for prompt in chosen[start : start + BATCH]]
            queries = self.network.predict(maps.maps, [prompt[:LEVELS] for prompt in part])
            means = [sample(maps.maps.mask_features, prompt[LEVELS]).mean(dim=0) for prompt in part]
            # The best queries of all prompts leave a GPU together.
            best = torch.einsum("bqc,bc->bq", queries.masks, torch.stack(means)).argmax(dim=1)
            chosen_classes = queries.classes[torch.arange(len(part), device=self.device), best]
            logits += [self.network.text.logits(row, self.rows) for row in chosen_classes]
            picks += best.tolist()
        return logits, picks

    def _prompt(self, mask: NDArray[np.bool_], maps: ImageMaps, rng: np.random.Generator) -> list[Tensor]:
        """The points of a region; as published each level draws its own."""
        if mask.shape != maps.size:
            small = cv2.resize(mask.astype(np.uint8), maps.size[::-1], interpolation=cv2.INTER_AREA) > 0
            mask = small if small.any() else cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)
        if self.options.as_published:
            return [points_of(mask, maps.padded, rng) for _ in range(LEVELS + 1)]
        return [points_of(mask, maps.padded, rng)] * (LEVELS + 1)


def points_of(mask: NDArray[np.bool_], padded: tuple[int, int], rng: np.random.Generator | None) -> Tensor:
    """Points [P, 2] (x, y as shares of the padded size) of a mask: all, or `MOST_POINTS` drawn by `rng`."""
    rows, columns = np.nonzero(mask)
    if rng is not None and len(rows) > MOST_POINTS:
        some = rng.permutation(len(rows))[:MOST_POINTS]
        rows, columns = rows[some], columns[some]
    points = np.stack([columns / padded[1], rows / padded[0]], axis=1)
    return torch.from_numpy(points.astype(np.float32))


def build(options: SeemOptions, device: str = "cpu") -> SeemLabeler:
    """The labeler that the options describe.

    Raises CheckpointError for a file that does not hold SEEM, UserError without open_clip.
    """
    if options.checkpoint is None:
        network = seem_checkpoint.from_state(seem_checkpoint.random_state(SeemSize(), options.random_seed or 0))
    else:
        network = seem_checkpoint.load(Path(options.checkpoint))
    names = options.classes or coco_panoptic()
    network = network.to(device)
    rows = text_rows(network, names, device)
    # A fifth of the weights; the rows are all that is wanted of them.
    network.text.forget_tower()
    return SeemLabeler(network, rows, names, options, device)


def text_rows(network: Seem, names: Sequence[str], device: str = "cpu") -> Tensor:
    """Rows [C + 1, dim] of class names and the background, each the mean over 81 prompts; kept between runs."""
    tower = network.text
    digest = hashlib.sha256("\n".join(names).encode())
    digest.update(tower.lang_proj.detach().cpu().numpy().tobytes())
    digest.update(tower.lang_encoder.positional_embedding.detach().cpu().numpy().tobytes())
    kept = CACHE / f"seem_text_{digest.hexdigest()[:20]}.npy"
    if kept.is_file():
        try:
            rows = np.load(kept, allow_pickle=False)
            if rows.shape == (len(names) + 1, network.size.dim):
                return torch.from_numpy(rows)
        except (OSError, ValueError):
            pass
    tokenizer = prompts.open_clip().get_tokenizer("ViT-B-32")
    templates = [lambda name: f"{name}.", *prompts.imagenet_templates()]
    with torch.inference_mode():
        rows = torch.stack(
            [
                tower.class_row(tokenizer([template(prompts.plain(name)) for template in templates]).to(device))
                for name in [*names, "background"]
            ]
        ).cpu()
    if CACHE.parent.is_dir():
        CACHE.mkdir(exist_ok=True)
        draft = kept.with_suffix(".tmp.npy")
        np.save(draft, rows.numpy())
        draft.replace(kept)
    return rows
