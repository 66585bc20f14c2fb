"""The image embedding of the SAM family as a feature map."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from regionflow.base.arrays import check_rgb
from regionflow.features.options import SamEncoderOptions
from regionflow.features.pixels import DTYPES
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.sam.build import build_sam
from regionflow.sam.encoder import encode_image


class SamEncoder:
    """The neck's output [256, h, w] of a SAM, MobileSAM or HQ-SAM image encoder, over SAM's own square input.

    Raises CheckpointError, naming the file, if it holds no such weights.
    """

    def __init__(self, options: SamEncoderOptions, device: str = "cpu") -> None:
        self._sam = build_sam(options.model, options.needed_weights(), device)
        self._sam.image_encoder.to(DTYPES[options.dtype])

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map (float32) of an RGB image [H, W, 3]; cells beyond the image's right or lower edge are padding."""
        check_rgb(image, "sam_encoder extractor")
        with torch.inference_mode():
            encoded = encode_image(self._sam, image)
        features = encoded.embedding[0].cpu().numpy()
        geometry = Geometry.resize_into_square(*encoded.size, self._sam.image_encoder.img_size, multiple=1)
        return FeatureMap(features, replace(geometry, grid=features.shape[1:]))
