"""The training set of part-whole hierarchies: pixels and targets of all images in one file that is memory-mapped.

HDF5 with contiguous datasets: `pixels` uint8 [N, S, S, 3], `embeddings` float16 [M, E], `index` int32 [N, P, L] into
them or -1, `members` uint8 [M, P / 8] (packed bits), `image_ids` [N], `splits` [N].

Beside it lie the colours of islands, a projection that is fitted once to the set: `mean` [E], `axes` [3, E] and `range`
[2, 3] in a file of their own, which every image's picture reads.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from regionflow.base.options import canonical_json
from regionflow.formats.hdf5 import open_hdf5, read_attribute, write_attribute, write_hdf5, write_strings
from regionflow.formats.parts import EMPTY, PartTargets


@dataclass(frozen=True)
class Projection:
    """Embeddings to colours: mean [E], axes [3, E], range [2, 3] (what becomes black and what becomes full colour)."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    range: NDArray[np.float32]

    def colours(self, embeddings: NDArray[np.floating]) -> NDArray[np.uint8]:
        """RGB [..., 3] of embeddings [..., E]."""
        at = (embeddings - self.mean) @ self.axes.T
        low, high = self.range
        return (np.clip((at - low) / np.maximum(high - low, 1e-12), 0, 1) * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Sample:
    """Some images: pixels uint8 [B, S, S, 3], targets float32 [B, P, L, E], valid bool [B, P, L]."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    valid: NDArray[np.bool_]


def write_part_set(
    path: Path,
    images: Sequence[tuple[str, str]],
    content: Iterable[tuple[NDArray[np.uint8], PartTargets]],
    rows: int,
    provenance: Mapping[str, Any],
) -> None:
    """Write a set, one image at a time.

    images: id and split of each; content: pixels [S, S, 3] and targets of each; rows: embeddings of all together.

    Raises ValueError if images differ in shape, or there are none.
    """
    digest = hashlib.sha256(canonical_json([list(image) for image in images]).encode())
    start = 0
    with write_hdf5(path, provenance) as file:
        for i, (pixels, targets) in enumerate(content):
            count, width = targets.embeddings.shape
            if i == 0:
                shapes = {
                    "pixels": ((len(images), *pixels.shape), np.uint8),
                    "index": ((len(images), *targets.index.shape), np.int32),
                    "embeddings": ((rows, width), np.float16),
                    "members": ((rows, -(-len(targets.index) // 8)), np.uint8),
                }
                for name, (shape, dtype) in shapes.items():
                    file.create_dataset(name, shape, dtype)
            values = {
                "pixels": pixels,
                "index": np.where(targets.index == EMPTY, EMPTY, targets.index + start).astype(np.int32),
                "embeddings": targets.embeddings,
                "members": np.packbits(targets.members, axis=1),
            }
            for name, value in values.items():
                file[name][i if name in ("pixels", "index") else slice(start, start + count)] = value
                digest.update(np.ascontiguousarray(value).data)
            start += count
        if start != rows or not images:
            raise ValueError(f"{path}: {start} embeddings of {len(images)} images, not {rows}")
        write_strings(file, "image_ids", [image for image, _ in images])
        write_strings(file, "splits", [split for _, split in images])
        write_attribute(file, "fingerprint", digest.hexdigest())


def write_projection(path: Path, projection: Projection, provenance: Mapping[str, Any]) -> None:
    """Write a projection."""
    with write_hdf5(path, provenance) as file:
        for name in ("mean", "axes", "range"):
            file[name] = np.asarray(getattr(projection, name), np.float32)


def read_projection(path: Path) -> Projection:
    """Read a projection. Raises BadFile, naming the file, if it is damaged."""
    with open_hdf5(path, "a projection of part embeddings") as file:
        return Projection(*(file[name][:] for name in ("mean", "axes", "range")))


class PartSet:
    """A set open for reading: arrays are mapped, not read.

    image_ids, splits: [N]; pixels uint8 [N, S, S, 3]; index int32 [N, P, L]; embeddings float16 [M, E]; fingerprint:
    sha256 of all of them.

    Raises BadFile, naming the file, if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        with open_hdf5(path, "a training set of parts") as file:
            self.image_ids: list[str] = list(file["image_ids"].asstr()[:])
            self.splits: list[str] = list(file["splits"].asstr()[:])
            self.fingerprint = str(read_attribute(file, "fingerprint"))
            arrays = {name: _mapped(path, file[name]) for name in ("pixels", "index", "embeddings", "members")}
        self.pixels, self.index = arrays["pixels"], arrays["index"]
        self.embeddings, self._members = arrays["embeddings"], arrays["members"]

    def __len__(self) -> int:
        return len(self.image_ids)

    def sample(self, rows: NDArray[np.integer]) -> Sample:
        """Pixels and targets of some images."""
        index = self.index[rows]
        targets = self.embeddings[np.maximum(index, 0)].astype(np.float32)
        valid = index != EMPTY
        targets[~valid] = 0
        return Sample(self.pixels[rows], targets, valid)

    def image(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Index [P, L] and members [M', P] of one image, its rows counted from 0."""
        index = self.index[row].astype(np.int64)
        known = np.unique(index[index != EMPTY])
        place = np.searchsorted(known, np.maximum(index, 0))
        members = np.unpackbits(self._members[known], axis=1, count=len(index)).astype(bool)
        return np.where(index == EMPTY, EMPTY, place), members


def _mapped(path: Path, dataset: h5py.Dataset) -> NDArray:
    """A contiguous dataset as a read-only map of the file."""
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        return dataset[:]
    return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
