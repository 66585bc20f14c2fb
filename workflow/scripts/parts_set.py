"""Rule parts_set: pixels and targets of all images to the training set, and the colours of islands."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regionflow.formats.images import ImageRow, read_images, readable
from regionflow.formats.layout import for_image
from regionflow.formats.part_set import PartSet, write_part_set, write_projection
from regionflow.formats.parts import PartTargets, count_embeddings, read_part_masks, read_part_targets
from regionflow.images.read import read_image
from regionflow.parts.islands import fit_projection
from regionflow.parts.pixels import square
from regionflow.run.adapters import provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = readable(read_images(job.input("table")))
    rows = sum(count_embeddings(for_image(job.input("targets"), image.id)) for image in images)
    names = [(image.id, image.split) for image in images]
    write_part_set(job.outputs["set"], names, _content(job, images), rows, provenance(job))
    write_projection(job.outputs["colours"], fit_projection(PartSet(job.outputs["set"]).embeddings), provenance(job))


def _content(job: Job, images: list[ImageRow]) -> Iterator[tuple[np.ndarray, PartTargets]]:
    for image in images:
        size = read_part_masks(for_image(job.input("masks"), image.id), image.id).size
        pixels = read_image(Path(image.path), **job.options["reading"])
        yield square(pixels, size), read_part_targets(for_image(job.input("targets"), image.id), image.id)
