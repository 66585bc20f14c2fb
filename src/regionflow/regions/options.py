"""Options of the merge of masks and superpixels."""

from typing import Annotated

from pydantic import Field, model_validator

from regionflow.base.options import Fraction, Name, Options, Pixels, Refers


class RegionsOptions(Options):
    """One kind of region: a segmenter's masks, and superpixels where no mask is."""

    segmenter: Annotated[Name, Refers("segmenters")] | None = "merge_tree"
    """Name of the segmenter whose masks come first; null for superpixels alone."""
    superpixels: Annotated[Name, Refers("superpixels")] | None = "slic"
    """Name of the superpixels that fill what the masks leave uncovered; null for masks alone."""
    max_area_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Masks that cover a larger share of the image than this are dropped first; 1 keeps all."""
    min_pixels: Pixels = 300
    """A superpixel is kept if at least so many of its pixels are uncovered."""
    min_proportion: Fraction = 0.0
    """... and if at least this share of it is uncovered."""
    split_fragments: bool = False
    """Whether the uncovered part of a superpixel becomes one region per connected piece."""

    @model_validator(mode="after")
    def _some_source(self) -> "RegionsOptions":
        if self.segmenter is None and self.superpixels is None:
            raise ValueError("needs a segmenter, superpixels or both")
        return self
