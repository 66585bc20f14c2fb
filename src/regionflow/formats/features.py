"""Feature maps and their HDF5 files, one per image.

A file holds the dataset `features` [C, h, w], the geometry (`regionflow.formats.geometry`) and the provenance
(canonical JSON of what made it) as attributes; `image_id` says whose they are. The file of an unreadable image holds an
empty map [0, 0, 0] and the reason in the attribute `error`, so that it is a valid output of its stage.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.formats.checked import check_owner
from regionflow.formats.geometry import Geometry
from regionflow.formats.hdf5 import open_hdf5, read_attribute, write_attribute, write_hdf5

StoredDtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class FeatureMap:
    """Features [C, h, w] of one image and where they lie on it; empty and without geometry if `error` says why not."""

    features: NDArray[np.floating]
    geometry: Geometry | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    image_id: str = ""

    def __post_init__(self) -> None:
        grid = self.geometry.grid if self.geometry else (0, 0)
        if self.features.ndim != 3 or self.features.shape[1:] != grid:
            raise ValueError(f"features of shape {self.features.shape} do not fit the grid {grid}")
        if (self.geometry is None) != (self.error is not None):
            raise ValueError("a feature map has either a geometry or an error")

    @classmethod
    def failed(cls, error: str, provenance: Mapping[str, Any] | None = None) -> "FeatureMap":
        """The empty map of an image that could not be read, for the reason `error`."""
        return cls(np.zeros((0, 0, 0), np.float32), None, provenance or {}, error)


def write_features(path: Path, feature_map: FeatureMap, dtype: StoredDtype = "float16") -> None:
    """Write a feature file and check it by reading it back.

    Raises UserError for values that are not finite or do not fit `dtype`, OSError if what is on disk is not what was
    written.
    """
    largest = np.abs(feature_map.features).max(initial=0)
    if not np.isfinite(largest):
        raise UserError(f"{path}: features are not finite")
    if largest > np.finfo(dtype).max:
        raise UserError(f"{path}: features overflow {dtype}; set `stored: float32` for the extractor")
    stored = feature_map.features.astype(dtype)
    with write_hdf5(path, feature_map.provenance) as file:
        file.create_dataset("features", data=stored)
        for axis, name in enumerate(("channel", "row", "column")):
            file["features"].dims[axis].label = name
        write_attribute(file, "image_id", feature_map.image_id)
        if feature_map.geometry is None:
            write_attribute(file, "error", str(feature_map.error))
        else:
            file.attrs.update(feature_map.geometry.attrs())
    written = read_features(path)
    if written.features.tobytes() != stored.tobytes() or written.geometry != feature_map.geometry:
        raise OSError(f"{path}: the file read back differs from what was written; check the disk")


def read_features(path: Path, image_id: str | None = None) -> FeatureMap:
    """Read a feature file; the features keep their stored type.

    Raises BadFile, naming the file, if it is not there, not a whole feature file, or of another image than `image_id`.
    """
    with open_hdf5(path, "a whole feature file") as file:
        error = read_attribute(file, "error")
        feature_map = FeatureMap(
            features=file["features"][:],
            geometry=Geometry.from_attrs(file.attrs) if error is None else None,
            provenance=json.loads(read_attribute(file, "provenance") or ""),
            error=error,
            image_id=read_attribute(file, "image_id") or "",
        )
    check_owner(path, feature_map.image_id, image_id)
    return feature_map
