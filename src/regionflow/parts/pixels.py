"""From an image to what teacher and student see: a square, and for the student normalised."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regionflow.features.pixels import resize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as published."""


def square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The image [H, W, 3] resized to [size, size, 3], its aspect ratio not kept (as published); Pillow, bicubic."""
    return resize(image, (size, size), "bicubic")


def normalised(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """Pixels uint8 [B, S, S, 3] as the network's input [B, 3, S, S]."""
    images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return images.sub_(mean).div_(std)
