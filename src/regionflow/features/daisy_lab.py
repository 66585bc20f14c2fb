"""Dense DAISY and mean colour: features without weights."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.feature import daisy

from regionflow.base.arrays import check_rgb
from regionflow.features.options import DaisyLabOptions
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry

STRIDE = 8
# In pixels at half resolution: cells, reach of a descriptor, and how far its blur (4 sigma) and gradients see beyond.
STEP, RADIUS = STRIDE // 2, 15
BLUR = 2 * RADIUS + 1
# Forward differences at this pixel of a cell lie at its centre.
CENTRE = STEP // 2 - 1
# Descriptors at a strip's border whose blur saw the border; a strip begins so that the next one is the first cell's.
SKIPPED = -(-BLUR // STEP)
BEFORE, AFTER = RADIUS + SKIPPED * STEP - CENTRE, RADIUS + BLUR
# Rows of cells computed at once: DAISY holds its 104 numbers for every pixel before it picks the cells.
STRIP = 16


class DaisyLab:
    """skimage's DAISY (2 rings of 6 histograms of 8 orientations, L2-normalised) and CIELAB / 100, per 8 x 8 pixels."""

    def __init__(self, options: DaisyLabOptions | None = None, device: str = "cpu") -> None:
        """There is nothing to choose and no model: options and device have no effect."""

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map [107, h, w] of an RGB image [H, W, 3]; beyond its border the image repeats its edge."""
        check_rgb(image, "daisy_lab extractor")
        height, width = image.shape[:2]
        geometry = Geometry.pad_to_multiple(height, width, STRIDE)
        ends = [(g, f - n - g) for g, f, n in zip(geometry.offset, geometry.padded, geometry.image, strict=True)]
        frame = np.pad(image, [*ends, (0, 0)], mode="edge")
        colours, lightness = [], []
        for row in range(0, len(frame), STRIP * STRIDE):
            lab = rgb2lab(frame[row : row + STRIP * STRIDE].astype(np.float32) / 255) / 100
            colours.append(_means(lab, STRIDE))
            lightness.append(_means(lab[..., :1], 2)[..., 0])
        descriptors = _daisy(np.concatenate(lightness))
        return FeatureMap(np.concatenate([descriptors, np.concatenate(colours)], axis=2).transpose(2, 0, 1), geometry)


def _means(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means over squares of `size` pixels of values [H, W, C]."""
    height, width, channels = values.shape
    return values.reshape(height // size, size, width // size, size, channels).mean(axis=(1, 3))


def _daisy(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Descriptors [h, w, 104] at the centres of cells of STEP pixels, in strips that see what they depend on."""
    rows, columns = (n // STEP for n in lightness.shape)
    padded = np.pad(lightness, (BEFORE, AFTER), mode="edge")
    strips = []
    for row in range(0, rows, STRIP):
        height = min(STRIP, rows - row)
        strip = padded[row * STEP : (row + height) * STEP + BEFORE + AFTER]
        blurred = daisy(strip, step=STEP, radius=RADIUS, rings=2, histograms=6, orientations=8, normalization="off")
        strips.append(blurred[SKIPPED : SKIPPED + height, SKIPPED : SKIPPED + columns])
    descriptors = np.concatenate(strips)
    # A cell without gradients has no direction: it stays zero, and noise far below one grey level stays small.
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=2, keepdims=True), 1e-3)
