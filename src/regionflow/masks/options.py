"""Options of the segmenters; `type` says which kind."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from regionflow.base.options import Kind
from regionflow.sam.options import AmgOptions, SamWeights


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
