"""Segment Anything as a segmenter: the automatic mask generator over the weights that the options name."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.formats.regions import Annotation
from regionflow.masks.options import SamOptions
from regionflow.sam.build import build_sam
from regionflow.sam.generator import begin

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
        return self.begin([image])[0](at_once)()

    def begin(self, images: Sequence[NDArray[np.uint8]]) -> list[OnCard[list[Annotation]]]:
        """Begin with several images; for each what is left to do for its masks (regionflow.sam.generator.begin)."""
        begun = begin(self._sam, images, self._options, points_per_batch=self._points_per_batch)
        return [partial(_with_source, on_card) for on_card in begun]


def _with_source(on_card: OnCard[list[dict]], beside: Beside) -> Later[list[Annotation]]:
    records = on_card(beside)
    return lambda: [{"source": SOURCE, **record} for record in records()]
