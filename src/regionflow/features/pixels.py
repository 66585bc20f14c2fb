"""From an image to a model's input: resize, black frame, normalisation."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regionflow.formats.geometry import Geometry, Size

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def resize(image: NDArray[np.uint8], size: Size, interpolation: str) -> NDArray[np.uint8]:
    """The image [H, W, 3] at another size by Pillow, which is what timm's and SAM's own transforms use."""
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size[::-1], RESAMPLING[interpolation]))


def frame(image: NDArray[np.uint8], geometry: Geometry, interpolation: str) -> NDArray[np.uint8]:
    """The model input [Hp, Wp, 3]: the resized image on black, where the geometry says."""
    resized = resize(image, geometry.resized, interpolation)
    framed = np.zeros((*geometry.padded, 3), dtype=np.uint8)
    top, left = geometry.offset
    framed[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    return framed


def normalise(pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float], device: str) -> Tensor:
    """Pixels [H, W, 3] as a float32 batch [1, 3, H, W] on `device`, with mean and std in units where 255 is 1."""
    batch = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].to(torch.float32, copy=True).contiguous()
    centre, scale = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean, std))
    return batch.div_(255).sub_(centre).div_(scale)
