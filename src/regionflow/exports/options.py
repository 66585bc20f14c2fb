"""Options of the exports."""

from typing import Annotated, Literal

from pydantic import Field

from regionflow.base.options import Options

File = Annotated[str, Field(min_length=1)]


class CocoOptions(Options):
    """How COCO files name the photos."""

    images: Literal["relative", "link", "copy"] = "relative"
    """`relative`: file_name is the path below images.dir (or below the deepest folder that holds all images). `link`
    and `copy` put the photos into images/ beside annotations/, so that the folder is complete in itself; a photo that
    its metadata turns is written upright there, as the masks see it."""
    absolute_paths: bool = False
    """Whether each image's record also has its absolute path, which tells of this machine."""


class ExportsOptions(Options):
    """Forms for other tools: `snakemake --cores all export`."""

    coco: CocoOptions = CocoOptions()
    """How COCO files name the photos."""
    class_list: File | None = None
    """CSV file with the columns value and name (colour_maps/.../classes.csv has them): names for the clusters, value 1
    for the first. Clusters of one name become one category of the COCO files. null: cluster_0, cluster_1, ..."""
    tables: list[Literal["csv", "parquet"]] = ["csv"]
    """Forms of the region tables; CSV is always made. Parquet needs pyarrow: pip install 'regionflow[parquet]'."""
