"""Features of cells: a feature map pooled over the cells of a label map."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from regionflow.formats.features import FeatureMap


def cell_features(
    labels: NDArray[np.int32], feature_map: FeatureMap, image_size: tuple[int, int]
) -> NDArray[np.float64]:
    """Sum [n, C] over each cell's pixels of the bilinear samples of a feature map [C, h, w].

    labels [H, W]: cells 0 ... n-1 that cover the image, perhaps at a smaller size than the image's own `image_size`.
    The map is not upsampled: the weights of its places in each cell are one sparse matrix, as in `regionflow.pooled`.

    Raises ValueError for a feature map of an image of another size, or one that could not be made.
    """
    geometry = feature_map.geometry
    if geometry is None or geometry.image != image_size:
        raise ValueError(f"the feature map is not one of an image of {image_size[1]} x {image_size[0]} pixels")
    height, width = labels.shape
    geometry = replace(geometry, image=(height, width))  # the same frame, sampled at the pixels of the label map
    (top, bottom, down), (left, right, across) = geometry.taps(0), geometry.taps(1)
    n, columns = int(labels.max()) + 1, geometry.grid[1]
    cells = labels.ravel()
    sums = csr_array((n, geometry.grid[0] * columns))
    for rows, row_weights in ((top, 1 - down), (bottom, down)):
        for places, column_weights in ((left, 1 - across), (right, across)):
            weights = np.outer(row_weights, column_weights).ravel()
            at = (rows[:, None] * columns + places[None, :]).ravel()
            sums = sums + csr_array((weights, (cells, at)), shape=sums.shape)
    flat = feature_map.features.reshape(len(feature_map.features), -1)
    return np.asarray(sums @ flat.T.astype(np.float64))
