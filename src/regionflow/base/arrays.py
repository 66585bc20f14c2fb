"""Checks of arrays that come from outside."""

from typing import Any

import numpy as np


def check_rgb(image: Any, what: str) -> None:
    """Raise ValueError that begins with `what` unless the image is uint8 [H, W, 3] with pixels in it."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{what}: needs an RGB image, a uint8 array [H, W, 3], got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"{what}: needs an RGB image, uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
