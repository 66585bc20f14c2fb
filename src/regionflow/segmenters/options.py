"""Options of the segmenters; `type` says which kind."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from regionflow.options import Options


class GraphOptions(Options):
    """Graph-based segmentation at several scales: needs no weights, and is a baseline beside SAM.

    skimage.segmentation.felzenszwalb (Felzenszwalb and Huttenlocher 2004) at each scale; near-duplicates are removed,
    nested masks stay.
    """

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


class SamOptions(Options):
    """Segment Anything's automatic mask generation, over a local checkpoint; the options are the original's."""

    type: Literal["sam"] = "sam"
    """Kind of segmenter."""
    model: Literal["vit_h", "vit_l", "vit_b", "auto"] = "auto"
    """Which SAM the checkpoint is; auto takes whatever SAM the file holds."""
    checkpoint: Annotated[str, Field(min_length=1)]
    """Weight file (.pth, .pt or .safetensors)."""
    points_per_side: PositiveInt = 32
    """Point prompts along each side of a crop."""
    pred_iou_thresh: float = 0.88
    """Masks with a predicted IoU of this or less are dropped."""
    stability_score_thresh: float = 0.95
    """Masks with a lower stability score are dropped."""
    stability_score_offset: float = 1.0
    """How far the threshold is moved to measure stability."""
    box_nms_thresh: float = 0.7
    """Box IoU above which the lesser of two masks of a crop is dropped."""
    crop_n_layers: int = Field(0, ge=0)
    """Layers of crops on which the generator runs as well; layer i has (2^i)^2 crops."""
    crop_nms_thresh: float = 0.7
    """Box IoU above which the lesser of two masks of different crops is dropped."""
    crop_overlap_ratio: float = Field(512 / 1500, ge=0, le=1)
    """Overlap of the crops of layer 1 as a share of the image's shorter side."""
    crop_n_points_downscale_factor: PositiveInt = 1
    """Points per side in layer i are divided by this to the power i."""
    min_mask_region_area: int = Field(0, ge=0)
    """Holes and islands smaller than this many pixels are removed."""


SegmenterOptions = Annotated[GraphOptions | SamOptions, Field(discriminator="type")]
