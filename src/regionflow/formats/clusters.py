"""Fitted clusters of region features: an HDF5 file of arrays, never a pickle, and a table of several fits."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.base.files import write_table
from regionflow.formats.checksums import note_file
from regionflow.formats.hdf5 import open_hdf5, write_hdf5

Features = NDArray[np.float32]
WHAT = "a file of fitted clusters"
COMPARED = (
    "k", "inertia", "silhouette", "empty", "smallest", "median_size", "largest", "epochs", "reassignments", "regions",
    "unusable",
)  # fmt: skip


@dataclass(frozen=True)
class Clusters:
    """Fitted clusters: centres float32 [k, C] and what is worth knowing of the fit.

    `sizes` [k], `inertia` (mean squared distance to the nearest centre) and `silhouette` (on a sample; NaN where it is
    not defined) are over the regions that were fitted, `reassignments` counts centres that were moved to a random
    region since hardly any region was theirs.
    """

    centres: Features
    sizes: NDArray[np.int64]
    inertia: float
    silhouette: float
    epochs: int
    reassignments: int
    regions: int
    unusable: int


def write_clusters(path: Path, clusters: Clusters, provenance: Mapping[str, object]) -> None:
    """Store fitted clusters as arrays and attributes."""
    with write_hdf5(path, provenance) as file:
        file["centroids"] = clusters.centres
        file["sizes"] = clusters.sizes
        file.attrs.update(
            inertia=clusters.inertia,
            silhouette=clusters.silhouette,
            epochs=clusters.epochs,
            reassignments=clusters.reassignments,
            regions=clusters.regions,
            unusable=clusters.unusable,
        )


def read_clusters(path: Path) -> Clusters:
    """A stored fit.

    Raises BadFile, naming the file, if it is none.
    """
    with open_hdf5(path, WHAT) as file:
        attrs = {name: file.attrs[name].item() for name in Clusters.__annotations__ if name in file.attrs}
        return Clusters(file["centroids"][:], file["sizes"][:], **attrs)


def read_centres(path: Path, foreign: bool = False) -> Features:
    """The centres [k, C] of a stored fit, or of a `foreign` HDF5 file that has them as `centroids`.

    Raises BadFile, naming the file, if it has none, or numbers that are not finite.
    """
    with open_hdf5(path, WHAT, foreign=foreign) as file:
        centres = file["centroids"][:].astype(np.float32)
        if centres.ndim != 2 or not centres.size or not np.isfinite(centres).all():
            raise ValueError(f"centroids of shape {centres.shape} are no finite centres [k, C]")
        return centres


def read_silhouette(path: Path) -> float:
    """The mean silhouette of a stored fit; NaN where it is not defined, or for centres from elsewhere."""
    with open_hdf5(path, WHAT, foreign=True) as file:
        return float(file.attrs.get("silhouette", np.nan))


def write_comparison(path: Path, fits: Sequence[Clusters]) -> None:
    """Write a TSV with one line per fit, in order of k."""
    write_table(path, COMPARED, (_row(fit) for fit in sorted(fits, key=lambda fit: len(fit.centres))), delimiter="\t")


def _row(fit: Clusters) -> list[object]:
    quality = [len(fit.centres), f"{fit.inertia:.6g}", f"{fit.silhouette:.4f}", int((fit.sizes == 0).sum())]
    sizes = [int(size) for size in (fit.sizes.min(), np.median(fit.sizes), fit.sizes.max())]
    return [*quality, *sizes, fit.epochs, fit.reassignments, fit.regions, fit.unusable]


def read_comparison(path: Path) -> list[dict[str, str]]:
    """The rows of that table, cells as they stand.

    Raises BadFile, naming the file, if it is not such a table.
    """
    try:
        note_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, ValueError) as error:
        raise BadFile.damaged(path, "a comparison of fits", error) from error
    if any(set(row) != set(COMPARED) for row in rows):
        raise BadFile.damaged(path, "a comparison of fits", f"its columns are not {', '.join(COMPARED)}")
    return rows
