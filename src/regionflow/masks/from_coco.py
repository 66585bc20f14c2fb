"""Masks that people have drawn or corrected, from a COCO instances file, as a segmenter."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.base.arrays import check_rgb
from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.coco import CocoFile, CocoImage, read_coco, read_mask
from regionflow.formats.regions import Annotation, annotation
from regionflow.masks.options import FromCocoOptions

SOURCE = "coco"


class FromCoco:
    """The masks of a COCO instances file. Raises UserError, naming the file, if it is none."""

    def __init__(self, options: FromCocoOptions, device: str = "cpu", points_per_batch: int | None = None) -> None:
        self._path = Path(options.file)
        read_coco(self._path)

    def generate(self, image: NDArray[np.uint8]) -> list[Annotation]:
        """The masks of the one entry of the file that is of the size of this RGB image [H, W, 3].

        Raises ValueError if none is, or several are: which it is only its id can say (`generate_for`).
        """
        check_rgb(image, "from_coco segmenter")
        file, size = read_coco(self._path), image.shape[:2]
        entries = [entry for entry in file.images.values() if entry.size == size]
        if len(entries) != 1:
            raise UserError(
                f"{self._path}: {len(entries)} images are of {size[0]} x {size[1]} pixels; use generate_for"
            )
        return _masks(file, entries[0], *size)

    def generate_for(self, image: NDArray[np.uint8], image_id: str) -> list[Annotation]:
        """The masks of an image by its id, best score first; none if the file does not have the image.

        Raises UserError, naming the image and the annotation, if sizes differ or a mask cannot be read.
        """
        check_rgb(image, "from_coco segmenter")
        file = read_coco(self._path)
        entry = file.find(image_id)
        if entry is None:
            print(f"{self._path}: it has no image {image_id!r}; writing an empty file")
            return []
        return _masks(file, entry, *image.shape[:2])


def _masks(file: CocoFile, entry: CocoImage, height: int, width: int) -> list[Annotation]:
    where = f"{file.path}: {entry.file_name}"
    if entry.size not in (None, (height, width)):
        raise UserError(f"{where} has {_size(entry.size)} pixels, the image {_size((height, width))}; which is wrong?")
    masks = []
    for record in entry.records:
        try:
            mask = read_mask(record, height, width)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        if tuple(mask["size"]) != (height, width):
            sizes = f"{_size(mask['size'])} pixels, the image {_size((height, width))}"
            raise UserError(f"{where}: annotation {record.get('id')} has a mask of {sizes}")
        if rle.area(mask):
            masks.append(annotation(mask, SOURCE, **_about(file, record)))
        else:
            print(f"{where}: annotation {record.get('id')} is empty and left out")
    return sorted(masks, key=lambda mask: -mask["predicted_iou"])


def _about(file: CocoFile, record: dict) -> dict:
    """Scores (1 for masks without, as people draw them), the class, and the annotation's id in the file."""
    scores = {"predicted_iou": record.get("predicted_iou", record.get("score", 1.0))}
    scores["stability_score"] = record.get("stability_score", 1.0)
    category = file.names.get(record.get("category_id"))
    return {name: _fraction(value) for name, value in scores.items()} | {
        "coco_id": record.get("id"),
        **({} if category is None else {"category": category}),
    }


def _fraction(value: object) -> float:
    """A score between 0 and 1; 1 for what is none."""
    is_score = isinstance(value, int | float) and 0 <= value <= 1
    return float(value) if is_score else 1.0  # type: ignore[arg-type]


def _size(size: object) -> str:
    return " x ".join(map(str, size))  # type: ignore[call-overload]
