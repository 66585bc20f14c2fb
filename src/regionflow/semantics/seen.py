"""What a labeler is shown of one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.classifiers import Classifier
from regionflow.formats.pooled import Pooled
from regionflow.formats.regions import RegionFile


@dataclass(frozen=True)
class Seen:
    """The regions of one image, and of the rest what the labeler's options ask for.

    image: uint8 [H, W, 3] RGB; features: the pooled file; classifier: what was fitted to examples
    """

    regions: RegionFile
    image: NDArray[np.uint8] | None = None
    features: Pooled | None = None
    classifier: Classifier | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image. Raises ValueError if it was not given."""
        if self.image is None:
            raise ValueError("the labeler needs the image")
        return self.image

    @property
    def pooled(self) -> NDArray[np.float32]:
        """One row of features per region [R, C], NaN for one that was not pooled. Raises ValueError without any."""
        if self.features is None:
            raise ValueError("the labeler needs region features")
        out = np.full((len(self.regions.annotations), self.features.features.shape[1]), np.nan, np.float32)
        out[self.features.regions] = self.features.features
        return out
