"""Where the files of an image lie."""

from pathlib import Path


def for_image(pattern: Path, image: str) -> Path:
    """The file of one image from a path with {image} in it."""
    return Path(str(pattern).replace("{image}", image))
