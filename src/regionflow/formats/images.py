"""results/images.tsv: every image of the set with its size and hash, or the reason why it cannot be read."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of
from regionflow.images.find import ImageEntry
from regionflow.images.read import UnreadableImage, read

TRAIN = "train"
Status = Literal["ok", "unreadable"]


@dataclass(frozen=True)
class ImageRow:
    """One line of the table; height and width in pixels, upright, 0 for an unreadable image."""

    id: str
    path: str
    split: str
    height: int
    width: int
    sha256: str
    status: Status
    reason: str = ""


def survey(images: Mapping[str, ImageEntry], max_megapixels: float, threads: int = 1) -> list[ImageRow]:
    """Read every image as the stages will, in the order given."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda image: _look(image, images[image], max_megapixels), images))


def _look(image: str, entry: ImageEntry, max_megapixels: float) -> ImageRow:
    try:
        height, width = read(entry.path, max_megapixels).shape[:2]
        status: Status = "ok"
        reason = ""
    except UnreadableImage as error:
        height = width = 0
        status, reason = "unreadable", str(error)
    digest = sha256_of(entry.path) if entry.path.is_file() else ""
    return ImageRow(image, str(entry.path), entry.split, height, width, digest, status, reason)


def write(path: Path, rows: Iterable[ImageRow]) -> None:
    """Write the table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(ImageRow)], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_table(path: Path) -> list[ImageRow]:
    """Read the table in its order."""
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file, delimiter="\t"))
    return [ImageRow(**{**row, "height": int(row["height"]), "width": int(row["width"])}) for row in rows]


def fit_images(rows: Iterable[ImageRow], splits: list[str] | None = None) -> set[str]:
    """Ids of the images of some splits; by default of the split train, or of all images if there is no such split.

    Raises UserError for a split without images.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        ids[row.split].add(row.id)
    unknown = sorted(set(splits or ()) - set(ids))
    if unknown:
        known = ", ".join(sorted(ids)).lstrip(", ") or "none"
        raise UserError(f"clusters.fit_splits: no image has the split {', '.join(unknown)} (the set has: {known})")
    wanted = splits or ([TRAIN] if TRAIN in ids else list(ids))
    return set().union(*(ids[split] for split in wanted))
