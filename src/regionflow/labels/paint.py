"""Flat maps from overlapping regions, and their colours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from regionflow.formats import rle

# Okabe and Ito's colour-blind-safe palette without black; see `palette`.
OKABE_ITO = np.array(
    [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66]],
    dtype=np.float64,
)
LINE = (255, 255, 255)


def label_map(masks: Sequence[rle.Rle], values: Sequence[int], height: int, width: int) -> NDArray[np.uint16]:
    """Paint value i on mask i, [height, width]; 0 elsewhere. The smallest mask that holds a pixel wins.

    Of masks of equal area the earlier one wins, so the map does not depend on anything but the records.
    """
    out = np.zeros((height, width), dtype=np.uint16)
    areas = [rle.area(mask) for mask in masks]
    for i in sorted(range(len(masks)), key=lambda i: (-areas[i], -i)):
        x, y, w, h = rle.bbox(masks[i])
        box = slice(y, y + h), slice(x, x + w)
        out[box][rle.decode(masks[i])[box]] = values[i]
    return out


def palette(n: int) -> NDArray[np.uint8]:
    """n colours [n, 3] RGB; the first seven can be told apart with colour vision deficiencies.

    Beyond seven the hues repeat, each round darker or lighter.
    """
    rounds = [1.0, 0.6, 1.35, 0.4, 0.8, 1.2, 1.7, 0.5, 1.5, 0.7, 1.1, 0.3]
    shades = np.array([rounds[(i // len(OKABE_ITO)) % len(rounds)] for i in range(n)])[:, None]
    base = OKABE_ITO[np.arange(n) % len(OKABE_ITO)]
    lighter = 255 - (255 - base) / np.maximum(shades, 1)
    return np.clip(np.where(shades > 1, lighter, base * shades), 0, 255).astype(np.uint8)


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.integer], colours: NDArray[np.uint8], alpha: float = 0.55
) -> NDArray[np.uint8]:
    """Lay colours[i - 1] over the pixels of label i > 0 of an image [H, W, 3], white lines between labels."""
    out = image.astype(np.float32)
    painted = labels > 0
    out[painted] = (1 - alpha) * out[painted] + alpha * colours[(labels[painted] - 1) % len(colours)]
    result = out.astype(np.uint8)
    result[find_boundaries(labels, mode="inner")] = LINE
    return result
