"""Pictures for people, which no stage reads as data."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.files import whole


def write_jpeg(path: Path, picture: NDArray[np.uint8], quality: int = 90) -> None:
    """Write an RGB picture [H, W, 3]; `quality` is Pillow's, up to 95."""
    with whole(path) as part:
        Image.fromarray(picture).save(part, format="JPEG", quality=quality)


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture [H, W, 3] without loss."""
    with whole(path) as part:
        Image.fromarray(picture).save(part, format="PNG")
