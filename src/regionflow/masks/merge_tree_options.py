"""Options of the segmenter `merge_tree`."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from regionflow.base.options import Options


class MergeTreeOptions(Options):
    """Merging of small cells into one tree of nested regions: needs no weights, and is the default.

    Watershed basins of the colour gradient are merged, always the two nearest neighbours, until one region is left.
    The regions that stand out longest before they are merged further become masks: of any two, one holds the other or
    they are disjoint.
    """

    type: Literal["merge_tree"] = "merge_tree"
    """Kind of segmenter."""
    sigma: float = Field(0.6, ge=0)
    """Gaussian smoothing before the colour gradient is taken, in pixels."""
    border_weight: float = Field(0.5, ge=0, le=1)
    """Share of the contrast along the common border in the distance of two regions; the rest is that of colours."""
    size_power: float = Field(0.4, ge=0)
    """How much farther large regions are from each other than small ones: power of the harmonic mean of the areas."""
    contact_power: float = Field(0.2, ge=0)
    """How much nearer regions are that share a large part of their border: power of this part."""
    cell_distance: float = Field(0.2, ge=0)
    """Neighbours nearer than this are merged at once, before the tree begins. Larger is faster and coarser."""
    min_size: PositiveInt = 30
    """Smallest mask in pixels of the (shrunk) image."""
    max_side: PositiveInt = 1024
    """Larger images are segmented at this longer side; the masks are enlarged again."""
    max_masks: NonNegativeInt = 200
    """Most masks of an image; those with the best predicted IoU are kept."""
    duplicate_iou: float = Field(0.9, gt=0, le=1)
    """Of two masks that overlap more than this (mask IoU) the one with the lower predicted IoU is dropped."""
    pred_iou_thresh: float = Field(0.05, ge=0, le=1)
    """Masks with a lower predicted IoU are dropped."""
