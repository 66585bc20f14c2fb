"""Batches for training: scenes drawn once into a folder, then cropped, flipped and recoloured."""

import json
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

from regionflow.images import scenes
from regionflow.images.scenes import FIRST_TRAINING_SEED
from regionflow.sam.architecture import PIXEL_MEAN, PIXEL_STD
from regionflow.sam.tiny import EDGE_STRIDE, SIDE, STRIDE

MEAN = torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)
STD = torch.tensor(PIXEL_STD).view(1, 3, 1, 1)
CLICKABLE = 64
"""Pixels of a part; smaller ones are hardly ever clicked."""
NATIVE = 0.6
"""Share of the images that show a scene at its own size; the others show a part of it, enlarged up to twice."""


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
    cell_labels: [B, 2, H / 2, W / 2] numbers of the whole and of the part at every other pixel.
    """

    images: Tensor
    cells: Tensor
    points: Tensor
    targets: Tensor
    valid: Tensor
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
        scene = _square(rng, source[int(rng.integers(source.count))], side)
        if side < SIDE:
            cells[b] = rng.integers(0, (SIDE - side) // STRIDE + 1, 2)
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
    clicked = (points, targets.flatten(0, 1), shown.flatten(1).float())
    middle = slice(EDGE_STRIDE // 2, None, EDGE_STRIDE)
    return Batch(images, torch.from_numpy(cells), *clicked, labels[:, :, middle, middle])


def _square(rng: np.random.Generator, scene: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square of the scene anywhere in it; often a smaller one, enlarged, as crops are and things in photos."""
    part = side if rng.random() < NATIVE else int(rng.integers(side // 2, side))
    y, x = rng.integers(0, SIDE - part + 1, 2)
    square = scene[y : y + part, x : x + part]
    if part == side:
        return square
    image = cv2.resize(np.ascontiguousarray(square[..., :3]), (side, side), interpolation=cv2.INTER_LINEAR)
    labels = cv2.resize(np.ascontiguousarray(square[..., 3:]), (side, side), interpolation=cv2.INTER_NEAREST)
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
