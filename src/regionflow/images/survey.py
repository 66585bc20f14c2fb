"""What is known of every image of the set: its size and hash, or the reason why it cannot be read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from regionflow.base.files import sha256_of
from regionflow.formats.images import ImageRow, Status
from regionflow.images.files import why_not_a_file
from regionflow.images.find import ImageEntry
from regionflow.images.read import UnreadableImage, look


def survey(images: Mapping[str, ImageEntry], reading: Mapping[str, Any], threads: int = 1) -> list[ImageRow]:
    """Read every image as the stages will, in the order given; `reading` are the options of `read_image`."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda image: _row(image, images[image], reading), images))


def _row(image: str, entry: ImageEntry, reading: Mapping[str, Any]) -> ImageRow:
    height, width, reason, note = 0, 0, "", ""
    digest, size, modified = _identity(entry)
    try:
        seen = look(entry.path, **reading)
        height, width, note = *seen.pixels.shape[:2], seen.note
    except UnreadableImage as error:
        reason = str(error)
    status: Status = "unreadable" if reason else "ok"
    return ImageRow(image, str(entry.path), entry.split, height, width, digest, status, reason, note, size, modified)


def _identity(entry: ImageEntry) -> tuple[str, int, int]:
    """sha256, size in bytes and time of change of a file; nothing of what is no file or cannot be read."""
    if why_not_a_file(entry.path):
        return "", 0, 0
    try:
        stat = entry.path.stat()
        return sha256_of(entry.path), stat.st_size, stat.st_mtime_ns
    except OSError:  # gone or closed to us in the meantime
        return "", 0, 0
