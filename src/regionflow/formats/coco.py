"""COCO instances files, as other programs write them: CVAT, Label Studio, annotators of all sorts, our own exports."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from pycocotools import mask as coco

from regionflow.base.errors import UserError
from regionflow.base.files import stamp_of
from regionflow.formats import rle


@dataclass(frozen=True)
class CocoImage:
    """One image of the file: its name as it stands there, its size if it says one, and its annotations."""

    file_name: str
    size: tuple[int, int] | None
    records: list[dict[str, Any]] = field(repr=False)
    sha256: str = ""
    """Of all that the file says about this image."""


@dataclass(frozen=True)
class CocoFile:
    """A COCO instances file. `images` by name without suffix: the id of our image, or the last part of it."""

    path: Path
    images: Mapping[str, CocoImage]
    names: Mapping[Any, str]

    def find(self, image_id: str) -> CocoImage | None:
        """The entry of an image: of its whole id, or of the last part where the file names no folder."""
        return self.images.get(image_id) or self.images.get(PurePosixPath(image_id).name)

    def unmatched(self, image_ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """The images that have no entry, and the file names of entries that no image of the set has."""
        entries = {image: self.find(image) for image in image_ids}
        used = {entry.file_name for entry in entries.values() if entry is not None}
        extra = [entry.file_name for entry in self.images.values() if entry.file_name not in used]
        return [image for image, entry in entries.items() if entry is None], extra

    def ambiguous(self, image_ids: Iterable[str]) -> dict[str, list[str]]:
        """Entries without a folder that may be of several images, with these."""
        candidates = defaultdict(list)
        for image in image_ids:
            if image not in self.images and PurePosixPath(image).name in self.images:
                candidates[PurePosixPath(image).name].append(image)
            elif image in self.images:
                candidates[image].append(image)
        return {name: images for name, images in candidates.items() if len(images) > 1}


def read_coco(path: Path) -> CocoFile:
    """Read such a file; one that has not changed since (`stamp_of`) is not read again.

    Raises UserError, naming the file, if it is none, or two of its images are of one name.
    """
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return _read(path, tuple(stamp))


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, ...]) -> CocoFile:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        records = defaultdict(list)
        for record in content["annotations"]:
            records[record["image_id"]].append(record)
        images: dict[str, CocoImage] = {}
        for entry in content["images"]:
            image = _image(entry, records.pop(entry["id"], []), names)
            name = PurePosixPath(image.file_name.replace("\\", "/")).with_suffix("").as_posix()
            own = entry.get("image_id")  # our exports' own key
            name = own if isinstance(own, str) else name
            if name in images:
                raise UserError(f"{path}: {images[name].file_name} and {image.file_name} are both image {name!r}")
            images[name] = image
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{path}: not a COCO instances file ({reason})") from error
    if records:
        raise UserError(
            f"{path}: it has annotations of images that it does not have (image_id {next(iter(records))!r})"
        )
    return CocoFile(path, images, names)


def _image(entry: Mapping[str, Any], records: list[dict[str, Any]], names: Mapping[Any, str]) -> CocoImage:
    size = (int(entry["height"]), int(entry["width"])) if "height" in entry and "width" in entry else None
    said = [size, [[record, names.get(record.get("category_id"))] for record in records]]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return CocoImage(str(entry["file_name"]), size, records, digest)


def read_mask(record: Mapping[str, Any], height: int, width: int) -> rle.Rle:
    """A record's segmentation, whichever of COCO's three forms it has, as a compressed RLE.

    `height` and `width` are those of the image, which polygons do not say. Raises ValueError, naming the annotation.
    """
    given = record.get("segmentation")
    try:
        if isinstance(given, dict) and isinstance(given["counts"], str):
            mask: rle.Rle = {"size": [int(n) for n in given["size"]], "counts": given["counts"]}
            rle.check([mask], *mask["size"])
            return mask
        if isinstance(given, dict):
            size, runs = [int(n) for n in given["size"]], [int(n) for n in given["counts"]]
            if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:
                raise ValueError(f"its runs do not add up to {size[0]} x {size[1]} pixels")
            return rle.from_runs(runs, *size)
        if not given:
            raise ValueError("it has none, or an empty one")
        # Native code walks along every edge of a polygon, whatever its length.
        limit = 10 * (height + width)
        if not all(abs(float(value)) <= limit for polygon in given for value in polygon):
            raise ValueError("its polygon lies far out of the image, or is not of numbers")
        merged = coco.merge(coco.frPyObjects(given, height, width))
        return {"size": [height, width], "counts": merged["counts"].decode("ascii")}
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"annotation {record.get('id')} has no usable segmentation ({error})") from error
