"""The class of an image: the folder that it lies in."""

from collections.abc import Iterable

from regionflow.base.errors import UserError


def class_of(image_id: str) -> str:
    """The folder that an image lies in: "n01440764" for train/n01440764/n01440764_10026.

    Raises UserError for an image in no folder.
    """
    folders = image_id.split("/")[:-1]
    if not folders:
        raise UserError(f"parts.probe: the image {image_id} lies in no folder, which would be its class")
    return folders[-1]


def has_classes(image_ids: Iterable[str]) -> bool:
    """Whether every image lies in a folder, and not all in the same."""
    folders = {image.split("/")[-2] if "/" in image else None for image in image_ids}
    return None not in folders and len(folders) > 1
