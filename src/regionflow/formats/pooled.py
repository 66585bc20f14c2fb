"""Pooled region features: one HDF5 file per image, and one for the whole set.

Per image: features float32 [R, C], region [R] (its `id` in the region file), region_id [R], area [R], bbox [R, 4],
source [R], status [R] (`nan` for a region whose features are NaN); and as attributes image_id, image_size (height,
width) and regions_sha256, the checksum of the region file that was pooled.

The set: features [N, C], area, bbox, region, status and image [N] (row of `image_ids`), in the order of `image_ids`.
These are copies, not views: HDF5 gives the fill value, without a word, for a source of a virtual file that it cannot
open, be it for the limit of open files.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats.checked import check_owner
from regionflow.formats.hdf5 import open_hdf5, read_attribute, write_attribute, write_hdf5, write_strings
from regionflow.formats.regions import Annotation, ImageInfo, region_id

WHAT = "a file of region features"
NAN = "nan"
"""Status of a region whose features are NaN because the options of pooling say so."""
# Rows read at once.
BLOCK_ROWS = 16384
# Columns of the set file with their trailing shape and type; features have their own.
STATUS = h5py.string_dtype("ascii", 8)
COLUMNS = {"area": ((), np.int64), "bbox": ((4,), np.int64), "region": ((), np.int64), "image": ((), np.int64)}
# Bytes that HDF5 stores together.
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Pooled:
    """Region features float32 [R, C] of one image, and region [R], status [R], area [R] and bbox [R, 4] of each row."""

    image_id: str
    size: tuple[int, int]
    features: NDArray[np.float32]
    regions: NDArray[np.int64]
    status: list[str]
    area: NDArray[np.int64]
    bbox: NDArray[np.int64]
    regions_sha256: str
    error: str | None = None

    def __post_init__(self) -> None:
        rows = len(self.regions)
        shapes = (self.features.shape[:1], self.area.shape, self.bbox.shape, (len(self.status),))
        if self.features.ndim != 2 or shapes != ((rows,), (rows,), (rows, 4), (rows,)):
            raise ValueError(f"{rows} regions, but columns of shapes {self.features.shape, *shapes[1:]}")
        wrong = np.flatnonzero(~np.isfinite(self.features).all(axis=1) & (np.array(self.status, dtype=str) != NAN))
        if len(wrong):
            raise ValueError(f"features of row {wrong[0]} are not finite, but its status is {self.status[wrong[0]]!r}")


def write_pooled(
    path: Path,
    features: NDArray[np.float32],
    annotations: Sequence[Annotation],
    status: Sequence[str],
    *,
    image: ImageInfo,
    regions_sha256: str,
    provenance: Mapping[str, object],
    error: str | None = None,
) -> None:
    """Write one image's region features [R, C]; row i belongs to annotation i of a region file with that checksum.

    Raises ValueError if the numbers of rows differ, or for values that are not finite and not said to be so.
    """
    if not len(features) == len(annotations) == len(status):
        raise ValueError(f"{path}: {len(features)} feature rows, {len(annotations)} regions, {len(status)} states")
    columns = {name: np.array([a[name] for a in annotations], dtype=np.int64) for name in ("id", "area", "bbox")}
    bbox = columns["bbox"].reshape(-1, 4)
    size = (image.height, image.width)
    rows = features.astype(np.float32)
    Pooled(image.image_id, size, rows, columns["id"], list(status), columns["area"], bbox, regions_sha256)
    with write_hdf5(path, provenance) as file:
        write_strings(file, "region_id", [a["region_id"] for a in annotations])
        file["features"], file["region"], file["area"], file["bbox"] = rows, columns["id"], columns["area"], bbox
        write_strings(file, "source", [a["source"] for a in annotations])
        write_strings(file, "status", status)
        for name in ("features", "region", "area", "bbox", "source", "status"):
            name_axes(file, name)
        write_attribute(file, "image_id", image.image_id)
        write_attribute(file, "regions_sha256", regions_sha256)
        file.attrs["image_size"] = size
        if error is not None:
            write_attribute(file, "error", error)


def name_axes(file: h5py.File, name: str) -> None:
    """Name all axes of a column: PyTables 3.11 crashes where only some have names, and fails on dimension scales."""
    names = ("region", {"features": "channel", "bbox": "x, y, width, height"}.get(name, ""))
    for axis, label in zip(file[name].dims, names, strict=False):
        axis.label = label


def read_pooled(path: Path, image_id: str | None = None, regions_sha256: str | None = None) -> Pooled:
    """Read one image's region features.

    Raises BadFile, naming the file, if it is damaged, of another image than `image_id`, or pooled over another version
    of the region file than that with the checksum `regions_sha256`.
    """
    with open_hdf5(path, WHAT) as file:
        height, width = (int(n) for n in file.attrs["image_size"])
        pooled = Pooled(
            image_id=read_attribute(file, "image_id") or "",
            size=(height, width),
            features=file["features"][:],
            regions=file["region"][:],
            status=list(file["status"].asstr()[:]),
            area=file["area"][:],
            bbox=file["bbox"][:],
            regions_sha256=read_attribute(file, "regions_sha256") or "",
            error=read_attribute(file, "error"),
        )
        ids = [region_id(pooled.image_id, number) for number in pooled.regions]
        if list(file["region_id"].asstr()[:]) != ids:
            raise ValueError("its region ids are not those of its image")
    check_owner(path, pooled.image_id, image_id)
    if regions_sha256 is not None and pooled.regions_sha256 != regions_sha256:
        raise BadFile.to_be_remade(f"{path}: it was pooled over another version of the image's region file")
    return pooled


def write_pooled_set(path: Path, files: Mapping[str, Path], provenance: Mapping[str, object]) -> None:
    """Write the file of a set from per-image files by image id, one after the other. An image may have no regions.

    Raises BadFile for a file that is missing, damaged or of another image, or for differing numbers of channels.
    """
    with write_hdf5(path, provenance) as file:
        for name, (tail, dtype) in COLUMNS.items():
            file.create_dataset(name, (0, *tail), dtype, maxshape=(None, *tail), chunks=(BLOCK_ROWS, *tail))
        file.create_dataset("status", (0,), STATUS, maxshape=(None,), chunks=(BLOCK_ROWS,))
        of_regions: list[str] = []
        for block in _blocks(path, files, of_regions):
            for name, values in block.items():
                _append(file, name, values)
        if "features" not in file:
            file.create_dataset("features", (0, 0), np.float32)
        for name in ("features", "status", *COLUMNS):
            name_axes(file, name)
        write_strings(file, "image_ids", list(files))
        write_strings(file, "regions_sha256", of_regions)


def check_pooled_set(path: Path, file_of: Callable[[str], Path]) -> None:
    """Compare a set file with the per-image files that are there; `file_of` gives that of an image.

    Raises BadFile, naming the set file, if it is damaged or has other rows than a sound per-image file.
    """
    with open_hdf5(path, WHAT) as file:
        owner, ids = file["image"][:], list(file["image_ids"].asstr()[:])
        of_regions = list(file["regions_sha256"].asstr()[:])
        ends = np.searchsorted(owner, np.arange(len(ids) + 1))
        for number, image in enumerate(ids):
            try:
                pooled = read_pooled(file_of(image), image)
            except BadFile:
                continue  # missing, or named by itself
            rows = slice(int(ends[number]), int(ends[number + 1]))
            columns: dict[str, NDArray] = {"features": pooled.features, "region": pooled.regions}
            same = pooled.regions_sha256 == of_regions[number] and rows.stop - rows.start == len(pooled.regions)
            if not same or any(not _equal(file[name][rows], values) for name, values in columns.items()):
                raise BadFile.to_be_remade(f"{path}: its rows of image {image!r} are not those of the image's own file")


def _equal(one: NDArray, other: NDArray) -> bool:
    return not len(one) or one.tobytes() == other.tobytes()


def _blocks(path: Path, files: Mapping[str, Path], of_regions: list[str]) -> Iterator[dict[str, NDArray]]:
    """The rows of all images, some BLOCK_ROWS at a time; the checksum of each image's regions is added to the list."""
    parts: dict[str, list[NDArray]] = defaultdict(list)
    channels: dict[int, Path] = {}
    waiting = 0
    for number, (image, source) in enumerate(files.items()):
        pooled = read_pooled(source, image)
        of_regions.append(pooled.regions_sha256)
        rows = len(pooled.regions)
        if rows:
            channels.setdefault(pooled.features.shape[1], source)
            if len(channels) > 1:
                (one, first), (other, second) = channels.items()
                raise BadFile(
                    f"{path}: per-image files have {sorted((one, other))} channels ({first}, {second}); "
                    "delete those of older runs"
                )
            image_column = np.full(rows, number, dtype=np.int64)
            columns: dict[str, Any] = {"features": pooled.features, "area": pooled.area, "bbox": pooled.bbox}
            columns |= {"region": pooled.regions, "image": image_column, "status": np.array(pooled.status, STATUS)}
            for name, values in columns.items():
                parts[name].append(values)
            waiting += rows
        if waiting >= BLOCK_ROWS:
            yield {name: np.concatenate(values) for name, values in parts.items()}
            parts, waiting = defaultdict(list), 0
    if waiting:
        yield {name: np.concatenate(values) for name, values in parts.items()}


