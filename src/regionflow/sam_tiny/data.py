"""Batches for training: scenes drawn once into a folder, then cropped, flipped and recoloured."""

import json
import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regionflow.sam_tiny import scenes
from regionflow.sam_tiny.network import SIDE, STRIDE

FIRST_TRAINING_SEED = 0
FIRST_VALIDATION_SEED = 10_000_000
FIRST_TEST_SEED = 20_000_000
"""Scenes are numbered by their seeds; the three sets never meet."""

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1)
CLICKABLE = 64
"""Pixels of a part; smaller ones are hardly ever clicked."""


class SceneSet:
    """`count` training scenes in `folder`, `chunk` to a file; those that are missing are drawn first."""

    def __init__(self, folder: Path, count: int, workers: int, chunk: int = 250) -> None:
        if count % chunk:
            raise ValueError(f"the number of scenes must be a multiple of {chunk}, not {count}")
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + count, chunk)
        missing = [start for start in starts if not _chunk(folder, start).exists()]
        # Forked children of a process that has run torch may wait for its threads for ever.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            for start in pool.map(partial(_draw_chunk, folder, chunk), missing):
                print(json.dumps({"drawn": start + chunk}), flush=True)
        self._chunks = [np.load(_chunk(folder, start), mmap_mode="r") for start in starts]
        self._chunk = chunk
        self.count = count

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Scene [SIDE, SIDE, 5]: red, green, blue, whole, part."""
        return self._chunks[i // self._chunk][i % self._chunk]


def _chunk(folder: Path, start: int) -> Path:
    return folder / f"scenes_{start:08d}.npy"


def _draw_chunk(folder: Path, chunk: int, start: int) -> int:
    cv2.setNumThreads(1)
    drawn = [scenes.draw(seed) for seed in range(start, start + chunk)]
    # Numbers above 255 wrap around: two far apart regions of one scene in many share a number.
    stacked = np.stack([np.dstack([s.image, s.wholes.astype(np.uint8), s.parts.astype(np.uint8)]) for s in drawn])
    temporary = folder / f"{start}.{os.getpid()}.tmp.npy"
    np.save(temporary, stacked)
    temporary.replace(_chunk(folder, start))
    return start


@dataclass(frozen=True)
class Batch:
    """B images of H x W pixels with K clicks each; P = H * W, the pixels of the predicted masks.

    images: [B, 3, H, W], normalised. cells: [B, 2] row and column, in cells of the embedding, of the image's place in
    the frame. points: [B, K, 2] clicks, x and y in pixels of the image. targets: [B * K, 2, P] one where a pixel
    belongs to the clicked whole (0) or part (1). valid: [B, P] zero where the frame is padded.
    described: [B, 20, H / 4, W / 4], what is true of the whole and then of the part that the middle of a cell lies in:
    centre x, y and box x0, y0, x1, y1 in the frame from -1 to 1, logarithm of the area, mean colour. weight:
    [B, 2, H / 4, W / 4], how much that counts. cell_labels: [B, 2, H / 4, W / 4] numbers of those wholes and parts.
    """

    images: Tensor
    cells: NDArray[np.int64]
    points: Tensor
    targets: Tensor
    valid: Tensor
    described: Tensor
    weight: Tensor
    cell_labels: Tensor


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of: `size` images of `side` pixels with `clicks` clicks each.

    power: a pixel is clicked with a probability that goes with its part's area to the minus `power`.
    """

    size: int
    side: int
    clicks: int
    power: float


