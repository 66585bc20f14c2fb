"""The strips' descriptors are skimage's over the whole image."""

import numpy as np
from skimage import data
from skimage.feature import daisy

from regionflow.features import daisy_lab


def test_descriptors_are_skimages() -> None:
    image = data.camera()[:256, :240].astype(np.float32) / 255
    ours = daisy_lab._daisy(image)
    # skimage's first descriptor sits at pixel `radius`; ours at pixel 1 of each cell of 4.
    whole = daisy(image, step=1, radius=15, rings=2, histograms=6, orientations=8, normalization="off")
    whole /= np.maximum(np.linalg.norm(whole, axis=2, keepdims=True), 1e-3)
    inside = range(12, 47)
    for row in inside:
        for column in inside:
            expected = whole[row * 4 + 1 - 15, column * 4 + 1 - 15]
            np.testing.assert_allclose(ours[row, column], expected, atol=1e-4)
