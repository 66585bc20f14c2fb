"""SLIC superpixels (Achanta et al. 2012) by scikit-image."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from regionflow.formats import rle
from regionflow.formats.regions import SLIC, Annotation, annotation
from regionflow.superpixels.options import SlicOptions


def slic_labels(image: NDArray[np.uint8], options: SlicOptions) -> NDArray[np.int64]:
    """Superpixel labels 0 ... K-1 [H, W] of an RGB image [H, W, 3], every argument of skimage's slic passed on.

    With more than `max_megapixels` they are those of a smaller copy, their borders exact to a pixel of that copy.
    """
    height, width = image.shape[:2]
    scale = (1e6 * (options.max_megapixels or np.inf) / (height * width)) ** 0.5
    if scale >= 1:
        return _slic(image, options)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    copy = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    labels = _slic(copy, options)
    return cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)


def _slic(image: NDArray[np.uint8], options: SlicOptions) -> NDArray[np.int64]:
    height, width = image.shape[:2]
    return slic(
        image,
        n_segments=min(options.n_segments, height * width),
        compactness=options.compactness,
        max_num_iter=options.max_num_iter,
        sigma=options.sigma,
        spacing=None,
        convert2lab=True,
        enforce_connectivity=options.enforce_connectivity,
        min_size_factor=options.min_size_factor,
        max_size_factor=options.max_size_factor,
        slic_zero=options.slic_zero,
        start_label=0,
        mask=None,
        channel_axis=-1,
    )


def superpixel_annotations(labels: NDArray[np.integer]) -> list[Annotation]:
    """One record per superpixel, in ascending order of label, with the label kept."""
    return [annotation(mask, SLIC, label=label) for label, mask in rle.from_label_map(labels).items()]
