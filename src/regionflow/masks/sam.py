"""Segment Anything as a segmenter: the automatic mask generator over the weights that the options name."""

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.regions import Annotation
from regionflow.masks.options import SamOptions
from regionflow.sam.build import build_sam
from regionflow.sam.generator import generate

SOURCE = "sam"


class Sam:
    """A SAM, MobileSAM or HQ-SAM with the options of the automatic mask generation.

    Raises CheckpointError, naming the file, if it holds no such weights.
    """

    def __init__(self, options: SamOptions, device: str = "cpu", points_per_batch: int | None = None) -> None:
        self._options = options
        self._points_per_batch = points_per_batch
        self._sam = build_sam(options.model, options.needed_weights(), device)

    def generate(self, image: NDArray[np.uint8]) -> list[Annotation]:
        """Masks of an RGB image [H, W, 3] in the generator's order, predicted IoU falling."""
        records = generate(self._sam, image, self._options, points_per_batch=self._points_per_batch)
        return [{"source": SOURCE, **record} for record in records]
