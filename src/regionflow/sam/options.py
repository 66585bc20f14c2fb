"""Options of automatic mask generation: segment-anything's, under its names and with its defaults, and a few extras."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from regionflow.base.options import Few, Fraction, Kind, Options, Pixels
from regionflow.weights.published import EMBEDDED

Point = Annotated[list[Fraction], Field(min_length=2, max_length=2)]


class SamWeights(Kind):
    """Which SAM: what the masks and the features of a SAM have in common."""

    model: Literal[
        "vit_h", "vit_l", "vit_b", "mobile_sam", "hq_vit_h", "hq_vit_l", "hq_vit_b", "hq_vit_tiny", "sam_tiny", "auto"
    ] = "auto"
    """Which model the checkpoint is; auto takes whatever SAM the file holds."""
    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    """Weight file (.pth, .pt or .safetensors). Only sam_tiny needs none: its weights come with regionflow."""

    def weights(self) -> Path | None:
        """The checkpoint, or the weights of sam_tiny."""
        if self.checkpoint is not None:
            return Path(self.checkpoint)
        return EMBEDDED if self.model == "sam_tiny" else None

    def needed_weights(self) -> Path:
        """The same, for who cannot do without.

        Raises ValueError if the options name none.
        """
        path = self.weights()
        if path is None:
            raise ValueError("checkpoint is missing: give the path of a weight file")
        return path

    @model_validator(mode="after")
    def _weights_from_somewhere(self) -> Self:
        self.needed_weights()
        return self


class AmgOptions(Options):
    """What decides the masks of an image, given the weights."""

    points_per_side: Few | None = 32
    """Point prompts along each side of the image (and of each crop). Give this or `point_grids`, the other null."""
    pred_iou_thresh: Annotated[float, Field(ge=0, le=10)] = 0.88
    """A mask is kept if its predicted IoU is above this; 0 keeps all."""
    stability_score_thresh: Fraction = 0.95
    """A mask is kept if its stability score is at least this; 0 keeps all."""
    stability_score_offset: Annotated[float, Field(ge=0, le=100)] = 1.0
    """The stability score is the IoU of the masks at the logit threshold plus and minus this."""
    box_nms_thresh: Fraction = 0.7
    """Of two masks of a crop whose boxes have an IoU above this, the one with the higher predicted IoU stays."""
    crop_n_layers: Annotated[int, Field(ge=0, le=6)] = 0
    """Layers of crops on which generation is repeated; layer i has 4 ** i crops."""
    crop_nms_thresh: Fraction = 0.7
    """Of two masks of different crops whose boxes have an IoU above this, the one from the smaller crop stays."""
    crop_overlap_ratio: Annotated[float, Field(ge=0, lt=1)] = 512 / 1500
    """Overlap of the first layer's crops as a fraction of the image's short side; later layers scale it down."""
    crop_n_points_downscale_factor: Few = 1
    """Points per side in layer i are divided by this to the power of i."""
    point_grids: list[list[Point]] | None = None
    """Explicit points (x, y) in [0, 1], one list per crop layer, instead of `points_per_side`."""
    min_mask_region_area: Pixels = 0
    """Holes and islands with fewer pixels than this are filled and removed; 0 leaves masks as they are."""
    precision: Literal["exact", "bf16"] = "exact"
    """exact: segment-anything's float32 arithmetic, only rounding differs. bf16: bfloat16 products, faster on
    CPUs that have them and slower on others; masks differ a little (docs/sam.md has what was measured)."""
    mask_nms_thresh: Fraction | None = None
    """Extra: of two masks with a mask IoU above this, the first in the list stays. Null: off."""
    containment_nms_thresh: Fraction | None = None
    """Extra: a mask of which a larger fraction than this lies in one before it in the list, and which covers at least
    half of that one, goes: a near duplicate and not a part. Null: off."""

    only_connected: bool = False
    """Extra: of each mask only what is connected to its point stays, judged on the decoder's map; for a model that
    marks all that looks like what was pointed at."""
    skip_covered_iou: Fraction | None = None
    """Extra: skip a point that already lies in a mask with at least this predicted IoU. Points are prompted coarse to
    fine, 16 at a time. Across crops the bar is higher: (1 + value) / 2. null prompts every point, as segment-anything
    does."""

    @model_validator(mode="after")
    def _points_from_one_source(self) -> Self:
        if (self.points_per_side is None) == (self.point_grids is None):
            raise ValueError("give either points_per_side or point_grids, and set the other to null")
        if self.point_grids is not None and len(self.point_grids) <= self.crop_n_layers:
            raise ValueError(
                f"point_grids has {len(self.point_grids)} grids, but crop_n_layers {self.crop_n_layers} needs "
                f"{self.crop_n_layers + 1}"
            )
        factor = self.crop_n_points_downscale_factor**self.crop_n_layers
        if self.points_per_side is not None and self.points_per_side < factor:
            raise ValueError(
                f"points_per_side {self.points_per_side} divided by crop_n_points_downscale_factor ** crop_n_layers = "
                f"{factor} leaves no point in the smallest crops"
            )
        return self
