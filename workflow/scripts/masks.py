"""Rule masks: one image to its mask file."""

from regionflow.formats.regions import write_regions
from regionflow.masks.kinds import masks_of_image
from regionflow.run.adapters import generator, open_image, segmenter_of
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations = [] if image is None else masks_of_image(segmenter_of(job), image, job.names["image"])
    write_regions(job.outputs["masks"], info, annotations, generator(job))
