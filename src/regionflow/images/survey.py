"""What is known of every image of the set: its size and hash, or the reason why it cannot be read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from regionflow.base.files import sha256_of
from regionflow.formats.images import ImageRow, Status
from regionflow.images.find import ImageEntry
from regionflow.images.read import UnreadableImage, read_image


def survey(images: Mapping[str, ImageEntry], max_megapixels: float, threads: int = 1) -> list[ImageRow]:
    """Read every image as the stages will, in the order given."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda image: _row(image, images[image], max_megapixels), images))


def _row(image: str, entry: ImageEntry, max_megapixels: float) -> ImageRow:
    try:
        height, width = read_image(entry.path, max_megapixels).shape[:2]
        status: Status = "ok"
        reason = ""
    except UnreadableImage as error:
        height = width = 0
        status, reason = "unreadable", str(error)
    digest = sha256_of(entry.path) if entry.path.is_file() else ""
    return ImageRow(image, str(entry.path), entry.split, height, width, digest, status, reason)
