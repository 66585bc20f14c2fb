"""Part masks and their embeddings: per image, for every patch of a grid and every level, which mask and which vector.

Part masks, JSON in a gzip file: a mask file (`regionflow.formats.regions`) of the image resized to a square, whose
annotations are the distinct masks, with the key `parts` beside them: {grid, index [P][L], predicted_iou [P][L],
stability_score [P][L]}.
Patches run row by row; levels from subpart to whole; an index of -1 is an empty mask.

Part targets, HDF5: `embeddings` float16 [M, E], one row per distinct mask, `index` int32 [P, L] into them, and which
patches' centres lie in each mask: `members` [M, P] as packed bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.checked import check_owner, read_checked_json, write_checked_json
from regionflow.formats.hdf5 import open_hdf5, read_attribute, write_attribute, write_hdf5
from regionflow.formats.regions import Generator, ImageInfo, annotation, content_of, masks_of, parse_regions
from regionflow.formats.rle import Rle

EMPTY = -1
"""Index of an empty mask."""


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

    def keep(self, levels: Sequence[int]) -> "PartMasks":
        """Some of the levels alone, and the masks that they use."""
        chosen = list(levels)
        index = self.index[:, chosen]
        used = np.unique(index[index != EMPTY])
        compact = np.where(index == EMPTY, EMPTY, np.searchsorted(used, index))
        masks = [self.masks[row] for row in used]
        iou, stability = self.predicted_iou[:, chosen], self.stability_score[:, chosen]
        return replace(self, masks=masks, index=compact, predicted_iou=iou, stability_score=stability)


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

    @classmethod
    def none(cls, error: str) -> "PartTargets":
        """Of an image that could not be read."""
        return cls(np.zeros((0, 0), np.float16), np.zeros((0, 0), np.int64), np.zeros((0, 0), bool), error)

    @property
    def dense(self) -> NDArray[np.float16]:
        """The embedding of every patch and level [P, L, E]; zeros where the mask is empty."""
        rows = np.concatenate([self.embeddings, np.zeros((1, self.embeddings.shape[1]), np.float16)])
        return rows[self.index]


def write_part_masks(path: Path, image_id: str, file_name: str, parts: PartMasks, generator: Generator) -> None:
    """Write the part masks of one image."""
    best = [(0.0, 0.0)] * len(parts.masks)
    for row, iou, stability in zip(parts.index.flat, parts.predicted_iou.flat, parts.stability_score.flat, strict=True):
        if row != EMPTY:
            best[row] = max(best[row], (float(iou), float(stability)))
    annotations = [
        annotation(mask, parts.source, predicted_iou=round(iou, 6), stability_score=round(stability, 6))
        for mask, (iou, stability) in zip(parts.masks, best, strict=True)
    ]
    info = ImageInfo(image_id, file_name, parts.size, parts.size, parts.error)
    content = {
        **content_of(info, annotations, generator),
        "parts": {
            "grid": parts.grid,
            "index": parts.index.tolist(),
            "predicted_iou": parts.predicted_iou.round(6).tolist(),
            "stability_score": parts.stability_score.round(6).tolist(),
        },
    }
    write_checked_json(path, content, compressed=True)


def read_part_masks(path: Path, image_id: str | None = None) -> PartMasks:
    """Read the part masks of one image, of that one if it is given.

    Raises BadFile, naming the file, if it is damaged, not what it should be, or of another image.
    """
    content, sha256 = read_checked_json(path, "a file of part masks")
    file = parse_regions(path, content, sha256, image_id)
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
        raise BadFile.damaged(path, "a file of part masks", error) from error
    source = file.annotations[0]["source"] if file.annotations else ""
    return PartMasks(file.image.height, masks_of(file), index, iou, stability, source, file.image.error)


def write_part_targets(path: Path, image_id: str, targets: PartTargets, provenance: Mapping[str, Any]) -> None:
    """Write the targets of one image and check what was written.

    Raises ValueError for embeddings that are not finite or an index that points past them.
    """
    if not np.isfinite(targets.embeddings).all():
        raise ValueError(f"{path}: embeddings that are not finite in float16")
    _check_shapes(targets)
    with write_hdf5(path, provenance) as file:
        file["embeddings"] = targets.embeddings.astype(np.float16)
        file["index"] = targets.index.astype(np.int32)
        file["members"] = np.packbits(targets.members, axis=1)
        write_attribute(file, "image_id", image_id)
        if targets.error is not None:
            write_attribute(file, "error", targets.error)
    if not np.array_equal(read_part_targets(path).embeddings, targets.embeddings):
        raise OSError(f"{path}: the file read back differs from what was written; check the disk")


def read_part_targets(path: Path, image_id: str | None = None) -> PartTargets:
    """Read the targets of one image, of that one if it is given.

    Raises BadFile, naming the file, if it is damaged, not what it should be, or of another image.
    """
    with open_hdf5(path, "a file of part targets") as file:
        index = file["index"][:].astype(np.int64)
        members = np.unpackbits(file["members"][:], axis=1, count=len(index)).astype(bool)
        check_owner(path, str(read_attribute(file, "image_id")), image_id)
        targets = PartTargets(file["embeddings"][:], index, members, read_attribute(file, "error"))
        _check_shapes(targets)
    return targets


def count_embeddings(path: Path) -> int:
    """Number of embeddings in a file of targets. Raises BadFile, naming the file, if it is damaged."""
    with open_hdf5(path, "a file of part targets") as file:
        return int(file["embeddings"].shape[0])


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
