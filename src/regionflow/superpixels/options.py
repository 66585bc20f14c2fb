"""Options of the superpixels."""

from pydantic import Field, PositiveInt

from regionflow.base.options import Options


class SlicOptions(Options):
    """Superpixels by skimage.segmentation.slic; the defaults follow the region-representations paper's fast_slic."""

    n_segments: PositiveInt = 50
    """About how many superpixels; never more than the image has pixels."""
    compactness: float = Field(8.0, gt=0)
    """Weight of space against Lab colour: the colour distance that equals one superpixel's width."""
    max_num_iter: PositiveInt = 10
    """Rounds of the local k-means."""
    sigma: float = Field(0.0, ge=0)
    """Gaussian smoothing before, in pixels."""
    min_size_factor: float = Field(0.25, ge=0)
    """Pieces smaller than this share of the mean size join a neighbour."""
    max_size_factor: float = Field(3.0, gt=0)
    """Superpixels larger than this multiple of the mean size are split."""
    enforce_connectivity: bool = True
    """Whether every superpixel is one connected piece."""
    slic_zero: bool = False
    """SLICO: compactness adapted per superpixel."""
    max_megapixels: float | None = Field(None, gt=0)
    """Find superpixels on a smaller copy of an image with more megapixels; labels are enlarged. null: never."""
