"""Two sets of masks of the same images side by side: whether they are the same, and how near where they are not.

The question is that of another card, another version or faster settings: what has changed, and by how much?
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from regionflow.base.errors import UserError
from regionflow.base.files import write_table
from regionflow.evaluate.recall import best_ious
from regionflow.formats.regions import masks_of, read_regions
from regionflow.formats.rle import Rle

STAGES = ("masks", "superpixels", "regions")


@dataclass(frozen=True)
class ImageComparison:
    """One image: numbers of masks, of those in both sets pixel by pixel, and mean best IoUs.

    `best_iou_of_a`: mean over the masks of A of the highest IoU with a mask of B, 1 if neither has masks, 0 if B alone
    has none.
    """

    image_id: str
    masks_a: int
    masks_b: int
    common: int
    best_iou_of_a: float
    best_iou_of_b: float

    @property
    def same(self) -> bool:
        """Whether both have the same masks, in whatever order."""
        return self.common == self.masks_a == self.masks_b


@dataclass(frozen=True)
class Comparison:
    """Images that both sets have, and the ids of those that one alone has."""

    images: list[ImageComparison]
    only_a: list[str]
    only_b: list[str]

    @property
    def differing(self) -> float:
        """Share of the common images whose sets of masks differ."""
        return float(np.mean([not image.same for image in self.images])) if self.images else 0.0

    @property
    def mean_best_iou(self) -> float:
        """Mean over the common images of both directions' mean best IoU; NaN without images."""
        both = [(image.best_iou_of_a + image.best_iou_of_b) / 2 for image in self.images]
        return float(np.mean(both)) if both else float("nan")


def compare(a: Path, b: Path) -> Comparison:
    """Compare two folders of mask or region files, such as results/masks/sam_vit_b of two runs.

    Raises UserError, naming the file, if a file is damaged, or an image has two sizes.
    """
    files = [{p.relative_to(folder).with_suffix("").as_posix(): p for p in folder.rglob("*.json")} for folder in (a, b)]
    common = sorted(files[0].keys() & files[1].keys())
    images = [_compared(files[0][image], files[1][image]) for image in common]
    return Comparison(images, sorted(files[0].keys() - files[1].keys()), sorted(files[1].keys() - files[0].keys()))


def _compared(a: Path, b: Path) -> ImageComparison:
    first, second = read_regions(a), read_regions(b)
    if first.size != second.size:
        sizes = " and ".join(" x ".join(map(str, file.size)) for file in (first, second))
        raise UserError(f"{a} and {b} are of images of {sizes} pixels: not the same image")
    masks = masks_of(first), masks_of(second)
    counted = [Counter(mask["counts"] for mask in side) for side in masks]
    common = sum((counted[0] & counted[1]).values())
    of_a, of_b = _mean_best(masks[1], masks[0]), _mean_best(masks[0], masks[1])
    return ImageComparison(first.image.image_id, len(masks[0]), len(masks[1]), common, of_a, of_b)


def _mean_best(masks: Sequence[Rle], regions: Sequence[Rle]) -> float:
    """Mean over `regions` of the best IoU with one of the masks."""
    if not regions:
        return 1.0 if not masks else 0.0
    return float(best_ious(masks, regions).mean()) if masks else 0.0


def pairs(a: Path, b: Path) -> Iterator[tuple[str, Path, Path]]:
    """What is to be compared: the two folders, or of two results folders every variant that both have, with its name.

    Raises UserError if a folder is not there, or the two have nothing in common.
    """
    for folder in (a, b):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    names = [f"{stage}/{p.name}" for stage in STAGES for p in sorted((a / stage).glob("*"))]
    both = [name for name in names if (b / name).is_dir()]
    if both:
        yield from ((name, a / name, b / name) for name in both)
    elif any((folder / stage).is_dir() for folder in (a, b) for stage in STAGES):
        raise UserError(f"{a} and {b} have no variant in common; name two folders of files, like results/masks/graph")
    else:
        yield "", a, b


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write a TSV file with one row per common image."""
    header = [*(field.name for field in fields(ImageComparison)), "same"]
    rows = ([*astuple(image), str(image.same).lower()] for image in comparison.images)
    write_table(path, header, rows, delimiter="\t")
