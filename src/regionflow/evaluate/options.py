"""Options of the ground truth and of what is measured against it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from regionflow.base.options import LabelValue, Options

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
"""Of label maps."""
File = Annotated[str, Field(min_length=1)]


class CocoTruth(Options):
    """True regions from a COCO instances file: polygons or RLEs; crowd regions are not counted."""

    type: Literal["coco"] = "coco"
    """Kind of ground truth."""
    file: File
    """The JSON file. An image belongs to the entry whose file_name, without the suffix, is its id."""


class PanopticTruth(Options):
    """True regions from a COCO panoptic file and its folder of PNG files."""

    type: Literal["panoptic"] = "panoptic"
    """Kind of ground truth."""
    file: File
    """The JSON file."""
    dir: File
    """Folder of the PNG files that the JSON names."""


class LabelMapTruth(Options):
    """True regions from label maps: one image file of integers (8 or 16 bit, or with a palette) for each image."""

    type: Literal["label_maps"] = "label_maps"
    """Kind of ground truth."""
    dir: File | None = None
    """Folder of the label maps: <image id>.png, .tif or .bmp."""
    column: File | None = None
    """Column of the image table that holds the path of the label map, relative to the table; instead of dir."""
    values: Literal["instances", "classes"] = "instances"
    """What the integers are: numbers of regions, or classes (the regions are their connected parts)."""
    background: LabelValue | None = 0
    """Value of pixels of no region; null for none. Ignored where values are classes: there 0 is a class."""
    ignore: list[LabelValue] = [255]
    """Values of pixels that count nowhere; only where values are classes."""
    classes: File | None = None
    """CSV file with the columns value and name. Without: the values themselves are the names."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dir is None) == (self.column is None):
            raise ValueError("name either dir or column")
        return self


TruthOptions = Annotated[CocoTruth | PanopticTruth | LabelMapTruth, Field(discriminator="type")]


class EvaluateOptions(Options):
    """What is measured against the ground truth."""

    rank: Literal["predicted_iou", "mean_of_scores", "order"] = "predicted_iou"
    """Order of the masks for AR@k: by predicted IoU, by its mean with the stability score, or as in the file."""
    boundary_tolerance: float = Field(0.02, gt=0, lt=1)
    """Distance within which outlines agree, as a share of the image's diagonal."""
