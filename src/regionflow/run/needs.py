"""What a job of a stage asks of a machine: memory and time, for `--resources mem_mb=N` and for clusters.

The figures are bounds, with room, over what logs/records tells of 1 and 9 megapixels and of small models. A job that is
tried again asks for as much more.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.formats.images import read_images

UNKNOWN_MEGAPIXELS = 12.0
"""Taken of an image that results/images.tsv does not tell of yet."""
COPIES_OF_WEIGHTS = 3
"""Of a weight file while it is loaded: as it is read, the model, and what is converted."""


@dataclass(frozen=True)
class Need:
    """Memory in MiB and time in minutes: of any job, per megapixel of its image, and per image of a job on the set."""

    mib: float
    minutes: float
    mib_per_megapixel: float = 0.0
    minutes_per_megapixel: float = 0.0
    mib_per_image: float = 0.0
    minutes_per_image: float = 0.0


PER_IMAGE = Need(500, 5, mib_per_megapixel=150, minutes_per_megapixel=0.5)
WHOLE_SET = Need(1000, 30, mib_per_image=0.5, minutes_per_image=0.02)
MODEL = Need(2000, 30, mib_per_megapixel=400, minutes_per_megapixel=2)
TRAINING = Need(6000, 24 * 60, mib_per_image=1)
NEEDS = {
    "masks": MODEL,
    "features": MODEL,
    "semantics": MODEL,
    "parts_masks": MODEL,
    "parts_targets": MODEL,
    "parts_islands": MODEL,
    "parts_model": TRAINING,
    "parts_probe": TRAINING,
    "parts_test": TRAINING,
    "weights": Need(2000, 120),
    "images": Need(2000, 30, mib_per_image=0.01, minutes_per_image=0.002),  # keeps no pixels
    "verify": Need(2000, 30, minutes_per_image=0.02),
    "prune": Need(500, 30, minutes_per_image=0.002),
}
"""Of stages and other rules that need other than what jobs on one image (PER_IMAGE) or on the set (WHOLE_SET) do."""


def need_of(stage: str, *, whole_set: bool) -> Need:
    """The need of a stage."""
    return NEEDS.get(stage, WHOLE_SET if whole_set else PER_IMAGE)


def memory(need: Need, *, megapixels: float, images: int, weights: Path | None, attempt: int) -> int:
    """MiB of a job on an image of that size, or on a set of so many images, that loads that weight file."""
    loaded = COPIES_OF_WEIGHTS * weights.stat().st_size / 2**20 if weights is not None and weights.is_file() else 0.0
    mib = need.mib + need.mib_per_megapixel * megapixels + need.mib_per_image * images + loaded
    return math.ceil(mib * attempt)


def minutes(need: Need, *, megapixels: float, images: int, attempt: int) -> int:
    """Minutes of such a job."""
    total = need.minutes + need.minutes_per_megapixel * megapixels + need.minutes_per_image * images
    return math.ceil(total * attempt)


class Megapixels:
    """Sizes of images by id, from results/images.tsv, which is read when it is first asked for."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._sizes: dict[str, float] | None = None

    def of(self, image: str) -> float:
        """Megapixels of an image, or what is taken of one that the table does not tell of."""
        return self._known().get(image, UNKNOWN_MEGAPIXELS)

    def largest(self) -> float:
        """Megapixels of the largest image that the table tells of, or what is taken of one before."""
        return max(self._known().values(), default=UNKNOWN_MEGAPIXELS)

    def _known(self) -> dict[str, float]:
        if self._sizes is None:
            self._sizes = dict(self._read())
        return self._sizes

    def _read(self) -> Iterable[tuple[str, float]]:
        try:
            return [(row.id, row.height * row.width / 1e6) for row in read_images(self._table) if row.status == "ok"]
        except (UserError, OSError):
            return []
