"""Coloured label maps, and the list of their classes."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.errors import UserError
from regionflow.base.files import whole, write_table
from regionflow.formats.palette import palette

# A PNG's palette has 256 colours, the first of which is for pixels without a cluster.
MAX_PALETTE = 255

ClusterName = tuple[str, list[int]]
"""Name and RGB colour of a cluster."""


def classes(k: int, class_list: Path | None = None) -> list[ClusterName]:
    """Name and colour of every cluster; cluster c has the value c + 1 in label maps. The names are those of the class
    list, where it has one.

    Raises UserError, naming the class list, if it is none.
    """
    width, names = len(str(k - 1)), {} if class_list is None else read_class_list(class_list)
    return [(names.get(c + 1, f"cluster_{c:0{width}d}"), colour) for c, colour in enumerate(palette(k).tolist())]


def read_class_list(path: Path) -> dict[int, str]:
    """Names by value of a CSV file with the columns value and name. Raises UserError, naming it, if it is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [(int(row["value"]), row["name"].strip()) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file with the columns value and name ({error})") from error
    if len(dict(names)) != len(names) or not all(name for _, name in names):
        raise UserError(f"{path}: a value stands twice, or has no name")
    return dict(names)


def write_classes(path: Path, k: int, class_list: Path | None = None) -> None:
    """Write the class list of the label maps: value, name and colour."""
    named = enumerate(classes(k, class_list))
    rows = [[0, "none", 0, 0, 0], *([c + 1, name, *colour] for c, (name, colour) in named)]
    write_table(path, ["value", "name", "red", "green", "blue"], rows)


def write_colour_map(path: Path, labels: NDArray[np.integer], k: int) -> None:
    """Write a label map [H, W] as a PNG that shows colours and, up to 255 clusters, reads as values.

    It then has a palette: PIL and the loaders built on it give the values, cv2.imread the colours. Beyond it is RGB,
    to look at only; the 16-bit label maps have the values.
    """
    if labels.size and labels.max() > k:
        raise UserError(f"{path}: the label map has the value {labels.max()}, and there are {k} clusters")
    table = np.concatenate([np.zeros((1, 3), np.uint8), palette(k)])
    if k > MAX_PALETTE:
        image = Image.fromarray(table[labels])
    else:
        image = Image.fromarray(labels.astype(np.uint8), mode="P")
        image.putpalette(table.ravel().tolist())
    with whole(path) as part:
        image.save(part, format="PNG")
