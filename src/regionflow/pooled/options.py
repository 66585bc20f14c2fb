"""Options of pooling."""

from typing import Literal

from regionflow.base.options import Options


class PoolingOptions(Options):
    """How a region's features become one vector."""

    method: Literal["average", "max", "alps"] = "average"
    """Mean or channel-wise maximum over the region; `alps`: ALPS's vector as published (a sum over a soft mask divided
    by its number of products that are not zero), which leaves the options below without effect."""

    interpolation: Literal["upsample", "downsample"] = "upsample"
    """`upsample`: over the region's pixels, of the bilinearly upsampled features. `downsample`: over the grid cells
    whose centre lies in the region."""

    vanished: Literal["nearest", "nan", "drop"] = "nearest"
    """A region that holds no cell centre under `downsample`. `nearest`: the grid cell with the largest bilinear weight;
    `nan`: a NaN row; `drop`: no row. A region without any pixel gives a NaN row under `nan`, else none."""

    l2_normalize: bool = False
    """Scale each vector to length 1 (a zero vector stays zero)."""

    area_weighted: bool = False
    """Multiply each vector, last of all, by the region's share of the image area, so that sums over regions weigh them
    by their size. Areas are stored beside the vectors in any case."""
