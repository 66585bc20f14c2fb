"""Label maps that people give: ground truth and examples, as integers that are never scaled or converted."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.pixel_limit import without_pixel_limit


def read_given_map(path: Path, colour: bool = False) -> NDArray[np.integer]:
    """The integers of a label map [H, W], or bytes [H, W, 3] of a COCO panoptic picture for `colour`.

    Of a picture with a palette these are the indices. Raises ValueError, which does not name the file: it cannot be
    read, holds several pages or frames, or has no integers of one channel.
    """
    try:
        with warnings.catch_warnings(), without_pixel_limit(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            frames = getattr(image, "n_frames", 1)
            pixels = np.asarray(image.convert("RGB") if colour else image)
    except Exception as error:  # decoders raise anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot be read as a label map ({reason})") from error
    if frames > 1:
        raise ValueError(f"a label map is one picture, and this holds {frames} pages or frames")
    if not colour and (pixels.ndim != 2 or pixels.dtype.kind not in "iub"):
        raise ValueError(f"a label map has one channel of integers, not {pixels.dtype} {pixels.shape}")
    return pixels
