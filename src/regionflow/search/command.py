"""A search from its query to the files that people look at."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.dataset import RegionSet
from regionflow.formats.pictures import write_jpeg
from regionflow.images.read import UnreadableImage, read_image
from regionflow.search.nearest import Hits, nearest, row_of
from regionflow.search.sheet import paths_of, sheet, write_hits
from regionflow.search.words import vector_of


def like_region(regions: RegionSet, image_id: str, region: str, k: int) -> tuple[Hits, int]:
    """The regions most like one of the set, by its number or its name, and its row.

    Raises UserError for an image or a region that is not there.
    """
    digits = region.rpartition("_")[2]
    if not digits.isdigit():
        raise UserError(f"{region!r} is no number of a region")
    row = row_of(regions, image_id, int(digits))
    return nearest(regions, regions.features[row], k, without=row), row


def like_words(
    regions: RegionSet, words: str, k: int, *, model: str, pretrained: str, checkpoint: str | None = None
) -> Hits:
    """The regions most like words, by features in the space of a text-image model of open_clip.

    Raises UserError for an unknown model, weights that cannot be had, and features of another width.
    """
    query = vector_of(words, model, pretrained, checkpoint)
    width = regions.features.shape[1]
    if len(query) != width:
        raise UserError(
            f"the words have {len(query)} channels in {model}, the features of {regions.extractor} {width}: name an "
            "extractor in the text space of the model, such as maskclip_vitb16, under targets and run snakemake first"
        )
    return nearest(regions, query, k)


def write(folder: Path, regions: RegionSet, hits: Hits, query: int | None = None) -> tuple[Path, Path]:
    """Write hits.tsv and hits.jpg, and return their paths; a photo that is no longer there leaves its crop white."""
    paths = paths_of(regions)

    @lru_cache(maxsize=8)
    def pixels(image: str) -> NDArray[np.uint8] | None:
        try:
            return read_image(paths[image])
        except (UnreadableImage, OSError, KeyError):
            return None

    table, picture = folder / "hits.tsv", folder / "hits.jpg"
    write_hits(table, regions, hits, paths)
    write_jpeg(picture, sheet(regions, hits, pixels, query))
    return table, picture
