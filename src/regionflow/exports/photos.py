"""The photos of a COCO data set: their records, and where their files are."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.files import whole
from regionflow.formats.images import ImageRow, readable


class Photos:
    """The folder that file names are relative to, and the name of each image's file in it.

    Args:
        rows: the images of the set.
        beside: the folder of photos that were linked or copied; None if the photos stay where they are.
        absolute: whether records also have absolute paths.
    """

    def __init__(self, rows: Sequence[ImageRow], beside: Path | None = None, absolute: bool = False) -> None:
        self._absolute = absolute
        self._own = beside is not None
        self.root = root_of(rows) if beside is None else beside

    def file_name(self, row: ImageRow) -> str:
        """Path of an image's file below the root."""
        name = photo_name(row.id, Path(row.path))
        return name if self._own else Path(os.path.relpath(row.path, self.root)).as_posix()

    def record(self, row: ImageRow, number: int) -> dict[str, Any]:
        """COCO's record of an image; image_id and split stand beside COCO's own keys."""
        record = {"id": number, "file_name": self.file_name(row), "height": row.height, "width": row.width}
        path = {"path": str(Path(row.path).absolute())} if self._absolute else {}
        return {**record, "image_id": row.id, "split": row.split, **path}

    def told_root(self, file: Path) -> str | None:
        """The root as seen from the folder of `file`; None where that would tell of this machine unasked."""
        outside = not self.root.absolute().is_relative_to(Path.cwd())
        if outside and not self._own:
            return str(self.root.absolute()) if self._absolute else None
        return Path(os.path.relpath(self.root, file.parent)).as_posix()


def photos_of(rows: Sequence[ImageRow], options: Mapping[str, Any], folder: Path | None) -> Photos:
    """The photos of a set as the options under exports.coco say; `folder` is where they were linked or copied."""
    return Photos(rows, None if options["images"] == "relative" else folder, options["absolute_paths"])


def rows_of(rows: Sequence[ImageRow], split: str | None) -> list[ImageRow]:
    """The images that could be read: of the split whose files have that name, or of all for None."""
    names = split_names([row.split for row in rows])
    return [row for row in readable(rows) if split in (None, names[row.split])]


def image_records(rows: Sequence[ImageRow], photos: Photos) -> list[dict[str, Any]]:
    """COCO's record of every image, ids from 1 in the order of the rows."""
    return [photos.record(row, number) for number, row in enumerate(rows, start=1)]


def root_of(rows: Sequence[ImageRow]) -> Path:
    """images.dir, if ids are the paths below it; else the deepest folder that holds all images."""
    roots = {_above(row) for row in rows}
    if len(roots) == 1 and (root := roots.pop()) is not None:
        return root
    folders = [str(Path(row.path).absolute().parent) for row in rows]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _above(row: ImageRow) -> Path | None:
    """The folder below which the image's path is its id and suffix; None if it is called otherwise."""
    path, depth = Path(row.path), row.id.count("/") + 1
    below = "/".join(path.parts[-depth:])
    return Path(*path.parts[:-depth]) if below == row.id + path.suffix else None


def split_names(splits: Sequence[str]) -> dict[str, str]:
    """By split the name of its files: without characters that file names or other tools may not hold.

    Without any split all images are of the split `default`, as CVAT calls it. Splits whose names would be equal get a
    number.
    """
    names: dict[str, str] = {}
    for split in dict.fromkeys(splits):
        name = "".join(c if c.isalnum() or c in ".-" else "_" for c in split).strip("._-") or "default"
        taken = set(names.values())
        while name in taken:
            name += "_2"
        names[split] = name
    return names


def photo_name(image: str, path: Path) -> str:
    """Name of an image's file among the linked or copied photos: its id and the suffix of its file."""
    return image + suffix_of(path)


def suffix_of(path: Path) -> str:
    """Suffix of a photo's file; one without gets `.img`, since ids end where suffixes begin."""
    return path.suffix or ".img"


def write_photo(path: Path, target: Path, how: str, upright: NDArray[np.uint8] | None) -> None:
    """Link or copy a photo to `target`, whose folder is there.

    Args:
        path: the photo; if it is not there or cannot be read, `target` is an empty file.
        target: where it goes.
        how: "link" or "copy".
        upright: pixels [H, W, 3] that are written instead, in the format of the photo's suffix (JPEG: quality 95) or as
            PNG; None to take the file as it is.
    """
    with whole(target) as part:
        if upright is not None:
            chosen, more = _FORMATS.get(path.suffix.lower(), ("PNG", {}))
            Image.fromarray(upright).save(part, format=chosen, **more)
        elif not path.is_file():
            part.touch()
        elif how == "link":
            part.symlink_to(path.resolve())
        else:
            shutil.copyfile(path, part)


_JPEG = ("JPEG", {"quality": 95, "subsampling": 0})
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".webp": ("WEBP", {"lossless": True}),
}
