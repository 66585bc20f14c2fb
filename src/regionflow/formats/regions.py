"""Mask and region files: one JSON per image in the SA-1B layout.

{"image": {image_id, file_name, height, width[, error]}, "annotations": [{id, region_id, source, segmentation, area,
bbox, ...}], "generator": {name, version, params, weights_sha256}}. `segmentation` is what pycocotools.mask.decode
takes, `bbox` its toBbox. No masks is an empty list; an unreadable image has height and width 0 and says why. The file
begins with its checksum (`regionflow.formats.checked`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.checked import check_owner, read_checked_json, write_checked_json

Annotation = dict[str, Any]
WHAT = "a mask file"
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
    """The masks or regions of one image; `sha256` is the checksum of the file that was read."""

    image: ImageInfo
    annotations: list[Annotation]
    generator: Generator
    sha256: str = ""

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
    write_checked_json(path, content_of(image, annotations, generator))


def content_of(image: ImageInfo, annotations: Iterable[Annotation], generator: Generator) -> dict[str, Any]:
    """What a mask file holds."""
    return {
        "image": {key: value for key, value in asdict(image).items() if value is not None},
        "annotations": numbered(annotations, image.image_id),
        "generator": asdict(generator),
    }


def read_regions(path: Path, image_id: str | None = None) -> RegionFile:
    """Read one image's file.

    Raises BadFile, naming the file, if it is damaged, not of this layout, of another image than `image_id`, or if a
    record's mask, area, box or ids do not fit each other or the image.
    """
    content, sha256 = read_checked_json(path, WHAT)
    return parse_regions(path, content, sha256, image_id)


def parse_regions(path: Path, content: Mapping[str, Any], sha256: str, image_id: str | None = None) -> RegionFile:
    """The content of a mask file, checked as `read_regions` does."""
    try:
        image = ImageInfo(**content["image"])
        annotations = list(content["annotations"])
        _check_records(image, annotations)
        file = RegionFile(image, annotations, Generator(**content["generator"]), sha256)
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, WHAT, error) from error
    check_owner(path, image.image_id, image_id)
    return file


def _check_records(image: ImageInfo, annotations: Sequence[Annotation]) -> None:
    """Raises ValueError, naming the record, if its mask, area, box or ids do not fit each other or the image."""
    masks = [a["segmentation"] for a in annotations]
    rle.check(masks, image.height, image.width)
    for i, (record, area, box) in enumerate(zip(annotations, rle.areas(masks), rle.bboxes(masks), strict=True)):
        if record["area"] != area or list(record["bbox"]) != box:
            raise ValueError(f"area and box of record {i} are not those of its mask")
        if (record["id"], record["region_id"]) != (i, region_id(image.image_id, i)):
            raise ValueError(f"record {i} is called {record['region_id']!r}")
        if not isinstance(record["source"], str):
            raise TypeError(f"the source of record {i} is no text")


def same_image(files: Sequence[RegionFile]) -> ImageInfo:
    """The image that all files are about.

    Raises BadFile if they are of different images, or disagree on the size: some were made from another version of it.
    """
    image = files[0].image
    for file in files[1:]:
        other = file.image
        if (other.image_id, other.height, other.width) != (image.image_id, image.height, image.width):
            raise BadFile(
                f"{image.image_id}: {files[0].generator.name} saw {image.height} x {image.width} pixels, "
                f"{file.generator.name} {other.height} x {other.width} of {other.image_id}; delete both files"
            )
    return image


def masks_of(file: RegionFile) -> list[rle.Rle]:
    """The masks of a file in order."""
    return [a["segmentation"] for a in file.annotations]
