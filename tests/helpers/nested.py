"""Drawn scenes with known part-whole hierarchies: objects of parts of subparts, and the training set made of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.formats import part_set, rle
from regionflow.formats.part_set import PartSet
from regionflow.formats.parts import PartMasks, PartTargets, distinct
from regionflow.parts.targets import members
from regionflow.parts.teacher import patch_points

LEVELS = 3
Embed = Callable[[NDArray[np.uint8], PartMasks], NDArray[np.float16]]


def draw(seed: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One scene: pixels [S, S, 3] and label maps [3, S, S] of subparts, parts and wholes.

    Two halves, each with an object of one hue on a ground of another; the object has two parts, lighter and darker, and
    each part two subparts, with and without stripes.
    """
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size, 3))
    labels = np.zeros((LEVELS, size, size), np.int64)
    y, x = np.mgrid[:size, :size]
    upright = rng.random() < 0.5
    along, across = (x, y) if upright else (y, x)
    cut = int(size * rng.uniform(0.4, 0.6))
    for half, inside in enumerate((along < cut, along >= cut)):
        ground = rng.uniform(0, 90, 3)
        image[inside] = ground
        labels[:, inside] = 10 * half + 1
        middle = (cut / 2, (cut + size) / 2)[half]
        length, width = size * rng.uniform(0.3, 0.45), size * rng.uniform(0.17, 0.24)
        body = inside & (np.abs(across - size / 2) < length) & (np.abs(along - middle) < width)
        hue = rng.uniform(90, 220, 3)
        neck = size / 2 + rng.uniform(-0.1, 0.1) * size
        for part, in_part in enumerate((body & (across < neck), body & (across >= neck))):
            image[in_part] = hue * (1.15 if part else 0.6)
            for sub, in_sub in enumerate((in_part & (along < middle), in_part & (along >= middle))):
                image[in_sub] += np.where(along[in_sub] % 4 < 2, 30, -30)[:, None] if sub else 0
                labels[0, in_sub] = 10 * half + 2 + 2 * part + sub
            labels[1, in_part] = 10 * half + 2 + part
        labels[2, body] = 10 * half + 2
    image += rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def true_parts(labels: NDArray[np.int64], grid: int) -> PartMasks:
    """The masks that a perfect teacher gives."""
    size = labels.shape[1]
    columns, rows = patch_points(size, grid).astype(int).T
    encoded = [rle.encode(level == level[r, c]) for r, c in zip(rows, columns, strict=True) for level in labels]
    masks, index = distinct(encoded)
    index = index.reshape(-1, LEVELS)
    return PartMasks(size, masks, index, np.ones(index.shape), np.ones(index.shape), "drawn")


def simple_embedding(width: int) -> Embed:
    """A fixed random map of mean colour, place and area, for tests that need no network."""
    matrix = np.random.default_rng(0).normal(size=(6, width))

    def embed(image: NDArray[np.uint8], parts: PartMasks) -> NDArray[np.float16]:
        rows = []
        for mask in map(rle.decode, parts.masks):
            y, x = np.nonzero(mask)
            rows.append([*(image[mask].mean(0) / 128 - 1), y.mean() / parts.size, x.mean() / parts.size, mask.mean()])
        return (np.array(rows) @ matrix).astype(np.float16)

    return embed


def write_set(path: Path, count: int, size: int, grid: int, embed: Embed) -> PartSet:
    """A training set of so many scenes."""
    content = []
    for seed in range(count):
        image, labels = draw(seed, size)
        parts = true_parts(labels, grid)
        content.append((image, PartTargets(embed(image, parts), parts.index, members(parts))))
    images = [(f"train/{'ab'[i % 2]}/{i}", "train") for i in range(count)]
    rows = sum(len(targets.embeddings) for _, targets in content)
    part_set.write_part_set(path, images, content, rows, {"made": "by a test"})
    return PartSet(path)
