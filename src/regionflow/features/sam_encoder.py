"""The image embedding of the SAM family as a feature map."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regionflow.features.options import SamEncoderOptions
from regionflow.features.pixels import normalise, resize
from regionflow.features.timm_model import DTYPES
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.sam.architecture import PIXEL_MEAN, PIXEL_STD
from regionflow.weights.files import needed_weights

# SAM's pixel_mean and pixel_std.


class SamEncoder:
    """The neck's output [256, h, w] of a SAM, MobileSAM or HQ-SAM image encoder, over SAM's own square input.

    Raises CheckpointError, naming the file, if it holds no such weights.
    """

    def __init__(self, options: SamEncoderOptions, device: str = "cpu") -> None:
        from regionflow.sam.build import build_sam

        self._dtype = DTYPES[options.dtype]
        self._device = device
        sam: Any = build_sam(options.model, needed_weights(options), device)
        self._encoder = sam.image_encoder.to(self._dtype)

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map (float32) of an RGB image [H, W, 3]; cells beyond the image's right or lower edge are padding."""
        height, width = image.shape[:2]
        size = self._encoder.img_size
        geometry = Geometry.resize_into_square(height, width, size, multiple=1)
        batch = normalise(resize(image, geometry.resized, "bilinear"), PIXEL_MEAN, PIXEL_STD, self._device, white=255.0)
        # SAM pads after normalisation: its padding is the mean colour, not black.
        batch = nn.functional.pad(batch, (0, size - batch.shape[3], 0, size - batch.shape[2]))
        with torch.inference_mode():
            embedding = self._encoder(batch.to(self._dtype))
        if isinstance(embedding, tuple):
            embedding = embedding[0]  # HQ-SAM gives intermediate maps as well
        features = embedding[0].float().cpu().numpy()
        return FeatureMap(features, replace(geometry, grid=features.shape[1:]))
