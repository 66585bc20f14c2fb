"""The kinds of segmenters, and how one is built."""

from collections.abc import Callable
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from regionflow.base.kinds import implementation
from regionflow.formats.features import FeatureMap
from regionflow.formats.regions import Annotation
from regionflow.masks.options import FromCocoOptions, GraphOptions, MergeTreeOptions, SamOptions

SegmenterOptions = Annotated[
    MergeTreeOptions | GraphOptions | SamOptions | FromCocoOptions, Field(discriminator="type")
]


class Segmenter(Protocol):
    """Anything that turns an image into masks."""

    def generate(self, image: NDArray[np.uint8]) -> list[Annotation]:
        """Masks of an RGB image [H, W, 3] of any size, best first, as records without ids.

        Raises ValueError, naming the kind, for anything that is not such an image.
        """
        ...


def segmenter(options: SegmenterOptions, device: str = "cpu", points_per_batch: int | None = None) -> Segmenter:
    """The segmenter that the options describe, its model (if it has one) loaded on `device`.

    `points_per_batch` prompts of a SAM are decoded at a time; None chooses by the memory at hand. It leaves the masks
    as they are.

    Raises CheckpointError, naming the file, if the weights are missing, damaged or of another model.
    """
    return implementation(options)(options, device, points_per_batch)


def masks_of_image(
    made_by: Segmenter, image: NDArray[np.uint8], image_id: str, features: FeatureMap | None = None
) -> list[Annotation]:
    """The masks of an image of a set: a segmenter that knows images by their ids is told which this is.

    `features`: the image's feature map, for a segmenter whose options name an extractor.
    """
    if features is not None:
        return made_by.generate(image, features)  # type: ignore[call-arg]
    generate_for: Callable[[NDArray[np.uint8], str], list[Annotation]] | None = getattr(made_by, "generate_for", None)
    return made_by.generate(image) if generate_for is None else generate_for(image, image_id)
