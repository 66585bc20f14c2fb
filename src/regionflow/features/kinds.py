"""The kinds of feature extractors, and how one is built."""

from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from regionflow.base.kinds import implementation
from regionflow.features.options import DaisyLabOptions, SamEncoderOptions, TimmOptions
from regionflow.formats.features import FeatureMap

ExtractorOptions = Annotated[DaisyLabOptions | TimmOptions | SamEncoderOptions, Field(discriminator="type")]


class Extractor(Protocol):
    """Anything that turns an image into a feature map."""

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map (float32) of an RGB image [H, W, 3] of any size; its provenance says what options do not.

        Raises ValueError, naming the kind, for anything that is not such an image.
        """
        ...


def extractor(options: ExtractorOptions, device: str = "cpu") -> Extractor:
    """The extractor that the options describe, its model (if it has one) loaded on `device`.

    Raises ExtractorError or CheckpointError, naming the model or file, if there is no such model, or the weights are
    missing, damaged or of another model.
    """
    return implementation(options)(options, device)
