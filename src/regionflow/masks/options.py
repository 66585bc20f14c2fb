"""Options of the segmenters; `type` says which kind."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from regionflow.base.options import Kind
from regionflow.sam.options import AmgOptions, SamWeights


class MergeTreeOptions(Kind):
    """Merging of small cells into one tree of nested regions: needs no weights, and is the default.

    Watershed basins of the colour gradient are merged, always the two nearest neighbours, until one region is left.
    The regions that stand out longest before they are merged further become masks: of any two, one holds the other or
    they are disjoint.
    """

    implementation: ClassVar[str] = "regionflow.masks.merge_tree:MergeTreeSegmenter"

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
    pred_iou_thresh: float = Field(0.15, ge=0, le=1)
    """Masks with a lower predicted IoU are dropped."""


class GraphOptions(Kind):
    """Graph-based segmentation at several scales: needs no weights, and is a baseline beside SAM.

    skimage.segmentation.felzenszwalb (Felzenszwalb and Huttenlocher 2004) at each scale; near-duplicates are removed,
    nested masks stay.
    """

    implementation: ClassVar[str] = "regionflow.masks.graph:Graph"

    type: Literal["graph"] = "graph"
    """Kind of segmenter."""
    scales: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2)] = [100.0, 300.0, 1000.0]
    """Observation levels; larger gives larger masks. A mask's predicted IoU is its agreement with the next level."""
    sigma: float = Field(0.8, ge=0)
    """Gaussian smoothing before, in pixels."""
    min_size: PositiveInt = 50
    """Smallest mask in pixels of the (shrunk) image."""
    max_side: PositiveInt = 1024
    """Larger images are segmented at this longer side; the masks are enlarged again."""
    duplicate_iou: float = Field(0.9, gt=0, le=1)
    """Of two masks that overlap more than this (mask IoU) the one with the lower predicted IoU is dropped."""
    pred_iou_thresh: float = Field(0.5, ge=0, le=1)
    """Masks with a lower predicted IoU are dropped."""


class SamOptions(AmgOptions, SamWeights):
    """Segment Anything's automatic mask generation: SAM, MobileSAM and HQ-SAM; the options are the original's."""

    implementation: ClassVar[str] = "regionflow.masks.sam:Sam"
    uses_card: ClassVar[bool] = True

    type: Literal["sam"] = "sam"
    """Kind of segmenter."""
