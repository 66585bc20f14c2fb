"""Coloured label maps, and the list of their classes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.files import whole, write_table
from regionflow.formats.palette import palette

# A PNG's palette has 256 colours, the first of which is for pixels without a cluster.
MAX_PALETTE = 255


def classes(k: int) -> list[tuple[str, list[int]]]:
    """Name and RGB colour of every cluster; cluster c has the value c + 1 in label maps."""
    width = len(str(k - 1))
    return [(f"cluster_{c:0{width}d}", colour) for c, colour in enumerate(palette(k).tolist())]


def write_classes(path: Path, k: int) -> None:
    """Write the class list of the label maps: value, name and colour."""
    rows = [[0, "none", 0, 0, 0], *([c + 1, name, *colour] for c, (name, colour) in enumerate(classes(k)))]
    write_table(path, ["value", "name", "red", "green", "blue"], rows)


def write_colour_map(path: Path, labels: NDArray[np.integer], k: int) -> None:
    """Write a label map [H, W] as a PNG that shows colours and, up to 255 clusters, reads as values.

    It then has a palette: PIL and the loaders built on it give the values, cv2.imread the colours. Beyond it is RGB,
    to look at only; the 16-bit label maps have the values.
    """
    table = np.concatenate([np.zeros((1, 3), np.uint8), palette(k)])
    if k > MAX_PALETTE:
        image = Image.fromarray(table[labels])
    else:
        image = Image.fromarray(labels.astype(np.uint8), mode="P")
        image.putpalette(table.ravel().tolist())
    with whole(path) as part:
        image.save(part, format="PNG")
