"""What the stages' adapters share: reading the image of a job, and saying what made a file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow import __version__
from regionflow.formats.regions import Generator, ImageInfo
from regionflow.images.read import UnreadableImage, read
from regionflow.run.job import Job


def open_image(job: Job) -> tuple[NDArray[np.uint8] | None, ImageInfo]:
    """The pixels [H, W, 3] of the job's image, or None with the reason in the info.

    Raises UnreadableImage, naming the file, if the configuration says that bad images fail.
    """
    path, image = job.input("image"), job.names["image"]
    name = image + path.suffix
    try:
        pixels = read(path, job.options["max_megapixels"])
    except UnreadableImage as error:
        if job.runtime.get("on_bad_image") == "fail":
            raise UnreadableImage(f"{path}: {error}") from error
        print(f"{path}: {error}; writing an empty file")
        return None, ImageInfo(image, name, 0, 0, str(error))
    return pixels, ImageInfo(image, name, *pixels.shape[:2])


def generator(job: Job, **more: Any) -> Generator:
    """What made a file: the stage and the options that change its output."""
    params = {key: value for key, value in job.options.items() if key != "weights_sha256"}
    return Generator(job.stage, {**params, **more}, job.options.get("weights_sha256"))


def provenance(job: Job) -> dict[str, Any]:
    """The same for HDF5 attributes."""
    return {"stage": job.stage, "version": __version__, "options": job.options, "names": job.names}


def write_png(path: Path, labels: NDArray[np.integer]) -> None:
    """A label map [H, W] as 16-bit PNG, lossless; one zero pixel for an image that could not be read."""
    Image.fromarray(labels.astype(np.uint16) if labels.size else np.zeros((1, 1), np.uint16)).save(path, format="PNG")


def read_png(path: Path) -> NDArray[np.int64]:
    """A label map [H, W] written by `write_png`."""
    with Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image).astype(np.int64)


def for_image(pattern: Path, image: str) -> Path:
    """The file of one image from a path with {image} in it."""
    return Path(str(pattern).replace("{image}", image))
