"""The region vector of ALPS (arXiv 2406.10855) as its code computes it, to compare with; see docs/labels.md.

The mask is enlarged to the model input and shrunk to four times the feature grid, both bilinearly, so its edge is
soft. The vector is the sum of the products of features and mask, divided by how many products are not zero: a pixel of
the soft edge counts fully and contributes in part, which shortens the vectors of small masks.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.pooled.result import PooledRegions, Status
from regionflow.pooled.sampling import Region

ENLARGED = 4


def pool(feature_map: FeatureMap, regions: Sequence[Region]) -> PooledRegions:
    """One vector per mask; a mask without any pixel has the zero vector.

    The original knows square images only; others are set into the model input as their pixels are.

    Raises ValueError for a box, which ALPS does not know, and for a feature map without features.
    """
    masks = [region for region in regions if isinstance(region, dict)]
    if len(masks) < len(regions):
        box = next(index for index, region in enumerate(regions) if not isinstance(region, dict))
        raise ValueError(f"pooling.method alps takes masks only, and region {box} is a box; give its mask, or average")
    geometry = feature_map.geometry
    if geometry is None:
        raise ValueError(f"the feature map cannot be pooled: {feature_map.error}")
    fine = [cells * ENLARGED for cells in geometry.grid]
    features = interpolate(torch.from_numpy(feature_map.features.astype(np.float32))[None], fine, mode="bilinear")[0]
    (top, left), (height, width) = geometry.offset, geometry.resized
    vectors = np.zeros((len(masks), len(features)), np.float32)
    for row, mask in enumerate(masks):
        frame = torch.zeros(1, 1, *geometry.padded)
        pixels = torch.from_numpy(rle.decode(mask).astype(np.float32))[None, None]
        frame[..., top : top + height, left : left + width] = interpolate(pixels, [height, width], mode="bilinear")
        soft = interpolate(frame, fine, mode="bilinear")[0, 0]
        products = features[:, soft > 0] * soft[soft > 0]
        vectors[row] = products.sum(1) / products.count_nonzero(1).clamp(min=1)
    return PooledRegions(vectors, np.arange(len(masks)), np.full(len(masks), Status.POOLED, np.uint8))
