"""Part masks and their embeddings: per image, for every patch of a grid and every level, which mask and which vector.

Part masks, JSON: a mask file (`regionflow.formats.regions`) of the image resized to a square, whose annotations are the
distinct masks, with the key `parts` beside them: {grid, index [P][L], predicted_iou [P][L], stability_score [P][L]}.
Patches run row by row; levels from subpart to whole; an index of -1 is an empty mask.

Part targets, HDF5: `embeddings` float16 [M, E], one row per distinct mask, `index` int32 [P, L] into them, and which
patches' centres lie in each mask: `members` [M, P] as packed bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.base.options import canonical_json
from regionflow.formats import regions, rle
from regionflow.formats.checked import read_checked_json, write_checked_json
from regionflow.formats.regions import Generator, ImageInfo
from regionflow.formats.rle import Rle

EMPTY = -1
"""Index of an empty mask."""


class BadPartsFile(UserError):
    """A file of part masks or targets that cannot be used; the text names the file."""


@dataclass(frozen=True)
class PartMasks:
    """The teacher's masks of one image resized to a square.

    masks: distinct and not empty; index: int64 [P, L], rows of `masks` or EMPTY; predicted_iou, stability_score:
    float64 [P, L]; source: the kind of teacher, as in region files.
    """

    size: int
    masks: list[Rle]
    index: NDArray[np.int64]
    predicted_iou: NDArray[np.float64]
    stability_score: NDArray[np.float64]
    source: str
    error: str | None = None

    @classmethod
    def none(cls, error: str) -> "PartMasks":
        """Of an image that could not be read."""
        scores = np.zeros((0, 0))
        return cls(0, [], np.zeros((0, 0), np.int64), scores, scores, "", error)

    @property
    def grid(self) -> int:
        """Patches along each side."""
        return round(len(self.index) ** 0.5)


@dataclass(frozen=True)
class PartTargets:
    """Embeddings of one image's part masks.

    embeddings: float16 [M, E]; index: int64 [P, L], rows of the embeddings or EMPTY; members: bool [M, P], whether a
    patch's centre lies in a mask.
    """

    embeddings: NDArray[np.float16]
    index: NDArray[np.int64]
    members: NDArray[np.bool_]
    error: str | None = None

    @property
    def dense(self) -> NDArray[np.float16]:
        """The embedding of every patch and level [P, L, E]; zeros where the mask is empty."""
        rows = np.concatenate([self.embeddings, np.zeros((1, self.embeddings.shape[1]), np.float16)])
        return rows[self.index]


def write_masks(path: Path, image_id: str, file_name: str, parts: PartMasks, generator: Generator) -> None:
    """Write the part masks of one image."""
    best = [(0.0, 0.0)] * len(parts.masks)
    for row, iou, stability in zip(parts.index.flat, parts.predicted_iou.flat, parts.stability_score.flat, strict=True):
        if row != EMPTY:
            best[row] = max(best[row], (float(iou), float(stability)))
    annotations = [
        regions.annotation(mask, parts.source, predicted_iou=round(iou, 6), stability_score=round(stability, 6))
        for mask, (iou, stability) in zip(parts.masks, best, strict=True)
    ]
    info = ImageInfo(image_id, file_name, parts.size, parts.size, parts.error)
    content = {
        **regions.content_of(info, annotations, generator),
        "parts": {
            "grid": parts.grid,
            "index": parts.index.tolist(),
            "predicted_iou": parts.predicted_iou.round(6).tolist(),
            "stability_score": parts.stability_score.round(6).tolist(),
        },
    }
    write_checked_json(path, content)


def read_masks(path: Path) -> PartMasks:
    """Read the part masks of one image.

    Raises BadPartsFile, naming the file, if it is damaged or not what it should be.
    """
    content, sha256 = read_checked_json(path, "a file of part masks")
    file = regions.parse_regions(path, content, sha256)
    try:
        parts: Mapping[str, Any] = content["parts"]
        shape = (parts["grid"] ** 2, -1 if parts["grid"] else 0)
        index = np.array(parts["index"], np.int64).reshape(shape)
        iou, stability = (
            np.array(parts[key], float).reshape(index.shape) for key in ("predicted_iou", "stability_score")
        )
        if index.size and not (index.min() >= EMPTY and index.max() < len(file.annotations)):
            raise ValueError("its index names masks that are not there")
    except (KeyError, TypeError, ValueError) as error:
        raise BadPartsFile(f"{path}: not a file of part masks ({error}); delete it and run again") from error
    source = file.annotations[0]["source"] if file.annotations else ""
    return PartMasks(file.image.height, regions.masks_of(file), index, iou, stability, source, file.image.error)


def write_targets(path: Path, targets: PartTargets, provenance: Mapping[str, Any]) -> None:
    """Write the targets of one image and check what was written.

    Raises ValueError for embeddings that are not finite or an index that points past them.
    """
    if not np.isfinite(targets.embeddings).all():
        raise ValueError(f"{path}: embeddings that are not finite in float16")
    _check_shapes(targets)
    with h5py.File(path, "w") as file:
        file["embeddings"] = targets.embeddings.astype(np.float16)
        file["index"] = targets.index.astype(np.int32)
        file["members"] = np.packbits(targets.members, axis=1)
        file.attrs["provenance"] = canonical_json(dict(provenance))
        if targets.error is not None:
            file.attrs["error"] = targets.error
    if not np.array_equal(read_targets(path).embeddings, targets.embeddings):
        raise OSError(f"{path}: the file read back differs from what was written; check the disk")


def read_targets(path: Path) -> PartTargets:
    """Read the targets of one image.

    Raises BadPartsFile, naming the file, if it is damaged or not what it should be.
    """
    try:
        with h5py.File(path, "r") as file:
            index = file["index"][:].astype(np.int64)
            members = np.unpackbits(file["members"][:], axis=1, count=len(index)).astype(bool)
            targets = PartTargets(file["embeddings"][:], index, members, file.attrs.get("error"))
        _check_shapes(targets)
    except (OSError, KeyError, ValueError, TypeError) as problem:
        raise BadPartsFile(
            f"{path}: not a whole file of part targets ({problem}); delete it and run again"
        ) from problem
    return targets


def _check_shapes(targets: PartTargets) -> None:
    rows, index = targets.embeddings, targets.index
    if rows.ndim != 2 or index.ndim != 2 or targets.members.shape != (len(rows), len(index)):
        shapes = [list(array.shape) for array in (rows, index, targets.members)]
        raise ValueError(f"embeddings, index and members of shapes {shapes} do not fit")
    if index.size and not (index.min() >= EMPTY and index.max() < len(rows)):
        raise ValueError("its index names embeddings that are not there")


def distinct(masks: Sequence[Rle]) -> tuple[list[Rle], NDArray[np.int64]]:
    """Each different mask once, by first place, and the row of every given one [n]; EMPTY for empty ones."""
    rows: dict[str, int] = {}
    kept: list[Rle] = []
    index = np.full(len(masks), EMPTY, np.int64)
    for i, mask in enumerate(masks):
        if rle.area(mask) == 0:
            continue
        if mask["counts"] not in rows:
            rows[mask["counts"]] = len(kept)
            kept.append(mask)
        index[i] = rows[mask["counts"]]
    return kept, index
