"""Which images are trained on, and their classes: the folders that they lie in."""

from collections.abc import Mapping, Sequence

from regionflow.base.errors import UserError
from regionflow.formats.images import TRAIN, HasSplit


def trained_on(splits: Sequence[str]) -> list[int]:
    """Rows of the training images: those of the split train, or all where there is no such split."""
    rows = [row for row, split in enumerate(splits) if split == TRAIN]
    return rows or list(range(len(splits)))


def class_of(image_id: str) -> str:
    """The folder that an image lies in: "n01440764" for train/n01440764/n01440764_10026.

    Raises UserError for an image in no folder.
    """
    folders = image_id.split("/")[:-1]
    if not folders:
        raise UserError(f"parts.probe: the image {image_id} lies in no folder, which would be its class")
    return folders[-1]


def has_classes(images: Mapping[str, HasSplit]) -> bool:
    """Whether every image lies in a folder, and those that are trained on not all in folders of one name."""
    ids = list(images)
    if not all("/" in image for image in ids):
        return False
    return len({class_of(ids[row]) for row in trained_on([images[image].split for image in ids])}) > 1
