"""Mask and region files: one JSON per image in the SA-1B layout.

{"image": {image_id, file_name, height, width[, error]}, "annotations": [{id, region_id, source, segmentation, area,
bbox, ...}], "generator": {name, version, params, weights_sha256}}. `segmentation` is what pycocotools.mask.decode
takes, `bbox` its toBbox. No masks is an empty list; an unreadable image has height and width 0 and says why.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.errors import BadFile
from regionflow.base.files import write_text
from regionflow.base.options import canonical_json
from regionflow.formats import rle

Annotation = dict[str, Any]
# Value of `source` in the records of superpixels.
SLIC = "slic"


@dataclass(frozen=True)
class ImageInfo:
    """Which image a file is about: sizes in pixels, upright; `error` says why an image could not be read."""

    image_id: str
    file_name: str
    height: int
    width: int
    error: str | None = None


@dataclass(frozen=True)
class Generator:
    """What made a file: stage, library version, options, and the sha256 of the weights if there were any."""

    name: str
    params: Mapping[str, Any]
    weights_sha256: str | None = None
    version: str = __version__


@dataclass(frozen=True)
class RegionFile:
    """The masks or regions of one image."""

    image: ImageInfo
    annotations: list[Annotation]
    generator: Generator

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.height, self.image.width


def annotation(mask: rle.Rle, source: str, **scores: Any) -> Annotation:
    """One record without its ids; area and bbox come from the mask itself, so the three always agree."""
    return {"source": source, "segmentation": mask, "area": rle.area(mask), "bbox": rle.bbox(mask), **scores}


def region_id(image_id: str, number: int) -> str:
    """Name of a region, unique in the set."""
    return f"{image_id}_region_{number}"


def numbered(annotations: Iterable[Annotation], image_id: str) -> list[Annotation]:
    """The records in order with `id` 0, 1, ... and `region_id` "<image>_region_<id>"."""
    return [{**a, "id": i, "region_id": region_id(image_id, i)} for i, a in enumerate(annotations)]


def write_regions(path: Path, image: ImageInfo, annotations: Iterable[Annotation], generator: Generator) -> None:
    """Write one image's file."""
    info = {key: value for key, value in asdict(image).items() if value is not None}
    content = {
        "image": info,
        "annotations": numbered(annotations, image.image_id),
        "generator": asdict(generator),
    }
    write_text(path, canonical_json(content) + "\n")


def read_regions(path: Path) -> RegionFile:
    """Read one image's file.

    Raises BadFile, naming the file, if it is damaged, not of this layout, or a mask has another size than the image.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        image = ImageInfo(**content["image"])
        generator = Generator(**content["generator"])
        annotations = list(content["annotations"])
        sizes = {tuple(a["segmentation"]["size"]) for a in annotations}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, "a mask file", error) from error
    wrong = sizes - {(image.height, image.width)}
    if wrong:
        raise BadFile(f"{path}: masks of {sorted(wrong)} pixels for an image of {image.height} x {image.width}")
    return RegionFile(image, annotations, generator)


def same_image(files: Sequence[RegionFile]) -> ImageInfo:
    """The image that all files are about.

    Raises BadFile if they disagree on its size: some were made from another version of the image.
    """
    image = files[0].image
    for file in files[1:]:
        if (file.image.height, file.image.width) != (image.height, image.width):
            raise BadFile(
                f"{image.image_id}: {files[0].generator.name} saw {image.height} x {image.width} pixels, "
                f"{file.generator.name} {file.image.height} x {file.image.width}; delete both files"
            )
    return image


def masks_of(file: RegionFile) -> list[rle.Rle]:
    """The masks of a file in order."""
    return [a["segmentation"] for a in file.annotations]
