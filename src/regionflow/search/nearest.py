"""Regions whose features are nearest to a query: a region of the set, or words in a text-image model's space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.dataset import RegionSet


@dataclass(frozen=True)
class Hits:
    """Rows of a set and their cosine similarities to the query [k], best first."""

    rows: NDArray[np.int64]
    similarity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


def row_of(regions: RegionSet, image_id: str, region: int) -> int:
    """The row of a region by its number in its image's region file.

    Raises UserError, which names what there is, for an image or a region that the set does not have.
    """
    try:
        rows = regions.rows(image_id)
    except KeyError as error:
        near = [image for image in regions.image_ids if image_id in image][:5] or regions.image_ids[:5]
        raise UserError(f"{error.args[0]}; there is {', '.join(near) or 'no image'}, ...") from None
    matching = rows[regions.region[rows] == region]
    if not len(matching):
        last = f"0 to {regions.region[rows].max()}" if len(rows) else "none"
        raise UserError(f"{image_id} has no pooled region {region}; its regions are {last}")
    return int(matching[0])


def nearest(
    regions: RegionSet, query: NDArray[np.floating], k: int, *, without: int | None = None, same: float = 0.8
) -> Hits:
    """The k regions whose features have the highest cosine similarity to the query [C].

    Features are read a block at a time, so memory does not grow with their width. Regions without features (NaN) are
    left out, and so is one whose box overlaps that of a better hit in its image by more than `same` (box IoU): it shows
    the same thing again. `without`: a row that is left out itself, with what shows the same thing.

    Raises UserError if the query is of another width than the features, or holds no numbers.
    """
    if query.shape != (regions.features.shape[1],):
        raise UserError(f"the query has {query.size} channels, the features of the set {regions.features.shape[1]}")
    if not np.isfinite(query).all() or not query.any():
        raise UserError("the region has no features to compare with (they are not numbers, or all zero)")
    unit = (query / np.linalg.norm(query)).astype(np.float32)
    similarity: NDArray[np.float32] = np.full(len(regions), -np.inf, np.float32)
    for rows, features in regions.blocks():
        norms = np.linalg.norm(features, axis=1)
        similarity[rows] = np.nan_to_num(features @ unit / np.maximum(norms, 1e-12), nan=-np.inf)
    chosen = [] if without is None else [without]
    most = k + len(chosen)
    for row in np.argsort(-similarity, kind="stable").tolist():
        if len(chosen) == most or similarity[row] == -np.inf:
            break
        if row != without and not any(_same_place(regions, row, other, same) for other in chosen):
            chosen.append(row)
    best = np.array(chosen, np.int64)[most - k :]
    return Hits(best, similarity[best])


def _same_place(regions: RegionSet, row: int, other: int, same: float) -> bool:
    """Whether two regions are of one image and their boxes overlap by more than that."""
    if regions.image[row] != regions.image[other]:
        return False
    (x, y, w, h), (u, v, s, t) = regions.bbox[row].tolist(), regions.bbox[other].tolist()
    inside = max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
    return inside > same * (w * h + s * t - inside)