def make_batch(source: SceneSet, seed: tuple[int, ...], recipe: Recipe) -> Batch:
    """The batch of a seed: whole frames if `side` is that of the scenes, else crops placed anywhere in the frame."""
    size, side, clicks = recipe.size, recipe.side, recipe.clicks
    rng = np.random.default_rng(seed)
    frames = np.empty((size, side, side, 5), np.uint8)
    cells = np.zeros((size, 2), np.int64)
    valid = np.ones((size, side, side), bool)
    for b in range(size):
        scene = source[int(rng.integers(source.count))]
        if side < SIDE:
            y, x = rng.integers(0, SIDE - side + 1, 2)
            scene = scene[y : y + side, x : x + side]
            cells[b] = rng.integers(0, (SIDE - side) // STRIDE + 1, 2)
        elif rng.random() < 0.2:
            scene = _enlarged(rng, scene)
        frames[b] = _turned(rng, scene)
        if side == SIDE:
            valid[b] = _padding(rng)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    shown = torch.from_numpy(valid)
    labels = torch.from_numpy(frames[..., 3:]).permute(0, 3, 1, 2).long() * shown[:, None]
    images = _recoloured(torch.from_numpy(frames[..., :3]).permute(0, 3, 1, 2).float(), generator) * shown[:, None]
    chosen = _choose(labels[:, 1], shown, recipe, generator)
    rows, columns = chosen // side, chosen % side
    inside = torch.rand(size, clicks, 2, generator=generator)
    points = torch.stack([columns, rows], dim=2) + inside
    ids = labels.flatten(2).gather(2, chosen[:, None].expand(-1, 2, -1))
    targets = (labels.flatten(2)[:, None] == ids.mT[..., None]).float()
    described, weight = _describe(images, labels, shown, torch.from_numpy(cells))
    clicked = (points, targets.flatten(0, 1), shown.flatten(1).float())
    middle = labels[:, :, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    return Batch(images, cells, *clicked, described, weight, middle)


def _describe(images: Tensor, labels: Tensor, valid: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """`described` and `weight` of a batch."""
    batch, _, height, width = labels.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([x, y]).flatten(1).float() + 0.5
    at = (at + (cells.flip(1) * STRIDE)[:, :, None]) * (2 / SIDE) - 1
    seen = valid.flatten(1).float()
    index, middle = labels.flatten(2), slice(STRIDE // 2, None, STRIDE)
    described, weights = [], []
    for level in (0, 1):
        ids = index[:, level]

        def per_region(values: Tensor, how: str, ids: Tensor = ids) -> Tensor:
            empty = torch.zeros(batch, values.shape[1], 256)
            return empty.scatter_reduce_(2, ids[:, None].expand_as(values), values, how, include_self=False)

        area = per_region(seen[:, None], "sum").clamp(min=1)
        means = per_region(torch.cat([at, images.flatten(2)], 1), "mean")
        boxes = torch.cat([per_region(at, "amin"), per_region(at, "amax")], 1)
        size = area.log() / math.log(SIDE * SIDE)
        table = torch.cat([means[:, :2], boxes, size, means[:, 2:]], 1)
        here = labels[:, level, middle, middle].flatten(1)[:, None]
        described.append(table.gather(2, here.expand(-1, table.shape[1], -1)))
        weights.append(area.pow(-0.5).gather(2, here) * valid[:, middle, middle].flatten(1)[:, None])
    shape = (height // STRIDE, width // STRIDE)
    weight = torch.cat(weights, 1)
    return torch.cat(described, 1).unflatten(2, shape), (weight / weight.mean()).unflatten(2, shape)


def _enlarged(rng: np.random.Generator, scene: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A random square of the scene at full size: photos hold large and smooth things."""
    part = int(rng.integers(SIDE // 2, SIDE))
    y, x = rng.integers(0, SIDE - part + 1, 2)
    square = scene[y : y + part, x : x + part]
    image = cv2.resize(np.ascontiguousarray(square[..., :3]), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    labels = cv2.resize(np.ascontiguousarray(square[..., 3:]), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return np.dstack([image, labels])


def _turned(rng: np.random.Generator, scene: NDArray[np.uint8]) -> NDArray[np.uint8]:
    turned = np.rot90(scene, int(rng.integers(4)))
    return turned[::-1] if rng.random() < 0.5 else turned


def _padding(rng: np.random.Generator) -> NDArray[np.bool_]:
    """A quarter of the frames lose their bottom or their right side, as photos that are not square do."""
    valid = np.ones((SIDE, SIDE), bool)
    kept = int(rng.integers(SIDE // 2, SIDE)) // 2 * 2
    chance = rng.random()
    if chance < 0.15:
        valid[kept:] = False
    elif chance < 0.25:
        valid[:, kept:] = False
    return valid


def _recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    """Channels in another order, another contrast and another tint per image; normalised."""
    size = len(images)
    order = torch.stack([torch.randperm(3, generator=generator) for _ in range(size)])
    images = images.gather(1, order[:, :, None, None].expand_as(images))
    contrast = 0.6 + 0.6 * torch.rand(size, 1, 1, 1, generator=generator)
    tint = (torch.rand(size, 3, 1, 1, generator=generator) - 0.5) * 40
    return ((128 + (images - 128) * contrast + tint).clamp(0, 255) - MEAN) / STD


def _choose(parts: Tensor, valid: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Clicked pixels [B, clicks], as indices into the flattened images [B, H, W]."""
    parts, seen = parts.flatten(1), valid.flatten(1).float()
    area = torch.zeros(len(parts), 256).scatter_add_(1, parts, seen).gather(1, parts)
    weight = (area.clamp(min=1).pow(-recipe.power) * (area >= CLICKABLE) + 1e-9) * seen
    return torch.multinomial(weight, recipe.clicks, replacement=True, generator=generator)
