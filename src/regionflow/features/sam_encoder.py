"""The image embedding of the SAM family as a feature map."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from regionflow.base.arrays import check_rgb
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.features.options import SamEncoderOptions
from regionflow.features.pixels import DTYPES
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.sam.build import build_sam
from regionflow.sam.encoder import EncodedImage, encode_images
from regionflow.sam.memory import to_host


class SamEncoder:
    """The neck's output [256, h, w] of a SAM, MobileSAM or HQ-SAM image encoder, over SAM's own square input.

    Raises CheckpointError, naming the file, if it holds no such weights.
    """

    def __init__(self, options: SamEncoderOptions, device: str = "cpu") -> None:
        self._sam = build_sam(options.model, options.needed_weights(), device)
        self._sam.image_encoder.to(DTYPES[options.dtype])

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map (float32) of an RGB image [H, W, 3]; cells beyond the image's right or lower edge are padding."""
        return self.begin([image])[0](at_once)()

    def begin(self, images: Sequence[NDArray[np.uint8]]) -> list[OnCard[FeatureMap]]:
        """Begin with several images, on a card several in one pass; for each what is left to do.

        On a card features differ from those of one image by itself by rounding; on a CPU they are the same to the bit.
        """
        for image in images:
            check_rgb(image, "sam_encoder extractor")
        with torch.inference_mode():
            return [self._to_host(encoded) for encoded in encode_images(self._sam, images)]

    def _to_host(self, encoded: EncodedImage) -> OnCard[FeatureMap]:
        copied, long_side = to_host(encoded.embedding[0]), self._sam.image_encoder.img_size

        def on_card(beside: Beside) -> Later[FeatureMap]:
            features = copied().numpy()
            geometry = Geometry.resize_into_square(*encoded.size, long_side, multiple=1)
            feature_map = FeatureMap(features, replace(geometry, grid=features.shape[1:]))
            return lambda: feature_map

        return on_card
