"""Options of the image list."""

from typing import Literal

from pydantic import Field, model_validator

from regionflow.base.options import Options


class ImagesOptions(Options):
    """Where the images are. With neither `dir` nor `table`, sample photos from the installed packages are used."""

    dir: str | None = None
    """A folder, searched with its sub-folders. An image's id is its path in the folder without the suffix."""
    table: str | None = None
    """A TSV file with the columns id, path (relative to the table) and, if wanted, split. Instead of `dir`."""
    split_from: Literal["table", "folder"] = "table"
    """`folder`: an image's split is the first folder of its id, as in dir/train/a.jpg; `table`: the table's column."""
    suffixes: list[str] = [".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"]
    """Which files of `dir` are images, in any case."""
    follow_links: bool = False
    """Whether links to folders inside `dir` are followed. Links to files always are."""
    max_megapixels: float = Field(250.0, gt=0)
    """Larger images are not decoded but recorded as unreadable."""
    on_bad_image: Literal["record", "fail"] = "record"
    """`record`: an unreadable image gets empty files and a line in results/problems.tsv; `fail`: its jobs fail."""

    @model_validator(mode="after")
    def _one_source(self) -> "ImagesOptions":
        if self.dir is not None and self.table is not None:
            raise ValueError("give either dir or table, not both")
        return self