def _append(file: h5py.File, name: str, values: NDArray) -> None:
    if name not in file:
        channels = values.shape[1]
        chunk = (max(1, CHUNK_BYTES // (4 * channels)), channels)
        file.create_dataset(name, (0, channels), np.float32, maxshape=(None, channels), chunks=chunk)
    start = len(file[name])
    file[name].resize(start + len(values), axis=0)
    file[name][start:] = values


class SetColumn:
    """A dataset [N, ...] of a set file, read slice by slice; its checksum is compared when it is made."""

    def __init__(self, path: Path, name: str = "features") -> None:
        self._path, self._name = path, name
        with open_hdf5(path, WHAT) as file:
            self.shape: tuple[int, ...] = file[name].shape
            self.dtype: np.dtype = file[name].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | int | NDArray) -> NDArray:
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


def regions_checksums(path: Path) -> list[str]:
    """The checksum of the region file that was pooled, of each image of a set file."""
    with open_hdf5(path, WHAT) as file:
        return list(file["regions_sha256"].asstr()[:])


def rows_of(path: Path, images: Collection[str]) -> NDArray[np.bool_]:
    """Which rows of a set file [N] belong to the images of those ids."""
    with open_hdf5(path, WHAT) as file:
        wanted = np.array([image in images for image in file["image_ids"].asstr()[:]], dtype=bool)
        return wanted[file["image"][:]]
