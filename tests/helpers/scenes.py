"""Small generated photos for workflow tests."""

from pathlib import Path

import numpy as np
from PIL import Image

ODD = """sub dir/-it's "$HOME" 50%b; [ü] *#&"""
"""An image id that a shell, Snakemake or HDF5 could trip over."""


def photo(seed: int, height: int = 96, width: int = 120) -> np.ndarray:
    """A textured background with a few rectangles and discs, uint8 [height, width, 3]; equal seeds, equal pixels."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(60, 160, 3), dtype=float)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(6):
        y, x, r = rng.integers(0, height), rng.integers(0, width), rng.integers(8, 24)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < r**2
        box = (abs(rows - y) < r) & (abs(columns - x) < r // 2)
        image[disc if rng.random() < 0.5 else box] = rng.integers(0, 256, 3)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def save_photos(folder: Path, names: list[str], **size: int) -> None:
    """Save one photo per name; the name's place in the list is its seed."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(seed, **size)).save(path)
