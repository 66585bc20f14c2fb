"""What the stages' adapters share: the image and the model of a job, and saying what made a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regionflow import __version__
from regionflow.base.errors import UserError
from regionflow.base.kinds import read_kind
from regionflow.base.options import Kind, canonical_json
from regionflow.features.kinds import Extractor, ExtractorOptions, extractor
from regionflow.formats.regions import Generator, ImageInfo
from regionflow.images.find import ImageEntry, find_images, listing
from regionflow.images.options import ImagesOptions
from regionflow.images.read import UnreadableImage, read_image
from regionflow.masks.kinds import Segmenter, SegmenterOptions, segmenter
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.semantics.kinds import Labeler, LabelerKind, labeler
from regionflow.semantics.options import LabelerOptions

T = TypeVar("T")


def open_image(job: Job) -> tuple[NDArray[np.uint8] | None, ImageInfo]:
    """The pixels [H, W, 3] of the job's image, or None with the reason in the info.

    Raises UnreadableImage, naming the file, if the configuration says that bad images fail.
    """
    path, image = job.input("image"), job.names["image"]
    name = image + path.suffix
    try:
        pixels = read_image(path, **job.options["reading"])
    except UnreadableImage as error:
        if job.runtime.get("on_bad_image") == "fail":
            raise UnreadableImage(f"{path}: {error}") from error
        print(f"{path}: {error}; writing an empty file")
        return None, ImageInfo(image, name, 0, 0, str(error))
    return pixels, ImageInfo(image, name, *pixels.shape[:2])


def images_of(job: Job) -> dict[str, ImageEntry]:
    """The images of the set, by id, of a job about the whole set.

    Raises UserError where images were added or have left since the run was planned.
    """
    images = find_images(ImagesOptions.model_validate(job.runtime["images"]))
    if listing(images) != job.runtime["listing"]:
        raise UserError("images were added to the set or have left it since this run was planned; run again")
    return images


def segmenter_of(job: Job) -> Segmenter:
    """The segmenter of a job of stage masks."""
    batch = job.runtime.get("points_per_batch")
    return for_job(job, "segmenter", SegmenterOptions, lambda options, device: segmenter(options, device, batch))


def extractor_of(job: Job) -> Extractor:
    """The extractor of a job of stage features."""
    return for_job(job, "extractor", ExtractorOptions, extractor)


def labeler_of(job: Job) -> tuple[Labeler, LabelerOptions]:
    """The labeler of a job of stage semantics, and its options."""
    options = read_kind(LabelerKind, job.options["labeler"])
    assert isinstance(options, LabelerOptions)
    return for_job(job, "labeler", LabelerKind, labeler), options


def for_job(job: Job, name: str, union: Any, build: Callable[[Any, str], T]) -> T:
    """What `build(options, device)` makes of the kind under `name` in the job's options; a resident keeps its model."""
    options: Kind = read_kind(union, job.options[name])
    if not options.uses_card:
        return build(options, "cpu")
    device = pick(job)
    key = (name, canonical_json(job.options[name]), job.options.get("weights_sha256"), device)
    return job.models.get(key, lambda: build(options, device))


def generator(job: Job, **more: Any) -> Generator:
    """What made a file: the stage and the options that change its output."""
    params = {key: value for key, value in job.options.items() if key != "weights_sha256"}
    return Generator(job.stage, {**params, **more}, job.options.get("weights_sha256"))


def provenance(job: Job) -> dict[str, Any]:
    """What made an HDF5 file: stage, library version, options and the names in its path."""
    return {"stage": job.stage, "version": __version__, "options": job.options, "names": job.names}


def class_list(job: Job) -> Path | None:
    """The table of names for the clusters, if the configuration has one."""
    path = job.options["class_list"]
    return None if path is None else Path(path)
