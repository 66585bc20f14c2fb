"""Options of the superpixels."""

from regionflow.base.options import Count, Few, NotNegative, Options, Positive, Sigma


class SlicOptions(Options):
    """Superpixels by skimage.segmentation.slic; the defaults follow the region-representations paper's fast_slic."""

    n_segments: Count = 50
    """About how many superpixels; never more than the image has pixels."""
    compactness: Positive = 8.0
    """Weight of space against Lab colour: the colour distance that equals one superpixel's width."""
    max_num_iter: Few = 10
    """Rounds of the local k-means."""
    sigma: Sigma = 0.0
    """Gaussian smoothing before, in pixels."""
    min_size_factor: NotNegative = 0.25
    """Pieces smaller than this share of the mean size join a neighbour."""
    max_size_factor: Positive = 3.0
    """Superpixels larger than this multiple of the mean size are split."""
    enforce_connectivity: bool = True
    """Whether every superpixel is one connected piece."""
    slic_zero: bool = False
    """SLICO: compactness adapted per superpixel."""
    max_megapixels: Positive | None = None
    """Find superpixels on a smaller copy of an image with more megapixels; labels are enlarged. null: never."""
