"""Pooled region features: one HDF5 file per image, and the whole set as one virtual file over them.

Per image: features float32 [R, C], region [R] (its `id` in the region file), region_id [R], area [R], bbox [R, 4],
source [R], status [R]. The set: features [N, C], area, bbox, region and image [N] (row of `image_ids`), where features,
area, bbox and region are views into the per-image files, in the order of `image_ids`.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats.hdf5 import open_hdf5, write_hdf5
from regionflow.formats.regions import Annotation

WHAT = "a file of region features"
# Rows read at once; large enough that the per-image files under a block are few per row, small beside the models.
BLOCK_ROWS = 16384
# Views of the set file and their trailing shape and type; features have their own.
COLUMNS = {"area": ((), np.int64), "bbox": ((4,), np.int64), "region": ((), np.int64)}


@dataclass(frozen=True)
class Pooled:
    """Region features of one image."""

    features: NDArray[np.float32]
    regions: NDArray[np.int64]
    error: str | None = None


def write_pooled(
    path: Path,
    features: NDArray[np.float32],
    annotations: Sequence[Annotation],
    status: Sequence[str],
    *,
    provenance: Mapping[str, object],
    error: str | None = None,
) -> None:
    """Write one image's region features [R, C]; row i belongs to annotation i.

    Raises ValueError if the numbers of rows differ.
    """
    if not len(features) == len(annotations) == len(status):
        raise ValueError(f"{path}: {len(features)} feature rows, {len(annotations)} regions, {len(status)} states")
    text = h5py.string_dtype()
    with write_hdf5(path, provenance) as file:
        file["features"] = features.astype(np.float32)
        file["region"] = np.array([a["id"] for a in annotations], dtype=np.int64)
        file["area"] = np.array([a["area"] for a in annotations], dtype=np.int64)
        file["bbox"] = np.array([a["bbox"] for a in annotations], dtype=np.int64).reshape(-1, 4)
        file.create_dataset("region_id", data=[a["region_id"] for a in annotations], dtype=text)
        file.create_dataset("source", data=[a["source"] for a in annotations], dtype=text)
        file.create_dataset("status", data=list(status), dtype=text)
        if error is not None:
            file.attrs["error"] = error


def read_pooled(path: Path) -> Pooled:
    """Read one image's region features.

    Raises BadFile, naming the file, if it is damaged.
    """
    with open_hdf5(path, WHAT) as file:
        return Pooled(file["features"][:], file["region"][:], file.attrs.get("error"))


def write_pooled_set(path: Path, files: Mapping[str, Path], provenance: Mapping[str, object]) -> None:
    """Write the virtual file over per-image files by image id. Their paths are stored relative to it.

    Images without regions have no rows. Raises BadFile for a damaged file or differing numbers of channels.
    """
    rows = {image: _shape(file) for image, file in files.items()}
    channels = {c for n, c in rows.values() if n > 0}
    if len(channels) > 1:
        raise BadFile(f"{path}: per-image files have {sorted(channels)} channels; delete those of older runs")
    total = sum(n for n, _ in rows.values())
    layouts = {name: h5py.VirtualLayout((total, *tail), dtype) for name, (tail, dtype) in COLUMNS.items()}
    layouts["features"] = h5py.VirtualLayout((total, max(channels, default=0)), np.float32)
    start = 0
    for image, (count, width) in rows.items():
        if count == 0:
            continue
        # HDF5 reads %b in the name of a source as the number of a block, and crashes on other letters after %.
        source = Path(os.path.relpath(files[image], path.parent)).as_posix().replace("%", "%%")
        for name, layout in layouts.items():
            tail = (width,) if name == "features" else COLUMNS[name][0]
            layout[start : start + count] = h5py.VirtualSource(source, name, (count, *tail))
        start += count
    with write_hdf5(path, provenance, libver="latest") as file:
        for name, layout in layouts.items():
            # A per-image file that has gone reads as NaN, which every reader refuses, not as zeros.
            file.create_virtual_dataset(name, layout, fillvalue=np.nan if name == "features" else -1)
        file["image"] = np.repeat(np.arange(len(rows), dtype=np.int64), [n for n, _ in rows.values()])
        file.create_dataset("image_ids", data=list(rows), dtype=h5py.string_dtype())


class SetColumn:
    """A dataset [N, ...] of a set file, read slice by slice.

    The file is opened for each slice: an open virtual dataset keeps every per-image file that it has read open, with
    the memory of each, so that a walk over a large set would hold all of them.
    """

    def __init__(self, path: Path, name: str = "features") -> None:
        self._path, self._name = path, name
        with open_hdf5(path, WHAT) as file:
            self.shape: tuple[int, ...] = file[name].shape
            self.dtype: np.dtype = file[name].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray:
        with open_hdf5(self._path, WHAT) as file:
            return file[self._name][rows]

    def take(self, rows: NDArray[np.integer]) -> NDArray:
        """Some rows, given in ascending order."""
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        for start in range(0, len(self), BLOCK_ROWS):
            inside = rows[(rows >= start) & (rows < start + BLOCK_ROWS)]
            if len(inside):
                parts.append(self[start : start + BLOCK_ROWS][inside - start])
        return np.concatenate(parts)


def image_ids(path: Path) -> list[str]:
    """Ids of the images of a set file, in its order."""
    with open_hdf5(path, WHAT) as file:
        return list(file["image_ids"].asstr()[:])


def rows_of(path: Path, images: Collection[str]) -> NDArray[np.bool_]:
    """Which rows of a set file [N] belong to the images of those ids."""
    with open_hdf5(path, WHAT) as file:
        wanted = np.array([image in images for image in file["image_ids"].asstr()[:]], dtype=bool)
        return wanted[file["image"][:]]


def _shape(path: Path) -> tuple[int, int]:
    with open_hdf5(path, WHAT) as file:
        rows, channels = file["features"].shape
        return rows, channels
