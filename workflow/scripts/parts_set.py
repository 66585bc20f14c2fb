"""Rule parts_set: pixels and targets of all images to the training set, and the colours of islands."""

from collections.abc import Iterator, Mapping

import numpy as np

from regionflow.base.errors import UserError
from regionflow.formats.layout import for_image
from regionflow.formats.part_set import PartSet, write_part_set, write_projection
from regionflow.formats.parts import PartMasks, PartTargets, count_embeddings, read_part_masks, read_part_targets
from regionflow.images.find import ImageEntry
from regionflow.images.read import read_image
from regionflow.parts.islands import fit_projection
from regionflow.parts.pixels import square
from regionflow.run.adapters import images_of, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = {image: entry for image, entry in images_of(job).items() if not _masks(job, image).error}
    if not images:
        raise UserError("parts: no image of the set can be read; `snakemake results/problems.tsv` lists the reasons")
    rows = sum(count_embeddings(for_image(job.input("targets"), image)) for image in images)
    names = [(image, entry.split) for image, entry in images.items()]
    write_part_set(job.outputs["set"], names, _content(job, images), rows, provenance(job))
    write_projection(job.outputs["colours"], fit_projection(PartSet(job.outputs["set"]).embeddings), provenance(job))


def _masks(job: Job, image: str) -> PartMasks:
    return read_part_masks(for_image(job.input("masks"), image), image)


def _content(job: Job, images: Mapping[str, ImageEntry]) -> Iterator[tuple[np.ndarray, PartTargets]]:
    for image, entry in images.items():
        pixels = read_image(entry.path, **job.options["reading"])
        yield square(pixels, _masks(job, image).size), read_part_targets(for_image(job.input("targets"), image), image)
