"""Which images are trained on, and how they reach the network."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.formats.part_set import PartSet
from regionflow.parts.classes import trained_on
from regionflow.parts.pixels import normalised


@dataclass(frozen=True)
class Rows:
    """Rows of a set: trained on, held out of the training images for validation, and of other splits."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def split_rows(splits: list[str], val_fraction: float, seed: int) -> Rows:
    """Training images are those of the split train, or all where there is no such split; some of them are held out.

    Raises UserError for fewer than two training images.
    """
    chosen = np.array(trained_on(splits), np.int64)
    if len(chosen) < 2:
        raise UserError(
            f"parts: the set has {len(chosen)} training images that can be read, and training needs 2 at least; add "
            "images, or mend those that `snakemake results/problems.tsv` lists"
        )
    order = np.random.default_rng(seed).permutation(chosen)
    held = min(len(chosen) - 1, max(1, round(val_fraction * len(chosen))))
    rest = np.setdiff1d(np.arange(len(splits)), chosen)
    return Rows(np.sort(order[held:]), np.sort(order[:held]), rest)


@dataclass(frozen=True)
class Batch:
    """Images [B, 3, S, S], targets [B, P, L, E] and which of them count [B, P, L]."""

    images: Tensor
    targets: Tensor
    valid: Tensor


def batch(data: PartSet, rows: NDArray[np.int64], device: str) -> Batch:
    """Some images of a set on the device."""
    sample = data.sample(np.sort(rows))  # a memory map is read in the order of the file
    targets, valid = torch.from_numpy(sample.targets).to(device), torch.from_numpy(sample.valid).to(device)
    return Batch(normalised(sample.pixels, device), targets, valid)
